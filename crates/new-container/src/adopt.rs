//! `--adopt`: adds to a service that exists what its backup lacks, and changes nothing that is there.
//!
//! find → plan → show → ask → write. A rule that leaves live files out is only written together with the script that
//! dumps them: a script of the user's own may or may not do that.

mod find;
mod plan;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use common::atomic;
use common::exit::{Exit, HintExt};
use common::services::{AFTER, PREPARE, RULES};
use common::settings::Settings;
use common::text::{escape, escape_path, meant, word};
use common::{compose, note, out, problem, regular_file};

use crate::ask;
use crate::cli::TOOL;
use crate::plan::Places;
use crate::request::Request;
use plan::{Addition, Existing};

/// A `.resticignore` is text that a person wrote.
const LARGEST: u64 = 1 << 20;

/// Adds to the service in `places` what it lacks.
pub(crate) fn run(request: &Request, places: &Places, settings: &Settings) -> Result<Exit> {
    let project = compose::resolve(&places.container);
    if project.files.is_empty() {
        let folder = escape_path(&places.container);
        return Err(anyhow!("adopt a service: {folder}: no compose file"))
            .hint(what_instead(&request.service.name, settings));
    }
    problem::warn(TOOL, &project.problems);
    if project.services.is_empty() {
        let files = project.files.iter().map(escape_path).collect::<Vec<_>>().join(", ");
        return Err(anyhow!("adopt a service: {files}: no service in it can be read"))
            .hint(format!("docker compose --project-directory {} config", word(&places.container)));
    }
    // As a shell, a comment and a terminal bear it.
    let name = &escape(request.service.name.as_bytes());
    let typed = &word(name);
    let databases = find::databases(&project, places);
    for database in &databases {
        out!("found {database}");
    }
    let existing = existing(places)?;
    let plan = plan::additions(name, places, &databases, &existing, request.service.stop)?;
    for note in &plan.notes {
        out!("note: {note}");
    }
    if plan.additions.is_empty() {
        out!("nothing to add");
        return Ok(Exit::Done);
    }
    for addition in &plan.additions {
        out!("{} {}", addition.verb(), escape_path(&addition.path));
        for line in addition.text.lines() {
            out!("    {}", escape(line.as_bytes()));
        }
    }
    if request.dry_run || !(request.yes || agrees()?) {
        note!("{TOOL}: nothing was changed");
        if !request.dry_run {
            common::exit::hint(&format!("new-container {typed} --adopt --yes writes this"));
        }
        return Ok(Exit::Done);
    }
    for addition in &plan.additions {
        write(addition)?;
    }
    out!("done; try it: pre-backup-actions --only {typed}, then pre-backup-actions --after");
    Ok(Exit::Done)
}

/// The command for a name that has no compose file: that of the service that was meant, or of a new one.
fn what_instead(name: &str, settings: &Settings) -> String {
    let entries = fs::read_dir(&settings.container_root).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| !compose::read(&entry.path()).files.is_empty());
    let services: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    match meant(name, services.iter().map(String::as_str)) {
        Some(service) => format!("did you mean: new-container {} --adopt", word(service)),
        None => format!("make a new service: new-container {}", word(name)),
    }
}

/// What there is of the files that could be added.
fn existing(places: &Places) -> Result<Existing> {
    let mut existing = Existing::default();
    for folder in [&places.data, &places.container] {
        for (script, found) in [(PREPARE, &mut existing.prepare), (AFTER, &mut existing.after)] {
            let path = folder.join(script);
            if found.is_none() && path.symlink_metadata().is_ok() {
                *found = Some((regular_file::read(&path, LARGEST).unwrap_or_default(), path));
            }
        }
        let path = folder.join(RULES);
        if path.symlink_metadata().is_ok() {
            let text = regular_file::read(&path, LARGEST)
                .with_context(|| format!("read: {}", escape_path(&path)))?;
            existing.rules.insert(path, text);
        }
    }
    existing.files = find::names(places);
    existing.script_folder = find::script_folder(places);
    Ok(existing)
}

/// Asks on a terminal. Without one the answer is no.
fn agrees() -> Result<bool> {
    if !ask::is_possible() {
        return Ok(false);
    }
    write!(io::stderr(), "Add this? [y/N] ").context("ask")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("read the answer")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn write(addition: &Addition) -> Result<()> {
    match &addition.before {
        None => atomic::create_new(&addition.path, addition.text.as_bytes(), addition.mode),
        Some(before) => {
            let mut text = before.clone();
            if !text.is_empty() && !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            text.extend(addition.text.as_bytes());
            atomic::write(&addition.path, &text, addition.mode).map(|_| ())
        }
    }
    .with_context(|| format!("adopt a service: {}", escape_path(PathBuf::from(&addition.path))))
}
