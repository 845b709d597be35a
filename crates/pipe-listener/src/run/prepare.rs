//! What stands around a backup: prepare steps, the ignore file, and what undoes the prepare steps.
//!
//! The ignore file is made even where a prepare step failed: the backup may run all the same, and the file must be
//! as fresh as it can be. The action fails if either did.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::contract::journal::Journal;
use common::paths;
use common::process::{self, Limits};
use common::settings::Flags;

use super::{Outcome, Runner, Said, Say};

pub(super) fn pre_backups(runner: &Runner, until: Instant, say: Say<'_>) -> Outcome {
    let prepared = runner.program(&mut tool(runner, "pre-backup-actions", &[]), until, say);
    if let Outcome::Failed(why) = &prepared {
        say(Said::Note(format!("pre-backup-actions: {why}")));
    }
    let ignored = build_ignore(runner, until, say);
    match (prepared, ignored) {
        (Outcome::Failed(prepare), Outcome::Failed(ignore)) => {
            Outcome::Failed(format!("pre-backup-actions: {prepare}; build-ignore: {ignore}"))
        }
        (Outcome::Failed(why), _) => Outcome::Failed(format!("pre-backup-actions: {why}")),
        (_, Outcome::Failed(why)) => Outcome::Failed(format!("build-ignore: {why}")),
        (prepared, _) => prepared,
    }
}

pub(super) fn post_backups(runner: &Runner, until: Instant, say: Say<'_>) -> Outcome {
    runner.program(&mut tool(runner, "pre-backup-actions", &["--after"]), until, say)
}

/// For a backup that has not come back, or that the host's restart ended.
pub(super) fn overdue(runner: &Runner, until: Instant, say: Say<'_>) -> Outcome {
    runner.program(&mut tool(runner, "pre-backup-actions", &["--after", "--if-due"]), until, say)
}

/// What can't be asked is tried after this time all the same: a service may be waiting to be started again.
const UNKNOWN: Duration = Duration::from_secs(600);

/// How long until what was prepared is overdue; `None` where nothing is prepared.
pub(crate) fn due(runner: &Runner) -> Option<Duration> {
    // The journal goes when nothing is left in it. To see that saves a program's start after most actions.
    if fs::symlink_metadata(runner.settings.layout().actions_journal()).is_err() {
        return None;
    }
    let mut command = tool(runner, "pre-backup-actions", &["--journal", "--json"]);
    let limits = Limits::within(Duration::from_secs(30));
    let journal = process::capture(&mut command, b"", limits, Some(&runner.cancel))
        .and_then(process::Captured::success)
        .ok()
        .and_then(|answer| serde_json::from_slice::<Journal>(&answer).ok());
    let Some(journal) = journal else { return Some(UNKNOWN) };
    let due = Duration::from_secs(u64::try_from(journal.next_due?).unwrap_or_default());
    Some(due.saturating_sub(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}

pub(super) fn build_ignore(runner: &Runner, until: Instant, say: Say<'_>) -> Outcome {
    runner.program(&mut tool(runner, "build-ignore", &[]), until, say)
}

fn tool(runner: &Runner, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(paths::tool(name));
    command.args(arguments).args(Flags::of(&runner.settings).to_arguments());
    command
}
