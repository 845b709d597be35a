//! Puts everything in place. Anything that is where something of ours belongs, and is neither ours nor an accident of
//! Docker's, is refused before a single step, so that nothing is half done.
//!
//! The listener owns the bridge: folder, FIFO and the link at the FIFO's old place are made by its own function.

mod bridge_folder;

use std::path::PathBuf;

use anyhow::Result;
use common::contract::status::Check;
use common::layout::OLD_FIFO_TARGET;
use common::settings::Settings;
use common::text::{escape_path, word};

use crate::cli::Supervisor;
use crate::crontab::Crontab;
use crate::folder;
use crate::inspect::Facts;
use crate::inspect::client::{self, Client};
use crate::inspect::entry::{self, Entry, Kind};
use crate::listener;
use crate::places::Places;
use crate::start_up::{cron, systemd};
use crate::work::{Verb, Work, failure};

pub(crate) use bridge_folder::lacks;

/// Puts everything in place; `asked` is what the person wants to start the listener after a reboot, by default what it
/// was. What can't be done is among the complaints of `work`.
pub(crate) fn set_up(
    facts: &Facts,
    places: &Places,
    settings: &Settings,
    asked: Option<Supervisor>,
    work: &mut Work,
) -> Result<()> {
    let supervisor = asked.or(facts.record.supervisor).unwrap_or(Supervisor::Cron);
    let mut in_the_way = refuse(facts, places);
    in_the_way.extend(systemd::refuse(facts, places).filter(|_| supervisor == Supervisor::Systemd));
    if !in_the_way.is_empty() {
        work.complaints = in_the_way;
        return Ok(());
    }
    folders(facts, places, supervisor, work)?;
    let is_replaced = bridge_folder::ensure(facts, places, settings, work)?;
    work.complaints.extend(facts.client.obstacle(&places.client_source));
    if facts.client == Client::Outdated {
        let to = places.layout.client();
        work.step(Verb::INSTALL, escape_path(&to), || client::install(&places.client_source, &to))?;
    }
    for found in &facts.bash_listeners {
        let what = format!("the Bash listener that runs, process {}: {}", found.process, found.command);
        work.step(Verb::STOP, what, || listener::stop_bash(found))?;
    }
    match supervisor {
        Supervisor::Cron => {
            // With its unit the listener stops as well.
            let has_stopped = systemd::take_away(facts, places, work)?;
            let is_running = facts.listener.is_some() && !has_stopped;
            let must_restart = is_replaced || facts.must_restart();
            if is_running && must_restart {
                listener::ensure_stopped(facts, places, work)?;
            }
            if !is_running || must_restart {
                let start = || listener::start(places).map(|holder| format!(", {holder}"));
                work.noting(Verb::START, "the listener", start)?;
            }
            cron::ensure(facts, places, work)
        }
        Supervisor::Systemd => {
            systemd::ensure(facts, places, work)?;
            cron::hand_over(facts, places, work)
        }
        Supervisor::None => {
            systemd::take_away(facts, places, work)?;
            cron::hand_over(facts, places, work)
        }
    }
}

pub(crate) fn refuse(facts: &Facts, places: &Places) -> Vec<Check> {
    let mut complaints = Vec::new();
    if !facts.container_root.is_folder() && facts.container_dir.is_missing() {
        complaints.push(failure(
            format!("set up the bridge: {}: no such folder", escape_path(&facts.container_root.path)),
            "set up Backrest: create-backrest-pipe init; or name the folder of your services with --container-root",
        ));
    }
    let folders = [&facts.container_dir, &facts.bridge, &facts.state, &facts.logs];
    for folder in folders.into_iter().filter(|folder| !folder.is_missing()) {
        match folder.kind {
            Kind::Folder { .. } if folder.owner == facts.user || folder.is_dockers() => {}
            Kind::Folder { .. } => complaints.push(not_yours(folder, facts.user, "-R ")),
            // Backrest's own folder may lie behind a symlink, as may what the host alone uses.
            Kind::Link { .. } if folder.path != facts.bridge.path => {}
            _ => complaints.push(not_ours(folder, "a folder")),
        }
    }
    for pipe in [&facts.pipe, &facts.old_pipe].into_iter().filter(|pipe| !pipe.is_missing()) {
        match &pipe.kind {
            Kind::Fifo if pipe.owner == facts.user => {}
            Kind::Fifo => complaints.push(not_yours(pipe, facts.user, "")),
            Kind::Folder { empty: true } => {}
            Kind::Link { target }
                if pipe.path == facts.old_pipe.path && target.as_os_str() == OLD_FIFO_TARGET => {}
            _ => complaints.push(not_ours(pipe, "the FIFO")),
        }
    }
    let is_blocked = facts.client == Client::Blocked;
    complaints.extend(facts.client.obstacle(&places.client_source).filter(|_| is_blocked));
    complaints
}

