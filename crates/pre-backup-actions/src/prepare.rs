//! The prepare steps of a plan: each is written to the journal, run, and its dumps proved before it counts as done.
//!
//! The entry stands in the journal before its script starts: what a script stopped is known whatever happens next.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use common::exit::one_line;

use crate::app::Context;
use crate::discover::PREPARE;
use crate::gate::{self, Gate, Report, Request, Staging, Start};
use crate::history::{History, Record};
use crate::journal::{Entry, Journal, boot_id, unix_now};
use crate::orphans;
use crate::plan::Step;
use crate::report::{Outcome, Verdict};
use crate::run::{Job, Runner};
use crate::schedule::{self, Needs};

/// What a step needs beside itself.
struct Preparation<'a> {
    context: &'a Context<'a>,
    runner: &'a Runner<'a>,
    gate: Gate<'a>,
    history: History,
    journal: Mutex<&'a mut Journal>,
    run_name: &'a str,
    boot: String,
    session: Option<i32>,
    /// Steps whose dump another service declares too.
    claimed_twice: BTreeMap<usize, String>,
}

/// Runs `steps` side by side; gives what came of each, in their order.
pub(crate) fn run_all(
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
        gate: Gate {
            settings: &context.settings,
            cancel: runner.cancel,
            accept_shrunk: context.cli.accept_shrunk,
        },
        history: context.history(),
        journal: Mutex::new(journal),
        run_name,
        boot: boot_id(),
        session: orphans::own_session(),
        claimed_twice: gate::claimed_twice(steps),
    };
    if let Err(error) = preparation.plan(steps) {
        let not_run =
            |step: &Step| Outcome::new(&step.candidate.service.name, Verdict::NotRun(one_line(&error)));
        let outcomes: Vec<_> = steps.iter().map(not_run).collect();
        outcomes.iter().for_each(|outcome| runner.watcher.ended(outcome));
        return outcomes;
    }
    runner.watcher.expect(steps.len());
    let one = |place: usize| {
        let outcome = preparation.step(place, &steps[place]);
        runner.watcher.ended(&outcome);
        outcome
    };
    let results = schedule::run(&needs, context.jobs(), runner.cancel, &one);
    let interrupted = |step: &Step| {
        let outcome = Outcome::new(&step.candidate.service.name, Verdict::NotRun("interrupted".into()));
        runner.watcher.ended(&outcome);
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
    /// Before anything starts, all that may start is on the disk.
    fn plan(&self, steps: &[Step]) -> Result<()> {
        let now = unix_now();
        let entries: Vec<_> = steps.iter().map(|step| self.entry(step, now)).collect();
        self.journal().plan(&entries)
    }

    fn journal(&self) -> MutexGuard<'_, &'a mut Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, place: usize, step: &Step) -> Outcome {
        let service = &step.candidate.service;
        if let Some(refusal) = &step.script.refusal {
            let verdict = Verdict::Failed(format!("{PREPARE} {}", refusal.what));
            return Outcome { hint: refusal.hint.clone(), ..Outcome::new(&service.name, verdict) };
        }
        if let Some(what) = self.claimed_twice.get(&place) {
            let verdict = Verdict::Failed("dump is declared by two services".into());
            return Outcome { details: vec![what.clone()], ..Outcome::new(&service.name, verdict) };
        }
        let begun = unix_now();
        let written =
            self.journal.lock().unwrap_or_else(PoisonError::into_inner).begin(self.entry(step, begun));
        if let Err(error) = written {
            return Outcome::new(&service.name, Verdict::NotRun(one_line(&error)));
        }
        let mut outcome = Outcome { begun, ..self.run(step) };
        if step.script.declarations.may_fail && !self.runner.cancel.is_cancelled() {
            outcome.allow_failure();
        }
        if outcome.files.is_empty() {
            self.remember(&mut outcome);
        }
        outcome
    }

    fn entry(&self, step: &Step, begun: i64) -> Entry {
        let deadline = i64::try_from(self.context.after_deadline.as_secs()).unwrap_or(i64::MAX);
        Entry {
            service: step.candidate.service.name.clone(),
            folder: step.candidate.service.folder.clone(),
            run: self.run_name.to_string(),
            boot: self.boot.clone(),
            session: self.session,
            begun,
            due: begun.saturating_add(deadline),
            has_after: step.candidate.after.is_some(),
            failures: 0,
            why: None,
        }
    }

    fn run(&self, step: &Step) -> Outcome {
        let service = &step.candidate.service;
        let declarations = &step.script.declarations;
        let mut variables: Vec<(OsString, OsString)> = Vec::new();
        let mut gate = None;
        // A declaration that can't be read may be that of a dump: its script gets the folder all the same.
        if !declarations.dumps.is_empty() || !declarations.problems.is_empty() {
            match Staging::new(&service.folder, &declarations.dumps) {
                Ok(folder) => {
                    variables.push(("DUMP_DIR".into(), folder.folder().into()));
                    gate = Some((Start::now(&service.folder, &declarations.dumps, &folder), folder));
                }
                Err(error) => {
                    let hint = "dumps are put beside their places, so you have to be able to write there";
                    let outcome = Outcome::new(&service.name, Verdict::Failed(one_line(&error)));
                    return Outcome { hint: Some(hint.into()), ..outcome };
                }
            }
        }
        self.runner.watcher.started(&step.candidate.shown());
        let ran = self.runner.run(&Job {
            service: &service.name,
            folder: &service.folder,
            script: &step.script.path,
            timeout: declarations.timeout,
            variables,
        });
        let did_well = ran.failure.is_none();
        let mut outcome = Outcome::of(&service.name, ran);
        if let (Some((line, expected)), true) = (declarations.problems.first(), did_well) {
            // Whoever wrote it counts on it, so the step does not pass as if it were not there.
            outcome.verdict = Verdict::Failed(format!("{PREPARE} line {line}: {expected}"));
            let others = declarations.problems[1..].iter();
            outcome.details.extend(others.map(|(line, expected)| format!("line {line}: {expected}")));
        } else if let (Some((start, staging)), true) = (&gate, did_well) {
            let last_good = self.history.last_good(&service.name);
            let known = last_good.as_ref().ok().cloned().unwrap_or_default();
            let dumps = &declarations.dumps;
            let mut report = self.gate.pass(&Request { service, dumps, staging, start, last_good: &known });
            if let Err(error) = last_good {
                report.warnings.push(format!("no dump could be compared: {}", one_line(&error)));
            }
            outcome.dumps.clone_from(&report.seen);
            if report.faults.is_empty() {
                outcome.files.clone_from(&report.files);
            }
            take_over(report, &mut outcome);
        }
        outcome
    }

    /// Last of all: a dump that is good and not in the backup is none.
    fn check_against_ignore_rules(&self, steps: &[Step], outcomes: &mut [Outcome]) {
        let files: Vec<_> = outcomes.iter().map(|outcome| outcome.files.as_slice()).collect();
        let reports = self.gate.left_out(&files);
        if self.runner.cancel.is_cancelled() {
            for outcome in outcomes.iter_mut().filter(|outcome| !outcome.files.is_empty()) {
                outcome.verdict = Verdict::Failed("interrupted".into());
                outcome
                    .details
                    .push("whether the ignore rules leave its dump out was not asked to the end".into());
                self.runner.watcher.ended(outcome);
            }
            return;
        }
        for ((step, outcome), report) in steps.iter().zip(outcomes).zip(reports) {
            if report.faults.is_empty() && report.warnings.is_empty() {
                continue;
            }
            take_over(report, outcome);
            if step.script.declarations.may_fail {
                outcome.allow_failure();
            }
            self.runner.watcher.ended(outcome);
        }
    }

    /// Adds the run to the service's history. That it can't be written is told; the dump is there all the same.
    fn remember(&self, outcome: &mut Outcome) {
        let why = match &outcome.verdict {
            Verdict::Ok => None,
            Verdict::Warned(why) | Verdict::Failed(why) | Verdict::NotRun(why) => Some(why.clone()),
        };
        let record = Record {
            at: outcome.begun,
            seconds: outcome.elapsed.as_secs_f64(),
            good: outcome.is_good(),
            why,
            dumps: outcome.dumps.iter().map(|seen| (seen.dump.clone(), seen.bytes)).collect(),
        };
        if let Err(error) = self.history.add(&outcome.service, &record) {
            outcome.details.push(one_line(&error));
        }
    }
}

/// What the gate says becomes the step's result.
fn take_over(report: Report, outcome: &mut Outcome) {
    if let Some(first) = report.faults.first() {
        let more = match report.faults.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        outcome.verdict = Verdict::Failed(format!("{}{more}", first.short));
        outcome.details.extend(report.faults.into_iter().map(|fault| fault.detail));
    } else if !report.warnings.is_empty() {
        outcome.verdict = Verdict::Warned("dump could not be proved in full".into());
        outcome.is_proved = true;
    }
    outcome.details.extend(report.warnings);
}
