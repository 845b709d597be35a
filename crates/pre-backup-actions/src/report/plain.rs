//! For a pipe: one plain line after another, each with its service in front.

use common::text::{DIM, escape, escape_path};
use common::{out, units};

use crate::gate::Seen;
use crate::outcome::{Outcome, Verdict};
use crate::watcher::Watcher;

#[derive(Debug)]
pub(crate) struct Plain;

impl Watcher for Plain {
    fn line(&self, service: &str, text: &str) {
        out!("{DIM}{service} |{DIM:#} {text}");
    }

    fn finished(&self, outcome: &Outcome) {
        let (name, time) = (outcome.shown_name(), units::duration(outcome.elapsed));
        let time = std::iter::once(time).chain(outcome.dumps.iter().map(dump)).collect::<Vec<_>>().join(", ");
        let (word, colour) = outcome.verdict.word();
        let why = outcome.verdict.why().map(|why| format!(": {why}")).unwrap_or_default();
        let time =
            if matches!(outcome.verdict, Verdict::NotRun(_)) { String::new() } else { format!(" ({time})") };
        out!("{name}: {colour}{word}{colour:#}{why}{time}");
        for detail in &outcome.details {
            out!("  {detail}");
        }
        if let Some(hint) = &outcome.hint {
            out!("  hint: {hint}");
        }
        if let (Some(log), true) = (&outcome.log, outcome.is_failure()) {
            out!("  log: {}", escape_path(log));
        }
    }
}

/// A dump with its size and how that has changed.
pub(super) fn dump(seen: &Seen) -> String {
    let name = escape(seen.dump.as_bytes());
    match seen.before {
        Some(before) if before > 0 => {
            format!("{name} {} ({})", units::bytes(seen.bytes), change(seen.bytes, before))
        }
        _ => format!("{name} {}", units::bytes(seen.bytes)),
    }
}

/// `+3 %`, `-0.2 %`, `as before`.
pub(super) fn change(bytes: u64, before: u64) -> String {
    let per_cent = (bytes as f64 / before as f64 - 1.0) * 100.0;
    match per_cent {
        _ if bytes == before => "as before".into(),
        small if small.abs() < 9.95 => format!("{small:+.1} %"),
        large => format!("{large:+.0} %"),
    }
}

/// Prints nothing: the result is one JSON object at the end.
#[derive(Debug)]
pub(crate) struct Silent;

impl Watcher for Silent {}
