//! `backrest-send`, the container's end of the bridge: sends a message to the host and waits for what comes of it.
//!
//! One static file that needs nothing beside it. It never waits without an end, never reads standard
//! input unless that is all it was given, and its exit code is the result (see [`bridge::exit_code`]).

mod arguments;
mod fifo;
mod interrupt;
mod output;
mod run;
mod script;
mod send;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(output::finish(run::run(std::env::args_os())).number())
}
