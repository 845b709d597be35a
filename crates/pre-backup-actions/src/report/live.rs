//! For a person at a terminal: one live line for each running script, a bar over all, a table at the end.
//!
//! The live lines are on standard error and go away; what went wrong and the table are on standard output and stay.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::text::{DIM, escape};
use common::{out, units, width};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::plain::{Plain, change};
use super::table;
use crate::outcome::{Outcome, Verdict};
use crate::watcher::Watcher;

#[derive(Debug)]
pub(crate) struct Live {
    lines: MultiProgress,
    all: ProgressBar,
    running: Mutex<HashMap<String, ProgressBar>>,
}

const TICK: Duration = Duration::from_millis(120);

impl Live {
    pub(crate) fn new() -> Live {
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let all = lines.add(ProgressBar::new(0));
        all.set_style(style("{bar:24} {pos} of {len} {elapsed}"));
        Live { lines, all, running: Mutex::new(HashMap::new()) }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, ProgressBar>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Watcher for Live {
    fn expect(&self, steps: usize) {
        if steps == 0 {
            return;
        }
        // Nothing is drawn until both numbers are those of this task.
        self.lines.set_draw_target(ProgressDrawTarget::hidden());
        self.all.reset();
        self.all.set_length(steps as u64);
        self.lines.set_draw_target(ProgressDrawTarget::stderr());
        // Without a tick it would be drawn when the first step is over.
        self.all.enable_steady_tick(Duration::from_secs(1));
    }

    fn started(&self, service: &str) {
        let line = self.lines.insert_before(&self.all, ProgressBar::new_spinner());
        line.set_style(style("{spinner} {prefix} {elapsed} {wide_msg:.dim}"));
        line.set_prefix(service.to_string());
        line.enable_steady_tick(TICK);
        self.running().insert(service.to_string(), line);
    }

    fn checking(&self, service: &str) {
        if let Some(line) = self.running().get(service) {
            line.set_message("checking its dumps");
        }
    }

    fn line(&self, service: &str, text: &str) {
        match self.running().get(service) {
            Some(line) => line.set_message(text.to_string()),
            None => self.lines.suspend(|| Plain.line(service, text)),
        }
    }

    fn finished(&self, outcome: &Outcome) {
        if let Some(line) = self.running().remove(&outcome.shown_name()) {
            line.finish_and_clear();
        }
        self.all.inc(1);
        // Without this it would show the old number until its next tick, which may come after the last step.
        self.all.force_draw();
        if outcome.verdict == Verdict::Ok {
            return;
        }
        self.lines.suspend(|| {
            Plain.finished(outcome);
            if let (Some(last), true) = (&outcome.last_line, outcome.is_failure()) {
                out!("  {DIM}its last line: {last}{DIM:#}");
            }
        });
    }

    fn close(&self, outcomes: &[Outcome]) {
        self.all.finish_and_clear();
        if !outcomes.is_empty() {
            let columns = width::of_terminal(std::io::stdout());
            out!("{}", table(&HEADS, outcomes.iter().map(row), columns));
        }
    }
}

const HEADS: [&str; 5] = ["service", "result", "time", "dump", "change"];

fn row(outcome: &Outcome) -> Vec<String> {
    let (word, colour) = outcome.verdict.word();
    let text = match &outcome.verdict {
        Verdict::Ok => word.to_string(),
        Verdict::Unproved(why) => format!("{word}: {}", escape(why.as_bytes())),
        Verdict::Warned(why) | Verdict::Failed(why) | Verdict::NotRun(why) => escape(why.as_bytes()),
    };
    let result = format!("{colour}{text}{colour:#}");
    let bytes: u64 = outcome.dumps.iter().map(|seen| seen.bytes).sum();
    let before: Option<u64> = outcome.dumps.iter().map(|seen| seen.before).sum();
    let dump = if outcome.dumps.is_empty() { String::new() } else { units::bytes(bytes) };
    let change = before.filter(|before| *before > 0).map(|before| change(bytes, before)).unwrap_or_default();
    vec![outcome.shown_name(), result, units::duration(outcome.elapsed), dump, change]
}
