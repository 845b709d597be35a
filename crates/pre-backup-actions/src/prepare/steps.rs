//! The prepare steps of a plan: each is written to the journal, run, and its dumps proved before it counts as done.
//!
//! The entry is in the journal, on the disk, before its script starts: what a script stopped is known whatever happens
//! next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use common::exit::one_line;
use common::leftover::Scratch;
use common::moment::{boot_id, unix_now};

use crate::context::Context;
use crate::declare::Dump;
use crate::discover::{AFTER, PREPARE, Refusal};
use crate::gate::{self, Budget, Report, Request, Start};
use crate::history::{History, RunRecord};
use crate::journal::{Entry, Journal};
use crate::orphans;
use crate::outcome::{Outcome, Verdict};
use crate::plan::Step;
use crate::run::Runner;
use crate::schedule::{self, Needs};

/// What a step needs besides itself.
struct Preparation<'a> {
    context: &'a Context,
    runner: &'a Runner<'a>,
    history: History,
    journal: Mutex<&'a mut Journal>,
    run_name: &'a str,
    session: Option<i32>,
    /// Steps whose dump another service declares too.
    shared_dumps: BTreeMap<usize, String>,
}

/// Runs `steps` side by side; returns what came of each, in their order.
pub(super) fn run_all(
    steps: &[Step],
    context: &Context,
    journal: &mut Journal,
    runner: &Runner,
    run_name: &str,
) -> Vec<Outcome> {
    let needs: Vec<Needs> = steps
        .iter()
        .map(|step| Needs { waits_for: step.waits_for.clone(), heavy: step.script.declarations.heavy })
        .collect();
    let preparation = Preparation {
        context,
        runner,
        history: context.history(),
        journal: Mutex::new(journal),
        run_name,
        session: orphans::own_session(),
        shared_dumps: gate::shared_dumps(steps),
    };
    runner.watcher.expect(steps.len());
    let one = |place: usize| {
        let outcome = preparation.step(place, &steps[place]);
        runner.watcher.finished(&outcome);
        outcome
    };
    let results = schedule::run(&needs, context.options.jobs, runner.cancel, &one);
    let interrupted = |step: &Step| {
        let outcome = Outcome::new(&step.candidate.name, Verdict::NotRun("interrupted".into()));
        runner.watcher.finished(&outcome);
        outcome
    };
    let outcomes =
        steps.iter().zip(results).map(|(step, result)| result.unwrap_or_else(|| interrupted(step)));
    let mut outcomes: Vec<_> = outcomes.collect();
    preparation.check_against_ignore_rules(steps, &mut outcomes);
    // How those with a dump went is known now.
    for outcome in outcomes.iter_mut().filter(|outcome| !outcome.files.is_empty()) {
        preparation.remember(outcome);
    }
    outcomes
}

