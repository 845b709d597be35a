//! `pipe-listener`, the host's end of the bridge: takes messages from the FIFO and the socket in Backrest's bridge
//! folder and runs the actions that they name, one after another.

mod cli;
mod dispatch;
mod door;
mod listener;
mod log;
mod queue;
mod reply;
mod run;
mod status;
mod tally;

use std::process::ExitCode;

fn main() -> ExitCode {
    common::exit::main("pipe-listener", listener::start)
}
