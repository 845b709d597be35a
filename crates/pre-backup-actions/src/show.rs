//! What exists, shown without running anything: `--list`, `--dry-run`, `--journal`.
//!
//! Each as plain lines for a person, or as one JSON object.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::Result;
use common::compose::{self, Mount, Source};
use common::contract;
use common::exit::Exit;
use common::moment::{boot_id, unix_now};
use common::services::{self, Service};
use common::text::{DIM, count, escape, escape_path};
use common::{out, output, problem, units};
use serde_json::json;

use crate::context::{Context, TOOL};
use crate::discover::{Candidate, Found, PREPARE, Script};
use crate::journal::{self, Entry};
use crate::options::AfterSteps;
use crate::report::print_json;
use crate::{misnamed, name, plan};

/// Every service with a script. Exits with 1 if one of them can't be run or declares what can't be read.
pub(crate) fn list(context: &Context) -> Result<Exit> {
    let found = context.candidates()?;
    let wanted: Vec<_> =
        found.candidates.iter().filter(|c| plan::is_wanted(&c.name, &context.options.only)).collect();
    if context.options.json {
        print_json(&as_contract(&wanted, &found));
    } else {
        if wanted.is_empty() {
            out!(
                "none of {} below {} has a {PREPARE}",
                count(found.services, "service"),
                escape_path(&context.settings.data_root)
            );
        }
        for candidate in &wanted {
            if output::reader_gone() {
                break;
            }
            print_candidate(candidate);
        }
        for one in &found.unreadable {
            out!("{}: {}", escape_path(&one.name), one.why);
            out!("  hint: {}", one.hint);
        }
    }
    if !context.options.json {
        print_misnamed(context, &wanted);
    }
    let fails = |script: &Script| {
        let is_refused = script.refusal.as_ref().is_some_and(|refusal| !refusal.is_skipped);
        is_refused || !script.declarations.problems.is_empty()
    };
    let refused = wanted.iter().any(|candidate| scripts(candidate).any(fails));
    Ok(if refused { Exit::Failed } else { Exit::Done })
}

/// Files that are named almost like a script, in the folders of services that can be looked at.
fn print_misnamed(context: &Context, listed: &[&Candidate]) {
    let refused = |candidate: &Candidate| scripts(candidate).any(|script| script.refusal.is_some());
    let is_refused = |name: &OsStr| listed.iter().any(|one| one.name == name && refused(one));
    let mut folders = BTreeSet::new();
    for root in [&context.settings.data_root, &context.settings.container_root] {
        let services = services::below(root).map(|(services, _)| services).unwrap_or_default();
        let is_meant = |service: &Service| {
            plan::is_wanted(&service.name, &context.options.only) && !is_refused(&service.name)
        };
        folders.extend(services.into_iter().filter(is_meant).map(|service| service.folder));
    }
    for (path, script) in folders.iter().flat_map(|folder| misnamed::in_folder(folder)) {
        let (shown, right) = (escape_path(&path), escape_path(path.with_file_name(script)));
        out!("{shown}: never runs, because its name is not {script}");
        out!("  hint: mv '{shown}' '{right}'");
    }
}

/// What would run before a backup, in the order in which it would start.
pub(crate) fn preparation(context: &Context) -> Result<Exit> {
    let found = context.candidates()?;
    let (steps, problems) = plan::steps(&found.candidates, &context.options.only)?;
    let after = open_entries(context, AfterSteps::Open)?;
    problem::warn(TOOL, &problems);
    if context.options.json {
        let prepare: Vec<_> = steps.iter().map(|step| name::encode(&step.candidate.name)).collect();
        print_json(&json!({ "after": names(&after), "prepare": prepare }));
        return Ok(Exit::Done);
    }
    print_after(&after, context);
    for step in &steps {
        let waits: Vec<_> = step.waits_for.iter().map(|place| steps[*place].candidate.shown_name()).collect();
        let after = if waits.is_empty() { String::new() } else { format!(", after {}", waits.join(" and ")) };
        let heavy = if step.script.declarations.heavy { ", alone" } else { "" };
        let path = escape_path(&step.script.path);
        match &step.script.refusal {
            None => {
                let problem = step.script.declarations.problems.first();
                let fails = problem
                    .map(|(line, what)| format!(", and fail: line {line}: {what}"))
                    .unwrap_or_default();
                out!("would run {path}{after}{heavy}{fails}");
            }
            Some(refusal) => {
                let word = if refusal.is_skipped { "skip" } else { "fail" };
                out!("would {word} {path}: {}", refusal.what);
            }
        }
    }
    if after.is_empty() && steps.is_empty() {
        out!("would run nothing");
    }
    Ok(Exit::Done)
}

