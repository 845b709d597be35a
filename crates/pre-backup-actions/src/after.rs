//! The after steps of what the journal holds, the last one prepared first.
//!
//! One after another, because they undo what was done in order. A service whose script did well leaves the journal
//! at once; one whose script failed stays in it, is told, and is tried again later.

use std::ffi::OsString;

use anyhow::Result;
use common::exit::one_line;
use common::text::escape_path;

use crate::discover::{self, AFTER};
use crate::journal::{Entry, Journal, unix_now};
use crate::orphans;
use crate::report::{Outcome, Verdict};
use crate::run::{Job, Runner};

/// Runs the after steps of `entries`, which stand in `journal`, from the last to the first.
pub(crate) fn run_all(entries: &[Entry], journal: &mut Journal, runner: &Runner) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(entries.len());
    runner.watcher.expect(entries.len());
    for entry in entries.iter().rev() {
        let outcome = if runner.cancel.is_cancelled() {
            Outcome::new(&entry.service, Verdict::NotRun("interrupted".into()))
        } else {
            run_one(entry, runner)
        };
        let outcome = match note(journal, &outcome) {
            Ok(()) => outcome,
            Err(error) => Outcome { verdict: Verdict::Failed(one_line(&error)), ..outcome },
        };
        runner.watcher.ended(&outcome);
        outcomes.push(outcome);
    }
    outcomes
}

/// Whether there is an after script, or its service can't be looked at just now.
pub(crate) fn has_something_to_run(entry: &Entry) -> bool {
    !entry.folder.is_dir() || entry.folder.join(AFTER).symlink_metadata().is_ok()
}

/// What came of it, written down.
fn note(journal: &mut Journal, outcome: &Outcome) -> Result<()> {
    match &outcome.verdict {
        Verdict::Ok | Verdict::Warned(_) => journal.clear(&outcome.service),
        Verdict::Failed(why) => journal.failed(&outcome.service, why, unix_now()),
        Verdict::NotRun(_) => Ok(()),
    }
}

fn run_one(entry: &Entry, runner: &Runner) -> Outcome {
    let service: &OsString = &entry.service;
    if orphans::end(entry) {
        runner.watcher.line(
            &escape_path(service),
            "its prepare step still ran, although its run was killed; it was ended",
        );
    }
    let Some(script) = discover::look(&entry.folder.join(AFTER)) else {
        return Outcome::new(service, nothing_to_run(entry));
    };
    if let Some(refusal) = script.refusal {
        let mut outcome = Outcome::new(service, Verdict::Failed(format!("{AFTER} {}", refusal.what)));
        outcome.hint = refusal.hint;
        return outcome;
    }
    runner.watcher.started(&escape_path(service));
    let ran = runner.run(&Job {
        service,
        folder: &entry.folder,
        script: &script.path,
        timeout: script.declarations.timeout,
        variables: Vec::new(),
    });
    Outcome::of(service, ran)
}

/// Without an after script there is nothing to undo; but a data root that is not there (a disk that is not mounted)
/// must not look like that.
fn nothing_to_run(entry: &Entry) -> Verdict {
    if entry.folder.is_dir() {
        return Verdict::Ok;
    }
    match entry.folder.parent() {
        Some(root) if root.is_dir() => Verdict::Warned("its folder is gone, so nothing was run".into()),
        _ => Verdict::Failed(format!("its folder can't be reached: {}", escape_path(&entry.folder))),
    }
}
