//! What happens around a backup: prepare steps, the ignore file, and what undoes the prepare steps.
//!
//! The ignore file is made even where a prepare step failed: the backup may run all the same, and the file must be
//! as fresh as it can be. The action fails if either did.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bridge::request::Preparation;
use common::contract::journal::Journal;
use common::moment::unix_now;
use common::process::{self, Limits};

use super::{Failure, Outcome, Report, Runner};

pub(super) fn pre_backups(
    runner: &Runner,
    text: &str,
    until: Instant,
    report: Report<'_>,
) -> Result<Outcome> {
    let request = Preparation::parse(text)?;
    let mut command = runner.settings.command("pre-backup-actions", &[]);
    with_key(&mut command, &request);
    command.args(request.services.iter().flat_map(|service| ["--only", service]));
    // A run by hand may be under way: the backup waits for it.
    let left = until.saturating_duration_since(Instant::now()).as_secs();
    command.args(["--wait", &format!("{left}s")]);
    let prepared = runner.program(&mut command, until, report);
    let ignored = runner.tool("build-ignore", &[], until, report);
    let parts = [("pre-backup-actions", &prepared), ("build-ignore", &ignored)];
    let failed = |text: fn(&Failure) -> &str| {
        let failed = parts.iter().filter_map(|(part, outcome)| match outcome {
            Outcome::Failed(failure) => Some(format!("{part}: {}", text(failure))),
            Outcome::Done(_) | Outcome::Unknown => None,
        });
        failed.collect::<Vec<_>>().join("; ")
    };
    let (why, unseen) = (failed(|failure| &failure.why), failed(|failure| &failure.unseen));
    Ok(if why.is_empty() { prepared } else { Outcome::Failed(Failure { why, unseen }) })
}

pub(super) fn post_backups(
    runner: &Runner,
    text: &str,
    until: Instant,
    report: Report<'_>,
) -> Result<Outcome> {
    let mut command = runner.settings.command("pre-backup-actions", &["--after"]);
    with_key(&mut command, &Preparation::parse(text)?);
    Ok(runner.program(&mut command, until, report))
}

fn with_key(command: &mut Command, request: &Preparation) {
    command.args(request.key.iter().flat_map(|key| ["--key", key]));
}

/// What can't be asked is tried after this time all the same: a service may be waiting to be started again.
const UNKNOWN: Duration = Duration::from_secs(600);

#[derive(Clone, Debug)]
pub(crate) struct Open {
    /// How long until it is overdue.
    pub(crate) left: Duration,
    /// When the last of it was prepared, in seconds since 1970, if that is known.
    pub(crate) since: Option<i64>,
    /// Why all this is unknown, if it is; `None` if the listener stops.
    pub(crate) unknown: Option<String>,
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
        .and_then(|answer| Ok(serde_json::from_slice::<Journal>(&answer)?))
        .context("find out what is prepared");
    match journal {
        Ok(journal) => {
            let left = journal.next_due?.saturating_sub(unix_now());
            let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
            let since = journal.entries.iter().map(|entry| entry.started).max();
            Some(Open { left, since, unknown: None })
        }
        Err(error) => {
            let unknown = (!runner.cancel.is_cancelled()).then(|| common::exit::one_line(&error));
            Some(Open { left: UNKNOWN, since: None, unknown })
        }
    }
}
