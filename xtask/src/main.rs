//! `cargo xtask`: everything that is done with this repository beside running the tools: building, installing,
//! showing, testing and measuring them.
//!
//! In comes one subcommand; each is a module of its own. What a person reads goes to standard output, errors to
//! standard error, and the exit code is that of the table in `common::exit`.

mod background;
mod backrest_api;
mod bench;
mod build;
mod cli;
mod demo;
mod dispatch;
mod dist;
mod e2e;
mod errors;
mod install;
mod module_map;
mod needs;
mod orphans;
mod package;
mod pictures;
mod reference;
mod soak;
mod table;
mod test;
mod tidy;
mod trees;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    common::exit::finish("xtask", dispatch::run(&cli::Cli::parse().task))
}