impl<'a> Preparation<'a> {
    fn journal(&self) -> MutexGuard<'_, &'a mut Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, place: usize, step: &Step) -> Outcome {
        let service = &step.candidate.name;
        if let Some(outcome) = unfit(step) {
            return outcome;
        }
        if let Some(what) = self.shared_dumps.get(&place) {
            let verdict = Verdict::Failed("dump is declared by two services".into());
            return Outcome { details: vec![what.clone()], ..Outcome::new(service, verdict) };
        }
        let earlier = self.journal().entry(service).cloned();
        let started = unix_now();
        let entry = self.entry(step, started, earlier.as_ref());
        let is_held = earlier.as_ref().is_some_and(|earlier| earlier.is_prepared && !earlier.keys.is_empty());
        if is_held {
            // Its script would find it stopped already, and note down nothing to start again.
            return match self.journal().update(service, |held| held.keys.extend(entry.keys)) {
                Ok(()) => Outcome {
                    details: vec!["prepared already, for a backup that goes on".into()],
                    ..Outcome::new(service, Verdict::Ok)
                },
                Err(error) => Outcome::new(service, Verdict::NotRun(one_line(&error))),
            };
        }
        if let Err(error) = self.journal().begin(entry) {
            return Outcome::new(service, Verdict::NotRun(one_line(&error)));
        }
        let mut outcome = Outcome { started, ..self.run(step) };
        let is_interrupted = self.runner.cancel.is_cancelled();
        if step.script.declarations.may_fail && !is_interrupted {
            outcome.allow_failure();
        }
        if let (Some(down), false) = (earlier.filter(|entry| entry.failures > 0), is_interrupted) {
            // The same trouble as that of its after step, and no other service's.
            outcome.allow_failure();
            outcome.warn(&format!("its {AFTER} has failed: {}", down.why.unwrap_or_default()));
        }
        if !self.context.options.key.is_empty() && !outcome.is_failure() {
            // Only a second backup asks for it; without it that one prepares the service again.
            let _ = self.journal().update(service, |entry| entry.is_prepared = true);
        }
        if outcome.files.is_empty() {
            self.remember(&mut outcome);
        }
        outcome
    }

    fn entry(&self, step: &Step, started: i64, earlier: Option<&Entry>) -> Entry {
        let deadline = i64::try_from(self.context.options.after_deadline.as_secs()).unwrap_or(i64::MAX);
        let key = &self.context.options.key;
        let mut keys: BTreeSet<_> = earlier.map(|earlier| earlier.keys.clone()).unwrap_or_default();
        keys.extend((!key.is_empty()).then(|| key.clone()));
        let dumps = step.script.declarations.dumps.iter().map(Dump::folder);
        let dumps = dumps.filter(|below| *below != Path::new("")).collect();
        let failing = earlier.filter(|earlier| earlier.failures > 0);
        Entry {
            service: step.candidate.name.clone(),
            folder: step.script.folder.clone(),
            dumps,
            run: self.run_name.to_string(),
            boot: boot_id().to_string(),
            session: self.session,
            keys,
            started: failing.map_or(started, |failing| failing.started),
            due: started.saturating_add(deadline),
            has_after: step.candidate.after.is_some(),
            failures: failing.map_or(0, |failing| failing.failures),
            why: failing.and_then(|failing| failing.why.clone()),
            ..Entry::default()
        }
    }

    fn run(&self, step: &Step) -> Outcome {
        let (service, folder) = (&step.candidate.name, &step.script.folder);
        let declarations = &step.script.declarations;
        let started = Instant::now();
        // A declaration that can't be read may be that of a dump: its script gets the folder all the same.
        let has_dumps = !declarations.dumps.is_empty() || !declarations.problems.is_empty();
        let made = has_dumps.then(|| gate::make_dump_dir(folder, &declarations.dumps)).transpose();
        let staging = match made {
            Ok(staging) => staging,
            Err(error) => {
                let hint = "dumps are put beside their places, so you have to be able to write there";
                let outcome = Outcome::new(service, Verdict::Failed(one_line(&error)));
                return Outcome { hint: Some(hint.into()), ..outcome };
            }
        };
        let dump_dir = staging.as_ref().map(Scratch::path);
        let start = gate::start(folder, &declarations.dumps, dump_dir);
        self.runner.watcher.started(&step.candidate.shown_name());
        let mut outcome = self.runner.run(service, &step.script, dump_dir);
        let did_well = outcome.verdict == Verdict::Ok;
        if let (Some((line, expected)), true) = (declarations.problems.first(), did_well) {
            // Its author counts on it, so the step does not pass as if it were not there.
            outcome.verdict = Verdict::Failed(format!("{PREPARE} line {line}: {expected}"));
            let others = declarations.problems[1..].iter();
            outcome.details.extend(others.map(|(line, expected)| format!("line {line}: {expected}")));
        } else if did_well {
            self.runner.watcher.checking(&step.candidate.shown_name());
            let limit = declarations.timeout.unwrap_or(self.runner.timeout);
            let budget = Budget::after(started, outcome.elapsed, limit, self.runner.cancel);
            self.prove(step, dump_dir, &start, &budget, &mut outcome);
        }
        if step.script.by_shell && did_well {
            outcome.warn(&format!("{PREPARE} has no #! line, so /bin/sh runs it"));
        }
        if let Some(staging) = staging {
            merge_into(gate::remove_dump_dir(staging), &mut outcome);
        }
        outcome.elapsed = outcome.elapsed.max(started.elapsed());
        outcome
    }

    /// The dumps that the script declares, and those that it has written without declaring them.
    fn prove(
        &self,
        step: &Step,
        dump_dir: Option<&Path>,
        start: &Start,
        budget: &Budget,
        outcome: &mut Outcome,
    ) {
        let dumps = &step.script.declarations.dumps;
        if let Some(staging) = dump_dir {
            let last_good = self.history.last_good(&step.candidate.name);
            let known = last_good.as_ref().ok().cloned().unwrap_or_default();
            let request = Request {
                folder: &step.script.folder,
                dumps,
                staging,
                start,
                budget,
                last_good: &known,
                accept_shrunk: self.context.options.accept_shrunk,
            };
            let mut report = request.pass();
            if let Err(error) = last_good {
                report.warnings.push(format!("no dump could be compared: {}", one_line(&error)));
            }
            outcome.dumps.clone_from(&report.seen);
            if report.faults.is_empty() {
                outcome.files.clone_from(&report.files);
            }
            merge_into(report, outcome);
        }
        if !outcome.is_failure() {
            merge_into(gate::undeclared(&step.script.folder, dumps, start, budget), outcome);
        }
    }

    /// Last of all: a dump that is good and not in the backup is not a dump.
    fn check_against_ignore_rules(&self, steps: &[Step], outcomes: &mut [Outcome]) {
        let files: Vec<_> = outcomes.iter().map(|outcome| outcome.files.as_slice()).collect();
        let reports = gate::left_out(&files, &self.context.settings, self.runner.cancel);
        if self.runner.cancel.is_cancelled() {
            for outcome in outcomes.iter_mut().filter(|outcome| !outcome.files.is_empty()) {
                outcome.verdict = Verdict::Failed("interrupted".into());
                outcome
                    .details
                    .push("interrupted before the dump was checked against the ignore rules".into());
                self.runner.watcher.finished(outcome);
            }
            return;
        }
        for ((step, outcome), report) in steps.iter().zip(outcomes).zip(reports) {
            if report.faults.is_empty() && report.warnings.is_empty() {
                continue;
            }
            merge_into(report, outcome);
            if step.script.declarations.may_fail {
                outcome.allow_failure();
            }
            self.runner.watcher.finished(outcome);
        }
    }

    /// Adds the run to the service's history. That it can't be written is reported; the dump is there all the same.
    fn remember(&self, outcome: &mut Outcome) {
        let record = RunRecord {
            at: outcome.started,
            seconds: outcome.elapsed.as_secs_f64(),
            good: outcome.is_good(),
            why: outcome.verdict.why().cloned(),
            dumps: outcome.dumps.iter().map(|seen| (seen.dump.clone(), seen.bytes)).collect(),
            shrunk: outcome
                .dumps
                .iter()
                .filter(|seen| seen.has_shrunk)
                .map(|seen| seen.dump.clone())
                .collect(),
        };
        if let Err(error) = self.history.add(&outcome.service, &record) {
            outcome.details.push(one_line(&error));
        }
    }
}

