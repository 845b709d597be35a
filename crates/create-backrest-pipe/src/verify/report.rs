//! How a verification is shown: a table of the services, what is wrong, and one line that sums it up; and how that line
//! is pushed.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use bridge::action::BuiltIn;
use bridge::request::{Notification, SHORT, encode};
use comfy_table::{CellAlignment, Table, presets};
use common::contract::verification::{Outcome, ServiceCounts, Verification};
use common::exit::HintExt;
use common::process::{self, Limits};
use common::settings::Settings;
use common::text::{self, count, escape};

/// The listener waits its turn.
const PUSH_TIME: Duration = Duration::from_secs(300);

pub(super) fn print(verification: &Verification) {
    if !verification.services.is_empty() {
        common::out!("{}", table(verification));
    }
    if !verification.explained.is_empty() {
        let explained =
            verification.explained.iter().map(|(reason, count)| format!("{count} {}", reason.words()));
        common::out!("Explained: {}", explained.collect::<Vec<_>>().join(", "));
    }
    for fault in &verification.faults {
        let (style, reset) = (text::BAD, text::BAD.render_reset());
        let what = escape(fault.what.as_bytes());
        match &fault.path {
            Some(path) => common::out!("{style}✗{reset} {path}: {what}"),
            None => common::out!("{style}✗{reset} {what}"),
        }
    }
    let unlisted = unlisted(verification);
    if unlisted > 0 {
        common::out!("  and {unlisted} more of the same kinds");
    }
    common::out!("{}", summary(verification));
}

fn unlisted(verification: &Verification) -> u64 {
    let listed = verification.faults.iter().filter(|fault| fault.service.is_some()).count() as u64;
    verification.total().unexplained.saturating_sub(listed)
}

fn table(verification: &Verification) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["service", "files", "in snapshot", "explained", "wrong", "dumps", "sample"]);
    for (name, service) in &verification.services {
        table.add_row(row(name, service));
    }
    if verification.services.len() > 1 {
        table.add_row(row("total", &verification.total()));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(name: &str, service: &ServiceCounts) -> Vec<String> {
    let of = |good: u64, all: u64| if all == 0 { String::new() } else { format!("{good} of {all}") };
    vec![
        name.to_string(),
        service.files.to_string(),
        service.in_snapshot.to_string(),
        service.explained.to_string(),
        service.unexplained.to_string(),
        of(service.dumps_proved, service.dumps),
        of(service.sample_same, service.sample),
    ]
}

pub(crate) fn summary(verification: &Verification) -> String {
    if let Some(error) = &verification.error {
        return format!("backup not verified: {error}");
    }
    let total = verification.total();
    let id: String = verification.snapshot.iter().flat_map(|snapshot| snapshot.id.chars().take(8)).collect();
    let at = verification.snapshot.as_ref().map_or("?".into(), |snapshot| super::local_time(snapshot.at));
    let mut parts = vec![format!("{} of {} files", total.in_snapshot, total.files)];
    if total.explained > 0 {
        parts.push(format!("{} explained", total.explained));
    }
    if total.dumps > 0 {
        parts.push(format!("{} of {} dumps proved", total.dumps_proved, total.dumps));
    }
    if total.dumps_unproved > 0 {
        parts.push(format!("{} of a kind that can't be proved", total.dumps_unproved));
    }
    parts.push(format!("{} of {} sampled files restored", total.sample_same, total.sample));
    let verdict = match verification.outcome {
        Outcome::Proved => "backup proved".to_string(),
        _ => format!("backup wrong: {}", differences(verification)),
    };
    format!("{verdict}: snapshot {id} of {at}: {}", parts.join(", "))
}

/// What is wrong, in one short line: the number of faults and the first of them, or why nothing was verified.
fn alarm(verification: &Verification) -> String {
    let text = match (&verification.error, verification.faults.first()) {
        (Some(_), _) | (None, None) => summary(verification),
        (None, Some(fault)) => {
            let first = fault.path.as_ref().unwrap_or(&fault.what);
            format!("backup wrong: {}, first: {first}", differences(verification))
        }
    };
    let letters: Vec<char> = escape(text.as_bytes()).chars().collect();
    if letters.len() <= SHORT {
        return letters.iter().collect();
    }
    let (start, end) = (&letters[..SHORT / 2], &letters[letters.len() + 1 - SHORT / 2..]);
    start.iter().chain(['…'].iter()).chain(end).collect()
}

fn differences(verification: &Verification) -> String {
    let whole = verification.faults.iter().filter(|fault| fault.service.is_none()).count() as u64;
    let wrong = usize::try_from(verification.total().unexplained + whole).unwrap_or(usize::MAX);
    count(wrong, "difference")
}

/// Pushes the summary, or what is wrong, through the listener.
pub(super) fn notify(verification: &Verification, settings: &Settings) -> Result<()> {
    let (action, text) = match verification.outcome {
        Outcome::Proved => (BuiltIn::NotifyUp, summary(verification)),
        _ => (BuiltIn::NotifyDown, alarm(verification)),
    };
    let plan = verification.plan.as_deref().map(encode);
    let request = Notification { plan, text: escape(text.as_bytes()), ..Notification::default() };
    let mut command = Command::new(common::paths::tool("backrest-send"));
    command.arg("--bridge").arg(settings.layout().bridge()).args(["--timeout", "2m", action.name()]);
    command.arg(request.to_text());
    let sent = process::capture(&mut command, b"", Limits::within(PUSH_TIME), None)?.success();
    sent.context("push the result").hint("see that the listener runs: create-backrest-pipe status")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_short_and_keeps_both_ends() {
        let error = format!("log in: {}: no answer", "x".repeat(500));
        let text = alarm(&Verification { error: Some(error), ..Verification::default() });
        assert!(text.starts_with("backup not verified: log in: ") && text.ends_with(": no answer"), "{text}");
        assert_eq!(text.chars().count(), SHORT);
    }
}
