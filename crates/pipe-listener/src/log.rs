//! `logs/listener.log`: one line an event, for people, bounded in size.
//!
//! Whatever came over the bridge is escaped and cut before it gets here. Each kind of line that the other end can cause
//! at will has a budget of its own ([`Topic`]), so that a flood of one kind hides no other: what is beyond the budget is
//! counted, and the count is logged. What the listener itself does is always logged.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use common::rotating_log::RotatingLog;
use common::text::{escape, escape_path};
use common::units;

use crate::tally::{Ending, Tally};

/// How many lines of a topic are logged at once.
const BURST: u32 = 30;
/// After this time one more line of a topic is logged.
const REFILL: Duration = Duration::from_secs(240);
/// How often the number of lines that were left out is logged.
const SUMMARY: Duration = Duration::from_secs(600);

/// What a line is about, for its budget.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// Something the listener found: a door that was replaced, a disk that is full.
    Found,
    NotAMessage,
    /// A message that no action has the name of.
    UnknownName,
    /// A message that was refused, because too many wait or because its file is not safe.
    Refused,
    /// A message of this name that was accepted. Only names of actions get here.
    Message(String),
    /// A message of this name that failed: any number that work leave room for it.
    Failed(String),
}

#[derive(Debug)]
pub(crate) struct Log {
    log: RotatingLog,
    tally: Tally,
    /// A person, or systemd's journal, reads standard output.
    is_echoed: bool,
    budgets: BTreeMap<Topic, Budget>,
    /// When the first line was left out that is not counted in the log yet.
    flooded: Option<Instant>,
}

#[derive(Debug)]
struct Budget {
    left: u32,
    refilled: Instant,
    left_out: u64,
}

impl Log {
    /// The log at `path`, and the counts at `counts`.
    pub(crate) fn open(path: &Path, counts: &Path) -> Result<Log> {
        let log = RotatingLog::open(path).with_context(|| format!("open the log: {}", escape_path(path)))?;
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        let is_echoed = is_terminal || std::env::var_os("JOURNAL_STREAM").is_some();
        let (tally, problem) = Tally::open(counts);
        let mut log = Log { log, tally, is_echoed, budgets: BTreeMap::new(), flooded: None };
        problem.iter().for_each(|problem| log.event(problem));
        Ok(log)
    }

    pub(crate) fn event(&mut self, event: &str) {
        let line = format!("{} {event}", units::now());
        if self.is_echoed {
            common::out!("{line}");
        }
        // A disk that is full now is tried again with the next line.
        let _ = self.log.event(&line);
    }

    /// Logs something that the listener found, if there is budget left for it.
    pub(crate) fn found(&mut self, event: &str) {
        self.sparingly(Topic::Found, event);
    }

    /// Logs an event if there is budget left for its topic.
    pub(crate) fn sparingly(&mut self, topic: Topic, event: &str) {
        self.sparingly_at(topic, event, Instant::now());
    }

    fn sparingly_at(&mut self, topic: Topic, event: &str, now: Instant) {
        let budget = self.budgets.entry(topic).or_insert(Budget { left: BURST, refilled: now, left_out: 0 });
        let refills = now.duration_since(budget.refilled).as_secs() / REFILL.as_secs();
        let refills = u32::try_from(refills).unwrap_or(BURST).min(BURST);
        if refills > 0 {
            budget.left = (budget.left + refills).min(BURST);
            budget.refilled = now;
        }
        if budget.left == 0 {
            budget.left_out += 1;
            self.flooded.get_or_insert(now);
            return;
        }
        budget.left -= 1;
        self.event(event);
    }

    /// Counts a message and logs it if there is budget left for its topic.
    pub(crate) fn count(&mut self, name: &str, ending: Ending, topic: Topic, event: &str) {
        self.tally.count(name, ending);
        self.sparingly(topic, event);
    }

    /// When [`Log::keep`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        let summary = self.flooded.map(|since| since + SUMMARY);
        summary.into_iter().chain(self.tally.due()).min()
    }

    /// Logs how many lines were left out, and writes the counts, if it is time.
    pub(crate) fn keep(&mut self, now: Instant) {
        if self.flooded.is_some_and(|since| since + SUMMARY <= now) {
            self.sum_up_now();
        }
        if let Err(error) = self.tally.save(now) {
            self.found(&common::exit::one_line(&error));
        }
    }

    fn sum_up_now(&mut self) {
        self.flooded = None;
        let flooded = self.budgets.iter_mut().filter(|(_, budget)| budget.left_out > 0);
        let line = |(topic, budget): (&Topic, &mut Budget)| {
            let count = std::mem::take(&mut budget.left_out);
            format!("{topic}: {count} more lines of this kind were left out")
        };
        flooded.map(line).collect::<Vec<_>>().iter().for_each(|line| self.event(line));
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Topic::Found => "found by the listener",
            Topic::NotAMessage => "not a message",
            Topic::UnknownName => "unknown messages",
            Topic::Refused => "refused messages",
            Topic::Message(name) => name,
            Topic::Failed(name) => return write!(f, "{name} that failed"),
        })
    }
}

/// What is left out in the last minutes is logged too.
impl Drop for Log {
    fn drop(&mut self) {
        self.sum_up_now();
    }
}

/// Something foreign, escaped and cut to a length that leaves a log line readable.
pub(crate) fn short(foreign: &[u8]) -> String {
    const MOST: usize = 160;
    let escaped = escape(&foreign[..foreign.len().min(4 * MOST)]);
    match escaped.char_indices().nth(MOST) {
        Some((cut, _)) => format!("{}…", &escaped[..cut]),
        None => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(folder: &tempfile::TempDir) -> String {
        std::fs::read_to_string(folder.path().join("listener.log")).unwrap()
    }

    #[track_caller]
    fn open() -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        let log =
            Log::open(&folder.path().join("listener.log"), &folder.path().join("messages.txt")).unwrap();
        (folder, log)
    }

    #[test]
    fn a_flood_of_one_kind_is_counted_and_hides_no_other() {
        let (folder, mut log) = open();
        (0..1000).for_each(|_| log.sparingly(Topic::NotAMessage, "not well formed"));
        log.found("the FIFO was replaced");
        log.sparingly(Topic::Message("ping".into()), "one ping");
        drop(log);
        let text = read(&folder);
        assert_eq!(text.lines().count(), BURST as usize + 3);
        assert!(text.contains("the FIFO was replaced") && text.contains("one ping\n"), "{text}");
        assert!(text.ends_with("970 more lines of this kind were left out\n"), "{text}");
    }

    #[test]
    fn a_flood_of_a_day_leaves_the_record_of_a_day() {
        let (folder, mut log) = open();
        log.event("the listener started");
        let start = Instant::now();
        for second in 0..24 * 3600 {
            let now = start + Duration::from_secs(second);
            for topic in [Topic::NotAMessage, Topic::UnknownName, Topic::Refused]
                .into_iter()
                .chain(bridge::action::BuiltIn::ALL.map(|action| Topic::Message(action.name().into())))
                .chain(bridge::action::BuiltIn::ALL.map(|action| Topic::Failed(action.name().into())))
            {
                log.sparingly_at(topic, &"x".repeat(200), now);
            }
        }
        drop(log);
        let older = std::fs::read_to_string(folder.path().join("listener.log.1")).unwrap();
        assert!(older.contains("the listener started"));
    }

    #[test]
    fn what_is_foreign_is_short_and_harmless() {
        assert_eq!(short(b"\x1b[2J\xff"), "\\x1b[2J\\xff");
        assert_eq!(short(&[b'a'; 4000]).chars().count(), 161);
    }
}