/// Which after steps would run, in their order.
pub(crate) fn after(context: &Context, steps: AfterSteps) -> Result<Exit> {
    let after = open_entries(context, steps)?;
    if context.options.json {
        print_json(&json!({ "after": names(&after), "prepare": [] }));
        return Ok(Exit::Done);
    }
    print_after(&after, context);
    if after.is_empty() {
        out!("would run nothing");
    }
    Ok(Exit::Done)
}

fn open_entries(context: &Context, steps: AfterSteps) -> Result<Vec<Entry>> {
    let (entries, problems) = journal::look(&context.layout.actions_journal())?;
    problem::warn(TOOL, &problems);
    let (now, boot) = (unix_now(), boot_id());
    let wanted =
        entries.into_iter().rev().filter(|entry| plan::is_wanted(&entry.service, &context.options.only));
    Ok(wanted.filter(|entry| steps != AfterSteps::Due || entry.is_due(now, boot)).collect())
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| name::encode(&entry.service)).collect()
}

fn print_after(entries: &[Entry], context: &Context) {
    for entry in entries {
        let path = context.after_script(&entry.service).map(|script| script.path);
        let path = path.unwrap_or_else(|| entry.folder.join(crate::discover::AFTER));
        out!("would run {}", escape_path(path));
    }
}

/// What the journal holds.
pub(crate) fn journal(context: &Context) -> Result<Exit> {
    let (entries, problems) = journal::look(&context.layout.actions_journal())?;
    problem::warn(TOOL, &problems);
    let (now, boot) = (unix_now(), boot_id());
    let due = |entry: &Entry| entry.due_by(now, boot);
    if context.options.json {
        let open = entries.iter().map(|entry| contract::journal::OpenEntry {
            service: name::encode(&entry.service),
            keys: entry.keys.iter().cloned().collect(),
            started: entry.started,
            // tidy: the old name, for one version
            begun: entry.started,
            due: due(entry),
            failures: entry.failures,
            why: entry.why.clone(),
        });
        let next_due = if problems.is_empty() { entries.iter().map(due).min() } else { Some(0) };
        print_json(&contract::journal::Journal { entries: open.collect(), next_due });
        return Ok(Exit::Done);
    }
    for entry in &entries {
        let when = |seconds| jiff::Timestamp::from_second(seconds).map_or_else(|_| "?".into(), units::local);
        let next =
            if entry.is_due(now, boot) { "due now".into() } else { format!("due {}", when(entry.due)) };
        let keys: Vec<_> = entry.keys.iter().map(|key| escape(key.as_bytes())).collect();
        let held = if keys.is_empty() { String::new() } else { format!(" for {}", keys.join(" and ")) };
        let failed = match &entry.why {
            Some(why) => format!(", failed {}: {}", times(entry.failures), escape(why.as_bytes())),
            None => String::new(),
        };
        out!(
            "{}: prepared {}{held}, after step {next}{failed}",
            escape_path(&entry.service),
            when(entry.started)
        );
    }
    match entries.len() {
        _ if !problems.is_empty() => {
            out!("the journal is damaged; {TOOL} --after runs every after-backup.sh there is");
        }
        0 => out!("the journal is empty: no after step has to run"),
        open => out!("{} to run; {TOOL} --after runs them now", count(open, "after step")),
    }
    Ok(Exit::Done)
}

fn times(count: u32) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

fn scripts(candidate: &Candidate) -> impl Iterator<Item = &Script> {
    candidate.prepare.iter().chain(&candidate.after)
}

