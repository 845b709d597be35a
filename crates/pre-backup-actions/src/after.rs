//! The after steps of what the journal holds, the last one prepared first.
//!
//! One after another, because they undo what was done in order. A service whose script did well leaves the journal
//! at once; one whose script failed stays in it, is told, and is tried again later.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Result;
use common::exit::one_line;
use common::text::escape_path;

use crate::discover::{self, AFTER, PREPARE};
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

/// Whether there is an after script, or there should be one.
pub(crate) fn has_something_to_run(entry: &Entry) -> bool {
    entry.has_after || !entry.folder.is_dir() || is_there(&entry.folder.join(AFTER))
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
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
        return nothing_to_run(entry);
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

/// Without an after script there is nothing to undo. But a disk that is not mounted must not look like that: where it
/// belongs there is an empty folder, or one in which Docker has made folders for the containers that it started.
fn nothing_to_run(entry: &Entry) -> Outcome {
    let service = &entry.service;
    let folder_is_there = entry.folder.is_dir();
    if folder_is_there && !entry.has_after {
        return Outcome::new(service, Verdict::Ok);
    }
    let what =
        if folder_is_there { format!("its {AFTER} is gone") } else { "its folder is gone".to_string() };
    let root = entry.folder.parent().unwrap_or(Path::new("/"));
    if holds_scripts(root) {
        return Outcome::new(service, Verdict::Warned(format!("{what}, so nothing was run")));
    }
    let hint = format!(
        "mount the disk that belongs at {}; if the service was deleted for good, delete its lines in state/actions/journal",
        escape_path(root)
    );
    let why = format!("{what}, and no other service has a script");
    Outcome { hint: Some(hint), ..Outcome::new(service, Verdict::Failed(why)) }
}

/// Whether any service below `root` has a script.
fn holds_scripts(root: &Path) -> bool {
    let folders = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    folders.into_iter().any(|folder| [PREPARE, AFTER].iter().any(|script| is_there(&folder.join(script))))
}
