//! What happens around a backup: prepare steps, the ignore file, and what undoes the prepare steps.
//!
//! The ignore file is made even where a prepare step failed: the backup may run all the same, and the file must be
//! as fresh as it can be. The action fails if either did.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use bridge::request::Preparation;
use common::contract::journal::Journal;
use common::moment::unix_now;
use common::process::{self, Limits};

use super::{Outcome, Report, Runner};

pub(super) fn pre_backups(runner: &Runner, text: &str, until: Instant, report: Report<'_>) -> Outcome {
    let request = match Preparation::parse(text) {
        Ok(request) => request,
        Err(fault) => return Outcome::failed(fault.to_string()),
    };
    let mut command = runner.settings.command("pre-backup-actions", &[]);
    with_key(&mut command, &request);
    for service in &request.services {
        command.args(["--only", service]);
    }
    // A run by hand may be under way: the backup waits for it.
    let left = until.saturating_duration_since(Instant::now()).as_secs();
    command.args(["--wait", &format!("{left}s")]);
    let prepared = runner.program(&mut command, until, report);
    let ignored = build_ignore(runner, until, report);
    let in_part = |outcome: &Outcome, part| match outcome {
        Outcome::Failed(failure) => Some(failure.clone().in_part(part)),
        Outcome::Done(_) | Outcome::Unknown => None,
    };
    match (in_part(&prepared, "pre-backup-actions"), in_part(&ignored, "build-ignore")) {
        (Some(prepare), Some(ignore)) => Outcome::Failed(prepare.and(ignore)),
        (Some(failure), None) | (None, Some(failure)) => Outcome::Failed(failure),
        (None, None) => prepared,
    }
}

pub(super) fn post_backups(runner: &Runner, text: &str, until: Instant, report: Report<'_>) -> Outcome {
    let request = match Preparation::parse(text) {
        Ok(request) => request,
        Err(fault) => return Outcome::failed(fault.to_string()),
    };
    let mut command = runner.settings.command("pre-backup-actions", &["--after"]);
    with_key(&mut command, &request);
    runner.program(&mut command, until, report)
}

fn with_key(command: &mut Command, request: &Preparation) {
    if let Some(key) = &request.key {
        command.args(["--key", key]);
    }
}

/// For a backup that has not come back, or that the host's restart ended.
pub(super) fn overdue(runner: &Runner, until: Instant, report: Report<'_>) -> Outcome {
    let mut command = runner.settings.command("pre-backup-actions", &["--after", "--if-due"]);
    runner.program(&mut command, until, report)
}

/// What can't be asked is tried after this time all the same: a service may be waiting to be started again.
const UNKNOWN: Duration = Duration::from_secs(600);

/// What is prepared and was not undone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    /// How long until it is overdue.
    pub(crate) left: Duration,
    /// When the last of it was prepared, in seconds since 1970, if that is known.
    pub(crate) since: Option<i64>,
}

/// What is prepared now; `None` if nothing is.
pub(crate) fn open(runner: &Runner) -> Option<Open> {
    // The journal goes when nothing is left in it. To see that saves a program's start after most actions.
    if fs::symlink_metadata(runner.settings.layout().actions_journal()).is_err() {
        return None;
    }
    let mut command = runner.settings.command("pre-backup-actions", &["--journal", "--json"]);
    let limits = Limits::within(Duration::from_secs(30));
    let journal = process::capture(&mut command, b"", limits, Some(&runner.cancel))
        .and_then(process::Captured::success)
        .ok()
        .and_then(|answer| serde_json::from_slice::<Journal>(&answer).ok());
    let Some(journal) = journal else { return Some(Open { left: UNKNOWN, since: None }) };
    let left = journal.next_due?.saturating_sub(unix_now());
    let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
    Some(Open { left, since: journal.entries.iter().map(|entry| entry.started).max() })
}

pub(super) fn build_ignore(runner: &Runner, until: Instant, report: Report<'_>) -> Outcome {
    runner.program(&mut runner.settings.command("build-ignore", &[]), until, report)
}