fn print_candidate(candidate: &Candidate) {
    let words: Vec<_> = scripts(candidate)
        .map(|script| {
            let file = script.path.file_name().map(escape_path).unwrap_or_default();
            match &script.refusal {
                Some(refusal) => format!("{file} {}", refusal.what),
                None => format!("{file}{DIM}{}{DIM:#}", notes(script)),
            }
        })
        .collect();
    out!("{}: {}", candidate.shown_name(), words.join(", "));
    for script in scripts(candidate) {
        if let Some(hint) = script.refusal.as_ref().and_then(|refusal| refusal.hint.as_ref()) {
            out!("  hint: {hint}");
        } else if let Some((what, hint)) = place(candidate, script) {
            out!("  note: {what}");
            out!("  hint: {hint}");
        }
    }
}

fn notes(script: &Script) -> String {
    let declarations = &script.declarations;
    let mut notes = warnings(script);
    notes.extend(declarations.dumps.iter().map(|dump| format!("dump {}", escape(dump.text.as_bytes()))));
    notes.extend(declarations.after.iter().map(|(_, name)| format!("after {}", escape_path(name))));
    notes.extend(declarations.heavy.then(|| "runs alone".to_string()));
    notes.extend(declarations.timeout.map(|time| format!("at most {}", humantime::format_duration(time))));
    notes.extend(declarations.may_fail.then(|| "may fail".to_string()));
    notes.extend(problems(script));
    if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) }
}

fn warnings(script: &Script) -> Vec<String> {
    script.by_shell.then(|| "no #! line, so /bin/sh runs it".to_string()).into_iter().collect()
}

/// The compose file that mounts the folder of `script`, writable, into a container of its service: that container can
/// rewrite the script, which then runs as the user.
fn mounted_by(candidate: &Candidate, script: &Script) -> Option<PathBuf> {
    let folder = script.folder.canonicalize().ok()?;
    let project = compose::read(&candidate.container);
    let mut mounts = project.services.values().flat_map(|service| &service.mounts);
    let holds_it = |mount: &Mount| match &mount.source {
        Source::Host(path) => path.canonicalize().is_ok_and(|path| folder.starts_with(path)),
        Source::Volume(_) | Source::Anonymous => false,
    };
    mounts.any(|mount| !mount.is_read_only && holds_it(mount)).then(|| project.files.first().cloned())?
}

/// What is odd about the place of `script`, and the command that moves it to a better one.
fn place(candidate: &Candidate, script: &Script) -> Option<(String, String)> {
    let file = mounted_by(candidate, script)?;
    let what = format!("{} mounts its folder into a container, which can rewrite it", escape_path(file));
    let (path, container) = (escape_path(&script.path), escape_path(&candidate.container));
    let hint = match script.folder == candidate.container {
        true => "mount a folder below it instead".into(),
        false => format!("mv '{path}' '{container}/' (its dumps then lie there)"),
    };
    Some((what, hint))
}

fn problems(script: &Script) -> Vec<String> {
    script.declarations.problems.iter().map(|(line, what)| format!("line {line}: {what}")).collect()
}

fn as_contract(wanted: &[&Candidate], found: &Found) -> contract::services::Services {
    let script = |candidate: &Candidate, script: &Script| {
        let (what, hint) = place(candidate, script).unzip();
        let why = |is_skipped| {
            let refusal = script.refusal.as_ref().filter(|refusal| refusal.is_skipped == is_skipped);
            refusal.map(|refusal| refusal.what.clone())
        };
        contract::services::Script {
            path: name::encode(script.path.as_os_str()),
            dumps: script.declarations.dumps.iter().map(|dump| dump.text.clone()).collect(),
            problems: problems(script),
            refused: why(false),
            skipped: why(true),
            warnings: warnings(script).into_iter().chain(what).collect(),
            hint: script.refusal.as_ref().and_then(|refusal| refusal.hint.clone()).or(hint),
        }
    };
    let listed = |candidate: &&Candidate| contract::services::Listed {
        service: name::encode(&candidate.name),
        prepare: candidate.prepare.as_ref().map(|one| script(candidate, one)),
        after: candidate.after.as_ref().map(|one| script(candidate, one)),
    };
    let unreadable = found.unreadable.iter().map(|one| contract::services::Unreadable {
        service: name::encode(&one.name),
        folder: name::encode(one.folder.as_os_str()),
        why: one.why.clone(),
        hint: one.hint.clone(),
    });
    contract::services::Services {
        services: wanted.iter().map(listed).collect(),
        unreadable: unreadable.collect(),
    }
}
