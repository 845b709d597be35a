//! Before a backup: bring back what an earlier run left, run the prepare steps, and sum up.
//!
//! What a reader would get wrong: an after step of an earlier run that fails once more does not fail this run. One
//! service that can't be brought back must not keep all others out of the backup.

mod steps;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use common::exit::{Exit, HintExt};
use common::text::escape_path;
use common::{out, problem};

use crate::context::{Context, TOOL};
use crate::discover::{AFTER, Found, PREPARE};
use crate::gate::Cleaner;
use crate::journal::{Entry, Journal};
use crate::outcome::{Outcome, exit_of};
use crate::run::Runner;
use crate::{after, plan, report, trouble, unreadable};

pub(crate) fn run(context: &Context, mut journal: Journal, runner: &Runner, run_name: &str) -> Result<Exit> {
    let options = &context.options;
    let found = context.candidates()?;
    let (planned, problems) = plan::steps(&found.candidates, &options.only)?;
    problem::warn(TOOL, &problems);
    let cleaner = Cleaner::start(with_leftovers(&found, &journal));
    if options.only.is_empty() {
        unreadable::report_changes(context, &found.unreadable);
    }
    if journal.is_incomplete() {
        after::assume(context, &mut journal, &[])?;
    }
    let before = bring_back_what_is_open(context, &mut journal, runner)?;
    // Of some services by hand nothing is known about the backup that others are pushed for.
    let is_of_a_backup = options.only.is_empty() || !options.key.is_empty();
    // A run that is killed leaves no record.
    trouble::keep(context, &journal, is_of_a_backup.then_some(&[]));
    if found.candidates.is_empty() {
        refuse_an_unmounted_root(context)?;
    }
    // Otherwise it could take what a step is just making for a leftover.
    drop(cleaner);
    let mut outcomes = steps::run_all(&planned, context, &mut journal, runner, run_name);
    runner.watcher.close(&outcomes);
    let nothing = after::with_nothing_to_run(context, journal.entries());
    if let Err(error) = journal.keep_only(|entry| !nothing.contains(&entry.service)) {
        // What is too much in it costs a look, not a service.
        context.warn(context.layout.actions_journal(), &error);
    }
    trouble::keep(context, &journal, is_of_a_backup.then_some(&outcomes));
    let still_down: Vec<_> = before.into_iter().filter(Outcome::is_failure).collect();
    let exit = exit_of(&outcomes);
    if options.json {
        outcomes.extend(still_down);
        report::print_outcomes(&outcomes);
        return Ok(exit);
    }
    out!("{}", closing_line(&outcomes, &still_down, &found, context));
    if runner.cancel.is_cancelled() {
        if let Some(line) = still_stopped(&journal, context) {
            out!("{line}");
        }
    }
    Ok(exit)
}

/// Where killed runs may have left something: of dumps that are declared now, and of those that were.
fn with_leftovers(found: &Found, journal: &Journal) -> BTreeSet<PathBuf> {
    let scripts = found.candidates.iter().filter_map(|candidate| candidate.prepare.as_ref());
    let declared = scripts
        .flat_map(|script| script.declarations.dumps.iter().map(|dump| script.folder.join(dump.folder())));
    declared.chain(found.folders.iter().cloned()).chain(journal.dump_folders()).collect()
}

/// The after steps that an earlier run of the same Backrest left open, and those that failed.
fn bring_back_what_is_open(
    context: &Context,
    journal: &mut Journal,
    runner: &Runner,
) -> Result<Vec<Outcome>> {
    let options = &context.options;
    after::warn_unwritten(context, journal.release(|key| options.is_of_this_instance(key)));
    let is_meant = |entry: &&Entry| entry.keys.is_empty() && plan::is_wanted(&entry.service, &options.only);
    let open: Vec<Entry> = journal.entries().iter().filter(is_meant).cloned().collect();
    if !open.is_empty() && !options.json {
        out!("an earlier run was not followed by its after steps; they run first");
    }
    let outcomes = after::run_all(context, &open, journal, runner);
    runner.watcher.close(&outcomes);
    if !outcomes.is_empty() && !options.json {
        out!("after the earlier run: {}", report::summary(&outcomes));
    }
    Ok(outcomes)
}

/// If services had scripts and none has one now, the disk is not mounted, and what would be backed up is next to
/// nothing.
fn refuse_an_unmounted_root(context: &Context) -> Result<()> {
    let known = context.history().services().unwrap_or_default().len();
    if known == 0 {
        return Ok(());
    }
    let root = escape_path(&context.settings.data_root);
    let had = common::text::count(known, "service");
    Err(anyhow!("prepare: {root}: no service has a {PREPARE} now, but {had} had one before")).hint(format!(
        "mount the disk that belongs there; if there is nothing to prepare any more, delete '{}'",
        escape_path(context.layout.actions_history())
    ))
}

fn closing_line(outcomes: &[Outcome], still_down: &[Outcome], found: &Found, context: &Context) -> String {
    let mut line = if outcomes.is_empty() {
        format!(
            "nothing to prepare: none of {} below {} has a {PREPARE}",
            common::text::count(found.services, "service"),
            escape_path(&context.settings.data_root)
        )
    } else {
        report::summary(outcomes)
    };
    if !still_down.is_empty() {
        let names: Vec<_> = still_down.iter().map(Outcome::shown_name).collect();
        line.push_str(&format!("; after steps of an earlier run failed: {}", names.join(", ")));
    }
    line
}

/// After an interruption: what is still stopped, and how to bring it back.
fn still_stopped(journal: &Journal, context: &Context) -> Option<String> {
    let names: Vec<_> = journal.entries().iter().map(|entry| escape_path(&entry.service)).collect();
    let only = context.options.only.iter().map(|glob| format!(" --only '{}'", escape_path(glob.glob())));
    let command = format!("{TOOL} --after{}", only.collect::<String>());
    let them = if names.len() == 1 { "it" } else { "them" };
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("still prepared, because {AFTER} has not run: {names}; to bring {them} back: {command}")
    })
}
