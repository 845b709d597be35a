//! The bridge: what its folder, its FIFO and the FIFO's old place lack, and the call that makes it so.
//!
//! What a reader gets wrong: the FIFO that a running container mounts is an inode, not a name. An old FIFO is moved
//! into the bridge, and its old name becomes a symlink; both lead to the inode that the container has.

use std::fs;

use anyhow::{Context, Result};
use common::layout::OLD_FIFO_TARGET;
use common::settings::Settings;
use common::text::escape_path;

use crate::folder::remove_empty;
use crate::inspect::Facts;
use crate::inspect::entry::Kind;
use crate::places::Places;
use crate::work::{Verb, Work, warning};

/// Each thing about the bridge that has to change: what is to be done, and with what.
pub(crate) fn lacks(facts: &Facts) -> Vec<(Verb, String)> {
    let mut lacks = Vec::new();
    let mut lack = |verb: Verb, object: String| lacks.push((verb, object));
    let (bridge, pipe, old) =
        (escape_path(&facts.bridge.path), escape_path(&facts.pipe.path), escape_path(&facts.old_pipe.path));
    if facts.bridge.is_missing() || facts.bridge.is_dockers() && facts.user != 0 {
        lack(Verb::MAKE, format!("{bridge}/"));
    } else if facts.bridge.mode & 0o077 != 0 {
        lack(Verb::SET_MODE, format!("0700 of {bridge}"));
    }
    if facts.pipe.is_folder() {
        lack(Verb::REMOVE, format!("{pipe}/, an empty folder in the FIFO's place"));
    }
    let adopts = adopts(facts);
    if adopts {
        lack(Verb::MOVE, format!("the FIFO {old} to {pipe}, the same one"));
    } else if facts.pipe.kind != Kind::Fifo {
        lack(Verb::MAKE, format!("{pipe}, the FIFO"));
    }
    let kept = if adopts { &facts.old_pipe } else { &facts.pipe };
    if kept.kind == Kind::Fifo && kept.mode != 0o600 {
        lack(Verb::SET_MODE, format!("0600 of {pipe}"));
    }
    if facts.old_pipe.is_folder() {
        lack(Verb::REMOVE, format!("{old}/, an empty folder in the FIFO's place"));
    }
    if !matches!(facts.old_pipe.kind, Kind::Link { .. }) {
        lack(Verb::LINK, format!("{old} to {OLD_FIFO_TARGET}"));
    }
    lacks
}

/// Whether the FIFO at the old place is the one that a container may have.
fn adopts(facts: &Facts) -> bool {
    let is_same = facts.pipe.kind == Kind::Fifo && facts.pipe.id == facts.old_pipe.id;
    facts.old_pipe.kind == Kind::Fifo && !is_same
}

/// Makes the bridge what it should be. Returns whether a FIFO that a running listener may have open gave way.
pub(super) fn ensure(facts: &Facts, places: &Places, settings: &Settings, work: &mut Work) -> Result<bool> {
    let lacks = lacks(facts);
    let is_replaced = adopts(facts) || facts.pipe.kind != Kind::Fifo;
    if lacks.is_empty() {
        return Ok(is_replaced);
    }
    if !work.is_dry {
        if facts.bridge.is_dockers() && facts.user != 0 {
            remove_empty(&facts.bridge.path)?;
        }
        let (old, pipe) = (places.layout.old_fifo(), places.layout.fifo());
        if adopts(facts) && facts.pipe.kind == Kind::Fifo {
            // In one step: a listener that runs would make a FIFO that is missing.
            let naming = || format!("move the FIFO: {} to {}", escape_path(&old), escape_path(&pipe));
            fs::rename(&old, &pipe).with_context(naming)?;
        }
        pipe_listener::folder::make(settings)?;
    }
    for (verb, object) in lacks {
        work.step(verb, object, || Ok(()))?;
    }
    if facts.old_pipe.is_folder() {
        work.complaints.push(warning(
            "a running container may have mounted the empty folder that was in the FIFO's place",
            "make Backrest's container again: docker compose up --detach --force-recreate",
        ));
    }
    Ok(is_replaced)
}
