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

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    common::exit::finish("pipe-listener", listener::start(&cli))
}
