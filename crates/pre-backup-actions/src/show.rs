//! What is there, told without running anything: `--list`, `--dry-run`, `--journal`.
//!
//! Each as plain lines for a person, or as one JSON object.

use anyhow::Result;
use common::exit::Exit;
use common::problem;
use common::text::{DIM, count, escape, escape_path};
use common::units;
use serde_json::json;

use crate::app::{Context, TOOL};
use crate::discover::{Candidate, Script};
use crate::journal::{self, Entry, boot_id, unix_now};
use crate::report::{print_json, say};
use crate::{name, plan};

/// Every service with a script. Exits with 1 where one of them can't be run or says what can't be read.
pub(crate) fn list(context: &Context) -> Result<Exit> {
    let (candidates, services) = context.candidates()?;
    let wanted: Vec<_> =
        candidates.iter().filter(|c| plan::is_wanted(&c.service.name, &context.cli.only)).collect();
    if context.cli.json {
        print_json(&json!({ "services": wanted.iter().map(|c| as_json(c)).collect::<Vec<_>>() }))?;
    } else if wanted.is_empty() {
        say(&format!(
            "none of {} below {} has a prepare-backup.sh",
            count(services, "service"),
            escape_path(&context.settings.data_root)
        ));
    } else {
        for candidate in &wanted {
            say(&line(candidate));
        }
    }
    let fails = |script: &Script| script.refusal.is_some() || !script.declarations.problems.is_empty();
    let refused = wanted.iter().any(|candidate| scripts(candidate).any(fails));
    Ok(if refused { Exit::Failed } else { Exit::Done })
}

/// What would run, in the order in which it would start.
pub(crate) fn plan(context: &Context) -> Result<Exit> {
    let cli = context.cli;
    let (entries, problems) = journal::look(&context.journal_folder())?;
    problem::warn(TOOL, &problems);
    let wanted: Vec<_> = entries.iter().rev().filter(|e| plan::is_wanted(&e.service, &cli.only)).collect();
    let (now, boot) = (unix_now(), boot_id());
    let after: Vec<_> = wanted.iter().filter(|e| !cli.if_due || e.is_due(now, &boot)).collect();
    let mut steps = Vec::new();
    if !cli.after {
        let (candidates, _) = context.candidates()?;
        let (planned, problems) = plan::steps(&candidates, &cli.only)?;
        problem::warn(TOOL, &problems);
        steps = planned;
    }
    if cli.json {
        let after: Vec<_> = after.iter().map(|entry| name::encode(&entry.service)).collect();
        let prepare: Vec<_> = steps.iter().map(|step| name::encode(&step.candidate.service.name)).collect();
        print_json(&json!({ "after": after, "prepare": prepare }))?;
        return Ok(Exit::Done);
    }
    for entry in &after {
        say(&format!("would run {}", escape_path(entry.folder.join(crate::discover::AFTER))));
    }
    for step in &steps {
        let waits: Vec<_> = step.waits_for.iter().map(|place| steps[*place].candidate.shown()).collect();
        let after = if waits.is_empty() { String::new() } else { format!(", after {}", waits.join(" and ")) };
        let heavy = if step.script.declarations.heavy { ", alone" } else { "" };
        match &step.script.refusal {
            None => {
                let problem = step.script.declarations.problems.first();
                let fails = problem
                    .map(|(line, what)| format!(", and fail: line {line}: {what}"))
                    .unwrap_or_default();
                say(&format!("would run {}{after}{heavy}{fails}", escape_path(&step.script.path)));
            }
            Some(refusal) => say(&format!("would fail {}: {}", escape_path(&step.script.path), refusal.what)),
        }
    }
    if after.is_empty() && steps.is_empty() {
        say("would run nothing");
    }
    Ok(Exit::Done)
}

/// What the journal holds.
pub(crate) fn journal(context: &Context) -> Result<Exit> {
    let (entries, problems) = journal::look(&context.journal_folder())?;
    problem::warn(TOOL, &problems);
    let (now, boot) = (unix_now(), boot_id());
    let due = |entry: &Entry| entry.due_by(now, &boot);
    if context.cli.json {
        let list: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "service": name::encode(&entry.service),
                    "begun": entry.begun,
                    "due": due(entry),
                    "failures": entry.failures,
                    "why": entry.why,
                })
            })
            .collect();
        let next = if problems.is_empty() { entries.iter().map(due).min() } else { Some(0) };
        print_json(&json!({ "entries": list, "next_due": next }))?;
        return Ok(Exit::Done);
    }
    for entry in &entries {
        let when = |seconds| jiff::Timestamp::from_second(seconds).map_or_else(|_| "?".into(), units::local);
        let next =
            if entry.is_due(now, &boot) { "due now".into() } else { format!("due {}", when(entry.due)) };
        let failed = match &entry.why {
            Some(why) => format!(", failed {}: {}", times(entry.failures), escape(why.as_bytes())),
            None => String::new(),
        };
        say(&format!(
            "{}: prepared {}, after step {next}{failed}",
            escape_path(&entry.service),
            when(entry.begun)
        ));
    }
    let closing = match entries.len() {
        0 if problems.is_empty() => "the journal is empty: nothing has to be brought back".to_string(),
        _ if !problems.is_empty() => {
            "the journal is damaged; pre-backup-actions --after runs every after-backup.sh there is"
                .to_string()
        }
        open => format!("{} to run; pre-backup-actions --after runs them now", count(open, "after step")),
    };
    say(&closing);
    Ok(Exit::Done)
}

fn times(count: u32) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

fn scripts(candidate: &Candidate) -> impl Iterator<Item = &Script> {
    candidate.prepare.iter().chain(&candidate.after)
}

fn line(candidate: &Candidate) -> String {
    let words: Vec<_> = scripts(candidate)
        .map(|script| {
            let file = script.path.file_name().map(escape_path).unwrap_or_default();
            match &script.refusal {
                Some(refusal) => format!("{file} {}", refusal.what),
                None => format!("{file}{DIM}{}{DIM:#}", notes(script)),
            }
        })
        .collect();
    format!("{}: {}", candidate.shown(), words.join(", "))
}

fn notes(script: &Script) -> String {
    let declarations = &script.declarations;
    let mut notes = Vec::new();
    notes.extend(declarations.dumps.iter().map(|dump| format!("dump {}", escape(dump.text.as_bytes()))));
    notes.extend(declarations.after.iter().map(|(_, name)| format!("after {}", escape_path(name))));
    notes.extend(declarations.heavy.then(|| "runs alone".to_string()));
    notes.extend(declarations.timeout.map(|time| format!("at most {}", humantime::format_duration(time))));
    notes.extend(declarations.may_fail.then(|| "may fail".to_string()));
    notes.extend(declarations.problems.iter().map(|(line, what)| format!("line {line}: {what}")));
    if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) }
}

fn as_json(candidate: &Candidate) -> serde_json::Value {
    let script = |script: &Option<Script>| {
        script.as_ref().map(|script| {
            json!({
                "path": name::encode(script.path.as_os_str()),
                "dumps": script.declarations.dumps.iter().map(|dump| &dump.text).collect::<Vec<_>>(),
                "problems": script.declarations.problems.iter().map(|(line, what)| format!("line {line}: {what}")).collect::<Vec<_>>(),
                "refused": script.refusal.as_ref().map(|refusal| &refusal.what),
                "hint": script.refusal.as_ref().and_then(|refusal| refusal.hint.as_ref()),
            })
        })
    };
    json!({
        "service": name::encode(&candidate.service.name),
        "prepare": script(&candidate.prepare),
        "after": script(&candidate.after),
    })
}
