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

use crate::cli::Supervisor;
use crate::hooks::apply::agreed;
use crate::inspect;
use crate::inspect::entry::Kind;
use crate::places::Places;
use crate::setup;
use crate::status;
use crate::work::Work;

/// Sets everything up. Unless `is_agreed` the person is asked first; exit code 1 if they do not agree.
pub(crate) fn run(
    flags: &Flags,
    is_agreed: bool,
    supervisor: Option<Supervisor>,
    is_dry: bool,
) -> Result<Exit> {
    let settings = Settings::load(&find::roots(flags)?, None, None)?;
    let places = Places::of(&settings);
    let go = |work: &mut Work| -> Result<()> {
        files::folders(&settings, work)?;
        let mut facts = inspect::inspect(&places, supervisor)?;
        // The folders above have been made, or are shown as if they had.
        facts.container_root.kind = Kind::Folder { empty: false };
        facts.has_data_root = true;
        setup::set_up(&facts, &places, &settings, supervisor, work)?;
        if work.has_failed() {
            return Ok(());
        }
        files::write(&settings, work)
    };
    let mut rehearsal = Work::new(true);
    if is_dry || !is_agreed {
        let services = count(find::services(&settings.container_root).count(), "service");
        let (containers, data) = (&settings.container_root, &settings.data_root);
        if containers == data {
            common::out!("{services} with their data in {}:", escape_path(data));
        } else {
            common::out!("{services} in {}, data in {}:", escape_path(containers), escape_path(data));
        }
        go(&mut rehearsal)?;
        rehearsal.is_dry = is_dry;
        if is_dry || rehearsal.has_failed() || rehearsal.steps == 0 {
            return finish(rehearsal, &settings, supervisor);
        }
        if !agreed("Do this?")? {
            common::out!("Nothing was changed.");
            return Ok(Exit::Failed);
        }
    }
    let mut work = Work::new(false);
    go(&mut work)?;
    finish(work, &settings, supervisor)
}

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

fn finish(mut work: Work, settings: &Settings, supervisor: Option<Supervisor>) -> Result<Exit> {
    work.complaints.extend(status::tools::refused_scripts(settings));
    let next = next(settings, supervisor);
    match work.finish(&format!("Everything is in place: nothing was changed.\n{next}"), &next) {
        Exit::Failed => Err(anyhow!("the set-up is not complete"))
            .hint("fix the problems listed above, then run init again"),
        exit => Ok(exit),
    }
}
