//! From the subcommand to the module that does it.
//!
//! A new one takes a line here, a variant in `cli` and a module.

use anyhow::Result;
use common::exit::Exit;

use crate::cli::Task;
use crate::{bench, build, demo, dist, e2e, install, pictures, reference, soak, test, tidy};

/// Runs `task`.
pub(crate) fn run(task: &Task) -> Result<Exit> {
    match task {
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
    }
}
