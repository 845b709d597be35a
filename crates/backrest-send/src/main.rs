//! `backrest-send`, the container's end of the bridge: sends a message to the host and waits for what comes of it.
//!
//! One static file that needs nothing beside it. It never waits without an end, never reads standard
//! input unless that is all it was given, and its exit code says what happened (see [`bridge::exit_code`]).

mod arguments;
mod fifo;
mod interrupt;
mod output;
mod script;
mod send;

use std::io::{self, IsTerminal};

use arguments::{Asked, What};
use bridge::exit_code::ExitCode;

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args_os();
    let own_name = arguments.next().unwrap_or_default();
    let asked = arguments::read(arguments, &own_name);
    let code = match asked {
        Err(why) => complain(&why),
        Ok(Asked { what: What::Help, .. }) => print(&bridge::help::text()),
        Ok(Asked { what: What::Version, .. }) => {
            print(concat!("backrest-send ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        Ok(Asked { what: What::Message(line), how }) => send::send(&line, &how),
        Ok(Asked { what: What::Script(path), how }) => script::run_file(&path, &how),
        Ok(Asked { what: What::StandardInput, .. }) if io::stdin().is_terminal() => {
            complain("name the action; see `backrest-send --help`")
        }
        Ok(Asked { what: What::StandardInput, how }) => script::run(io::stdin().lock(), &how),
    };
    std::process::ExitCode::from(output::finish(code).number())
}

fn print(text: &str) -> ExitCode {
    output::write(text.as_bytes());
    ExitCode::Done
}

fn complain(why: &str) -> ExitCode {
    output::note(why);
    ExitCode::Unknown
}
