//! `pre-backup-actions`: run every service's `prepare-backup.sh`, and when the backup is over its `after-backup.sh`.
//!
//! discover → plan → run → report; [`app`] puts the stages together.

mod after;
mod app;
mod cli;
mod declare;
mod discover;
mod environment;
mod gate;
mod history;
mod journal;
mod name;
mod orphans;
mod plan;
mod prepare;
mod report;
mod run;
mod schedule;
mod script_log;
mod show;
mod trend;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    common::exit::finish("pre-backup-actions", app::run(&cli::Cli::parse()))
}
