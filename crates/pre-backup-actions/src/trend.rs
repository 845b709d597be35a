//! `--history`: how earlier runs went. One line a service, or one line a run of a single one.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use anyhow::{Result, anyhow};
use common::exit::{Exit, HintExt};
use common::text::{BAD, GOOD, escape, escape_path};
use common::{out, units, width};

use crate::context::Context;
use crate::history::RunRecord;
use crate::name;
use crate::report::{print_json, table};

/// Runs that are shown, the newest ones.
const SHOWN: usize = 20;

pub(crate) fn show(context: &Context, service: Option<&OsStr>) -> Result<Exit> {
    let history = context.history();
    let names = match service {
        Some(name) => vec![name.to_os_string()],
        None => history.services()?,
    };
    let runs = names.into_iter().map(|name| Ok((history.of(&name)?, name)));
    let mut runs = runs.collect::<Result<Vec<_>>>()?;
    if context.options.json {
        let all = runs.iter().map(|(records, name)| (name::encode(name), records));
        print_json(&all.collect::<BTreeMap<_, _>>());
        return Ok(Exit::Done);
    }
    let Some(service) = service else { return all(&runs) };
    let records = runs.pop().map(|(records, _)| records).unwrap_or_default();
    if records.is_empty() {
        return Err(anyhow!("show the history: {}: no run of this service is known", escape_path(service)))
            .hint("pre-backup-actions --history shows all services that have one");
    }
    let newest = &records[records.len().saturating_sub(SHOWN)..];
    let largest = newest.iter().map(size).max().unwrap_or(0);
    let rows = newest.iter().map(|record| {
        let (bytes, bar) = if record.dumps.is_empty() {
            (String::new(), String::new())
        } else {
            (units::bytes(size(record)), bar(size(record), largest))
        };
        vec![when(record), result(record), time(record), bytes, bar]
    });
    out!("{}", table(&["started", "result", "time", "dumps", ""], rows, columns()));
    Ok(Exit::Done)
}

fn all(runs: &[(Vec<RunRecord>, OsString)]) -> Result<Exit> {
    let mut rows = Vec::new();
    for (records, service) in runs {
        let Some(last) = records.last() else { continue };
        let newest = &records[records.len().saturating_sub(SHOWN)..];
        let bytes = if last.dumps.is_empty() { String::new() } else { units::bytes(size(last)) };
        rows.push(vec![escape_path(service), when(last), result(last), time(last), bytes, trend(newest)]);
    }
    if rows.is_empty() {
        out!("no run is known yet");
    } else {
        out!(
            "{}",
            table(&["service", "last run", "result", "time", "dumps", "trend"], rows.into_iter(), columns())
        );
    }
    Ok(Exit::Done)
}

fn columns() -> Option<usize> {
    width::of_terminal(std::io::stdout())
}

fn size(record: &RunRecord) -> u64 {
    record.dumps.values().sum()
}

fn when(record: &RunRecord) -> String {
    let moment = jiff::Timestamp::from_second(record.at).map(units::local).unwrap_or_default();
    // Minutes are enough here.
    moment.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

fn time(record: &RunRecord) -> String {
    units::duration(std::time::Duration::try_from_secs_f64(record.seconds).unwrap_or_default())
}

fn result(record: &RunRecord) -> String {
    match &record.why {
        None => format!("{GOOD}ok{GOOD:#}"),
        Some(why) => format!("{BAD}{}{BAD:#}", escape(why.as_bytes())),
    }
}

/// Ten cells at most, as long as `bytes` is of `largest`.
fn bar(bytes: u64, largest: u64) -> String {
    let cells = (u128::from(bytes) * 10).div_ceil(u128::from(largest.max(1)));
    "█".repeat(usize::try_from(cells).unwrap_or(0))
}

/// The sizes of the dumps of good runs, one character each.
fn trend(records: &[RunRecord]) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let largest = records.iter().map(size).max().unwrap_or(0);
    if largest == 0 {
        return String::new();
    }
    let step = |record: &RunRecord| {
        if !record.good {
            return '×';
        }
        let index = u128::from(size(record)) * 7 / u128::from(largest);
        STEPS[usize::try_from(index).unwrap_or(7)]
    };
    records.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bytes: u64, good: bool) -> RunRecord {
        let dumps = [("db".to_string(), bytes)].into();
        RunRecord { at: 0, seconds: 0.1, good, why: None, dumps, shrunk: std::collections::BTreeSet::new() }
    }

    #[test]
    fn sizes_become_a_line_that_the_eye_can_follow() {
        let records = [record(0, true), record(500, true), record(3, false), record(1000, true)];
        assert_eq!(trend(&records), "▁▄×█");
        assert_eq!(trend(&[record(0, true)]), "");
        assert_eq!(
            (bar(1, 1000), bar(1000, 1000).chars().count(), bar(0, 0)),
            ("█".into(), 10, String::new())
        );
    }
}
