//! The after steps of what the journal holds, the last one prepared first.
//!
//! One after another, because they undo what was done in order. A service whose script did well leaves the journal
//! at once; one whose script failed stays in it, is reported, and is tried again later.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Result;
use common::exit::{Exit, one_line};
use common::moment::{boot_id, unix_now};
use common::out;
use common::text::escape_path;
use globset::Glob;

use crate::context::Context;
use crate::discover::{self, AFTER, PREPARE};
use crate::gate::Cleaner;
use crate::journal::{Entry, Journal};
use crate::options::AfterSteps;
use crate::outcome::{Outcome, Verdict, exit_of};
use crate::run::Runner;
use crate::{orphans, plan, report, trouble};

/// `--after`: brings back what is prepared for the backup that is over.
pub(crate) fn run(
    context: &Context,
    mut journal: Journal,
    runner: &Runner,
    steps: AfterSteps,
) -> Result<Exit> {
    let options = &context.options;
    let _cleaner = Cleaner::start(journal.dump_folders());
    if journal.is_incomplete() {
        assume(context, &mut journal, &[])?;
    } else if steps == AfterSteps::All {
        assume(context, &mut journal, &options.only)?;
    }
    let names: Vec<_> = journal.entries().iter().map(|entry| entry.service.as_os_str()).collect();
    plan::each_names_something(&options.only, &names, "is in the journal")?;
    if !options.key.is_empty() {
        let written = journal.release(|key| key == options.key);
        warn_unwritten(context, written);
    }
    let (now, boot) = (unix_now(), boot_id());
    let is_meant = |entry: &&Entry| {
        plan::is_wanted(&entry.service, &options.only)
            && (steps != AfterSteps::Due || entry.is_due(now, boot))
            // Another backup goes on; when the last one is over it is brought back.
            && (options.key.is_empty() || entry.keys.is_empty())
    };
    let entries: Vec<Entry> = journal.entries().iter().filter(is_meant).cloned().collect();
    let held: Vec<Entry> = journal.entries().iter().filter(|entry| !is_meant(entry)).cloned().collect();
    let nothing = with_nothing_to_run(context, &entries);
    warn_unwritten(context, journal.keep_only(|entry| !nothing.contains(&entry.service)));
    let outcomes = run_all(context, &entries, &mut journal, runner);
    runner.watcher.close(&outcomes);
    trouble::keep(context, &journal, None);
    if options.json {
        report::print_outcomes(&outcomes);
        return Ok(exit_of(&outcomes));
    }
    if steps != AfterSteps::Due && !options.key.is_empty() {
        for entry in &held {
            let keys: Vec<_> = entry.keys.iter().map(escape_path).collect();
            out!("{}: stays prepared for {}", escape_path(&entry.service), keys.join(" and "));
        }
    }
    if !outcomes.is_empty() {
        out!("after the backup: {}", report::summary(&outcomes));
    } else if steps != AfterSteps::Due {
        out!("after the backup: nothing to do, no prepare step is open");
    }
    Ok(exit_of(&outcomes))
}

/// Puts every service that has an after script, of those that `only` names, into the journal, due at once.
pub(crate) fn assume(context: &Context, journal: &mut Journal, only: &[Glob]) -> Result<()> {
    let candidates = context.candidates()?.candidates.into_iter();
    let is_meant =
        |candidate: &discover::Candidate| candidate.after.is_some() && plan::is_wanted(&candidate.name, only);
    let entries = candidates.filter(is_meant).map(|candidate| Entry {
        folder: candidate.after.map_or(candidate.data, |script| script.folder),
        service: candidate.name,
        run: "assumed".into(),
        started: unix_now(),
        has_after: true,
        ..Entry::default()
    });
    warn_unwritten(context, journal.assume(entries.collect()));
    Ok(())
}

/// The disk is full or read-only, say. The after steps run all the same.
pub(crate) fn warn_unwritten(context: &Context, written: Result<()>) {
    if let Err(error) = written {
        context.warn(context.layout.actions_journal(), &error);
    }
}

/// Runs the after steps of `entries`, which are in `journal`, from the last to the first.
pub(crate) fn run_all(
    context: &Context,
    entries: &[Entry],
    journal: &mut Journal,
    runner: &Runner,
) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(entries.len());
    runner.watcher.expect(entries.len());
    for entry in entries.iter().rev() {
        let outcome = if runner.cancel.is_cancelled() {
            Outcome::new(&entry.service, Verdict::NotRun("interrupted".into()))
        } else {
            run_one(context, entry, runner)
        };
        let outcome = match note(journal, &outcome) {
            Ok(()) => outcome,
            Err(error) => Outcome { verdict: Verdict::Failed(one_line(&error)), ..outcome },
        };
        runner.watcher.finished(&outcome);
        outcomes.push(outcome);
    }
    outcomes
}

/// The services of `entries` that have no after script and should have none.
pub(crate) fn with_nothing_to_run(context: &Context, entries: &[Entry]) -> BTreeSet<OsString> {
    let in_doubt = entries.iter().filter(|entry| !entry.has_after && entry.folder.is_dir());
    let names: Vec<_> = in_doubt.map(|entry| entry.service.clone()).collect();
    let scripts = context.after_scripts(&names);
    names.into_iter().zip(scripts).filter_map(|(name, script)| script.is_none().then_some(name)).collect()
}

fn note(journal: &mut Journal, outcome: &Outcome) -> Result<()> {
    match &outcome.verdict {
        Verdict::Ok | Verdict::Unproved(_) | Verdict::Warned(_) => journal.clear(&outcome.service),
        Verdict::Failed(why) => journal.failed(&outcome.service, why, unix_now()),
        Verdict::NotRun(_) => Ok(()),
    }
}

fn run_one(context: &Context, entry: &Entry, runner: &Runner) -> Outcome {
    let service: &OsString = &entry.service;
    if orphans::end(entry) {
        runner.watcher.line(
            &escape_path(service),
            "its prepare step was still running although its run had been killed; it was terminated",
        );
    }
    let Some(script) = context.after_script(service) else {
        return nothing_to_run(entry);
    };
    if let Some(refusal) = &script.refusal {
        // Without it a service stays stopped, so it is never passed over.
        let verdict = Verdict::Failed(format!("{AFTER} {}", refusal.what));
        return Outcome { hint: refusal.hint.clone(), ..Outcome::new(service, verdict) };
    }
    runner.watcher.started(&escape_path(service));
    runner.run(service, &script, None)
}

/// Without an after script there is nothing to undo. But a disk that is not mounted must not look like that: in its
/// place there is an empty folder, or one in which Docker has made folders for the containers that it started.
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
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    folders.into_iter().any(|folder| [PREPARE, AFTER].iter().any(|script| is_there(&folder.join(script))))
}