fn not_ours(entry: &Entry, belongs: &str) -> Check {
    let path = escape_path(&entry.path);
    failure(
        format!("set up the bridge: {path}: {} is where {belongs} belongs", entry.in_words()),
        format!("look at it, then move it away: mv {0} {0}.old", word(&entry.path)),
    )
}

fn not_yours(entry: &Entry, user: u32, option: &str) -> Check {
    let path = escape_path(&entry.path);
    let hint = match user {
        0 => "run create-backrest-pipe as that user, without sudo".into(),
        user => format!("make it yours: sudo chown {option}{user} {}", word(&entry.path)),
    };
    failure(format!("set up the bridge: {path}: it belongs to user {}, not to you", entry.owner), hint)
}

/// The folders, and the record of what is made, before it is made.
fn folders(facts: &Facts, places: &Places, supervisor: Supervisor, work: &mut Work) -> Result<()> {
    folder::make(&facts.container_dir, facts.user, 0o755, work)?;
    folder::make(&facts.state, facts.user, 0o700, work)?;
    let backrests = missing_folders(facts, places)?;
    let mut record = facts.record.clone();
    record.made_container_dir |= facts.container_dir.is_missing();
    record.made_logs |= facts.logs.is_missing();
    record.made_state |= facts.state.is_missing();
    record.made_crontab |= facts.crontab == Crontab::None && supervisor == Supervisor::Cron;
    record.supervisor = Some(supervisor);
    if facts.old_pipe.kind == Kind::Fifo {
        record.adopted_pipe = true;
        record.adopted_mode.get_or_insert(facts.old_pipe.mode);
    }
    add_new(&mut record.replaced_lines, cron::bash_lines(facts, places));
    add_new(&mut record.made_data_folders, backrests.clone());
    if supervisor == Supervisor::Systemd && !facts.unit.missing_folders.is_empty() {
        record.made_unit_folders.clone_from(&facts.unit.missing_folders);
    }
    if record != facts.record {
        work.silently(|| {
            common::atomic::write(
                &places.layout.setup_record(),
                &serde_json::to_vec_pretty(&record)?,
                0o600,
            )?;
            Ok(())
        })?;
    }
    folder::make(&facts.logs, facts.user, 0o700, work)?;
    backrests.iter().try_for_each(|path| folder::make(&entry::look(path)?, facts.user, 0o755, work))
}

/// What compose.yaml mounts below `DATA_DIR`.
const FOLDERS: [&str; 5] = ["data", "config", "cache", "tmp", "rclone"];

/// Backrest's own folders in the data root that are missing, outermost first: Docker would make them as root, and the
/// user's tools could not write there. None if there is no data root to put them in, or if root's Docker has
/// made and filled the outermost.
fn missing_folders(facts: &Facts, places: &Places) -> Result<Vec<PathBuf>> {
    let outer = entry::look(&places.data_dir)?;
    let is_ours = outer.is_missing() || outer.is_dockers() || outer.owner == facts.user;
    if !facts.has_data_root || !is_ours {
        return Ok(Vec::new());
    }
    let mut missing = Vec::new();
    for path in [places.data_dir.clone()].into_iter().chain(FOLDERS.map(|name| places.data_dir.join(name))) {
        let there = entry::look(&path)?;
        // Both of Backrest's folders may be one, which is made as the other.
        let is_other = path == places.layout.container_dir();
        if (there.is_missing() || there.is_dockers() && facts.user != 0) && !is_other {
            missing.push(path);
        }
    }
    Ok(missing)
}

/// Adds what `list` does not have; a line that is new and is there twice, twice.
fn add_new<T: PartialEq>(list: &mut Vec<T>, mut items: Vec<T>) {
    items.retain(|item| !list.contains(item));
    list.append(&mut items);
}
