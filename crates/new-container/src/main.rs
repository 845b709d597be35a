//! `new-container`: a new service's files from templates, all of them or none.
//!
//! ask → plan → render → write; [`app`] puts the stages together.

mod adopt;
mod app;
mod ask;
mod cli;
mod database;
mod plan;
mod ports;
mod render;
mod request;
mod shell_init;
mod templates;
mod write;

use std::process::ExitCode;

fn main() -> ExitCode {
    common::exit::main(cli::TOOL, app::run)
}
