//! `pre-backup-actions`: run every service's `prepare-backup.sh`, and when the backup is over its `after-backup.sh`.
//!
//! discover → plan → run → report; [`app`] puts the stages together.

mod after;
mod app;
mod cli;
mod context;
mod declare;
mod discover;
mod environment;
mod gate;
mod history;
mod journal;
mod misnamed;
mod name;
mod options;
mod orphans;
mod outcome;
mod plan;
mod prepare;
mod prove;
mod report;
mod run;
mod schedule;
mod show;
mod trend;
mod trouble;
mod unreadable;
mod watcher;

use std::process::ExitCode;

fn main() -> ExitCode {
    common::exit::main(context::TOOL, app::run)
}