/// What becomes of a step whose script must not be run, or whose after script could not undo it.
fn unfit(step: &Step) -> Option<Outcome> {
    let service = &step.candidate.name;
    let outcome = |verdict, hint: &Option<String>| {
        Some(Outcome { hint: hint.clone(), ..Outcome::new(service, verdict) })
    };
    if let Some(Refusal { what, hint, is_skipped }) = &step.script.refusal {
        return match is_skipped {
            true => outcome(Verdict::Warned(format!("{PREPARE} {what}, so it was skipped")), hint),
            false => outcome(Verdict::Failed(format!("{PREPARE} {what}")), hint),
        };
    }
    // What it stops would stay stopped.
    let Refusal { what, hint, .. } = step.candidate.after.as_ref()?.refusal.as_ref()?;
    outcome(Verdict::Failed(format!("{AFTER} {what}")), hint)
}

/// The gate's report becomes the step's result.
fn merge_into(report: Report, outcome: &mut Outcome) {
    if let Some(first) = report.faults.first() {
        let more = match report.faults.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        outcome.verdict = Verdict::Failed(format!("{}{more}", first.short));
        outcome.details.extend(report.faults.into_iter().map(|fault| fault.detail));
    } else {
        if let (Some(first), Verdict::Ok) = (report.unproved.first(), &outcome.verdict) {
            outcome.verdict = Verdict::Unproved(first.short.clone());
        }
        for odd in report.shrunk.iter().chain(&report.doubts) {
            outcome.warn(&odd.short);
        }
        if !report.warnings.is_empty() {
            outcome.warn("dump could not be proved in full");
        }
    }
    let odd = report.shrunk.into_iter().chain(report.unproved).chain(report.doubts);
    outcome.details.extend(odd.map(|odd| odd.detail));
    outcome.details.extend(report.warnings);
    outcome.details.extend(report.notes);
}
