//! `create-backrest-pipe`: puts the host's side of the bridge to Backrest's container in place, and takes it away.
//!
//! The flow is inspect → plan → apply: [`inspect`] looks and changes nothing, [`plan`] decides and does no I/O,
//! [`apply`] does what was decided, step by step, saying each.

mod apply;
mod cli;
mod hooks;
mod inspect;
mod log;
mod places;
mod plan;
mod record;
mod run;
mod status;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    common::exit::finish("create-backrest-pipe", run::run(&cli::Cli::parse()))
}
