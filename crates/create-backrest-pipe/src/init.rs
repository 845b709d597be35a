//! `init`: from nothing to a Backrest that only has to be started. It finds the roots, shows all that it would do, asks
//! once, and does it; run again, it has nothing to do.
//!
//! What a reader gets wrong: the tools look for their settings in `~/containers/backrest/.env`. If the services lie
//! elsewhere, that folder is a symlink to Backrest's folder there, so no tool needs a flag.

mod files;
pub(crate) mod find;

use anyhow::{Result, anyhow};
use common::exit::{Exit, HintExt};
use common::settings::{Flags, Settings};
use common::text::{count, escape_path};

use crate::cli::{InitArguments, Supervisor};
use crate::hooks::wire::agreed;
use crate::inspect;
use crate::inspect::entry::Kind;
use crate::places::Places;
use crate::setup;
use crate::work::Work;
use files::Files;

/// What was asked for on the command line, besides the folders.
pub(crate) struct InitRequest<'a> {
    pub(crate) arguments: &'a InitArguments,
    pub(crate) supervisor: Option<Supervisor>,
    pub(crate) is_dry: bool,
}

/// Sets everything up. Returns the work that was done; `None` if the person does not agree.
pub(crate) fn run(request: &InitRequest<'_>, flags: &Flags) -> Result<(Option<Work>, Settings)> {
    let found = find::roots(flags)?;
    let settings = Settings::load(&found.flags(flags), None, None)?;
    let places = Places::of(&settings);
    let files = Files::of(&settings)?;
    let go = |work: &mut Work| -> Result<()> {
        files.folders(work)?;
        let mut facts = inspect::inspect(&places, request.supervisor)?;
        // The folders above have been made, or are shown as if they had.
        facts.container_root.kind = Kind::Folder { empty: false };
        facts.has_data_root = true;
        setup::set_up(&facts, &places, &settings, request.supervisor, work)?;
        if work.complaints.iter().any(|complaint| complaint.is_failure) {
            return Ok(());
        }
        files.write(work)
    };
    let mut rehearsal = Work::new(true);
    if request.is_dry || !request.arguments.yes {
        let services = count(find::services(&settings.container_root).count(), "service");
        let (containers, data) = (&settings.container_root, &settings.data_root);
        if containers == data {
            common::out!("{services} with their data in {}:", escape_path(data));
        } else {
            common::out!("{services} in {}, data in {}:", escape_path(containers), escape_path(data));
        }
        go(&mut rehearsal)?;
        let is_blocked = rehearsal.complaints.iter().any(|complaint| complaint.is_failure);
        if request.is_dry || is_blocked || rehearsal.steps == 0 {
            return Ok((Some(rehearsal), settings));
        }
        if !agreed("Do this?")? {
            return Ok((None, settings));
        }
    }
    let mut work = Work::new(false);
    go(&mut work)?;
    Ok((Some(work), settings))
}

/// What the person does next.
fn next(settings: &Settings, supervisor: Option<Supervisor>) -> String {
    let listener = match supervisor {
        Some(Supervisor::None) => {
            let places = Places::of(settings);
            let words: Vec<_> = places.listener.iter().map(escape_path).collect();
            format!("\n  0. start the listener:  {}", words.join(" "))
        }
        _ => String::new(),
    };
    format!(
        "
Next:{listener}
  1. start Backrest:      cd {} && docker compose up --detach
  2. in its web page, http://localhost:9898: a repository, and a plan whose path is {}
  3. give it its hooks:   create-backrest-pipe hooks --apply http://localhost:9898
  4. check everything:    create-backrest-pipe status",
        escape_path(&settings.container_dir),
        escape_path(&settings.mount)
    )
}

/// Exit code and last words of a run.
pub(crate) fn finish(work: &Work, settings: &Settings, supervisor: Option<Supervisor>) -> Result<Exit> {
    if work.complaints.iter().any(|complaint| complaint.is_failure) {
        return Err(anyhow!("the set-up is not complete"))
            .hint("fix the problems listed above, then run init again");
    }
    if work.is_dry && work.steps > 0 {
        common::out!("(nothing was done: --dry-run)");
    } else {
        if work.steps == 0 {
            common::out!("Everything is in place: nothing was changed.");
        }
        common::out!("{}", next(settings, supervisor));
    }
    Ok(Exit::Done)
}
