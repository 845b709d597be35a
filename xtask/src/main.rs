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
mod dist;
mod e2e;
mod errors;
mod home;
mod install;
mod module_map;
mod needs;
mod package;
mod pictures;
mod reference;
mod soak;
mod source;
mod table;
mod test;
mod tidy;
mod trees;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Task};

fn main() -> ExitCode {
    let result = match &Cli::parse().task {
        Task::Build(options) => build::run(options),
        Task::Install(options) => install::run(options),
        Task::Uninstall(options) => install::uninstall(options),
        Task::Dist(options) => dist::run(options),
        Task::Demo(options) => demo::run(options),
        Task::Test => test::run(),
        Task::E2e(options) => e2e::run(options),
        Task::Bench { what } => bench::run(*what),
        Task::Soak(what) => soak::run(what),
        Task::Pictures(options) => pictures::run(options),
        Task::Reference => reference::run(),
        Task::Tidy => tidy::run(),
    };
    common::exit::finish("xtask", result)
}
