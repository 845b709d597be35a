//! Takes away what the set-up has put in place, and nothing else: the record knows what was made.
//!
//! What a reader gets wrong: a removal may be killed anywhere, so the record goes last, together with its folder.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::layout::{LISTENER_LOGS, OLD_FIFO_TARGET, kept_aside};
use common::leftover;
use common::text::escape_path;

use crate::folder::remove_all;
use crate::inspect::Facts;
use crate::inspect::entry::Kind;
use crate::listener;
use crate::places::Places;
use crate::start_up::{cron, systemd};
use crate::work::{Verb, Work};

/// Takes everything away. What would start the listener again goes first, then the listener, then what it listens on.
pub(crate) fn remove(facts: &Facts, places: &Places, work: &mut Work) -> Result<()> {
    let has_stopped = systemd::take_away(facts, places, work)? && facts.unit.runs_listener;
    cron::take_away(facts, places, work)?;
    if facts.listener.is_some() && !has_stopped {
        listener::ensure_stopped(facts, places, work)?;
    }
    fifo(facts, work)?;
    left_by_the_tools(facts, places, work)
}

fn fifo(facts: &Facts, work: &mut Work) -> Result<()> {
    let (old, pipe) = (&facts.old_pipe, &facts.pipe);
    let is_linked = matches!(&old.kind, Kind::Link { target } if target.as_os_str() == OLD_FIFO_TARGET);
    let is_pipe = pipe.kind == Kind::Fifo;
    if !(is_linked && is_pipe && facts.record.adopted_pipe) {
        for entry in
            [(is_linked, old), (is_pipe, pipe)].into_iter().filter(|(is, _)| *is).map(|(_, entry)| entry)
        {
            work.remove(&entry.path, || remove_all(&entry.path))?;
        }
        return Ok(());
    }
    // Its mode first: if a removal is interrupted between the two, the next one still finds it here.
    if let Some(mode) = facts.record.adopted_mode.filter(|&mode| mode != pipe.mode) {
        let what = format!("{mode:04o} of {}", escape_path(&pipe.path));
        work.step(Verb::SET_MODE, what, || set_mode(&pipe.path, mode))?;
    }
    work.removed.insert(pipe.path.clone());
    let what = format!("the FIFO {} back to {}", escape_path(&pipe.path), escape_path(&old.path));
    work.step(Verb::MOVE, what, || rename(&pipe.path, &old.path))
}

/// Files first, then the folders that were made, and the state folder with the record of all this last: it goes under
/// another name in one step, so that a removal that is interrupted still knows what was made.
fn left_by_the_tools(facts: &Facts, places: &Places, work: &mut Work) -> Result<()> {
    let layout = &places.layout;
    let (state, retired, record) = (layout.state(), layout.retired_state(), layout.setup_record());
    let is_made = facts.record.made_state && facts.state.is_folder();
    let ours = layout.listener_state();
    let is_ours = |name: &OsStr| leftover::is_part(name) || ours.contains(&state.join(name));
    let retires = is_made && names_in(&state).iter().all(|name| is_ours(name));

    let counts = layout.message_counts();
    let mut files = vec![layout.client(), layout.socket(), kept_aside(&counts), counts];
    let logs = names_in(&layout.logs())
        .into_iter()
        .filter(|name| name.as_encoded_bytes().starts_with(LISTENER_LOGS.as_bytes()));
    files.extend(logs.map(|name| layout.logs().join(name)));
    if !retires {
        files.extend(ours.iter().filter(|path| **path != record).cloned());
        files.push(record);
    }
    for folder in [&layout.bridge(), layout.container_dir(), &state].into_iter().filter(|_| !work.is_dry) {
        leftover::clear(folder, "");
    }
    for path in files.into_iter().filter(|path| fs::symlink_metadata(path).is_ok()) {
        work.remove(&path, || remove_all(&path))?;
    }
    let is_there = |path: &&PathBuf| fs::symlink_metadata(path).is_ok();
    let data_folders = facts.record.made_data_folders.iter().rev().filter(is_there).cloned();
    let unit_folders = facts.record.made_unit_folders.iter().rev().cloned();
    let bridge = facts.bridge.is_folder().then(|| layout.bridge());
    let logs = (facts.record.made_logs && facts.logs.is_folder()).then(|| layout.logs());
    let kept = (is_made && !retires).then(|| state.clone());
    for folder in data_folders.chain(unit_folders).chain(bridge).chain(logs).chain(kept) {
        remove_if_empty(&folder, work)?;
    }
    if retires {
        work.removed.insert(state.clone());
        work.step(Verb::REMOVE, format!("{}/", escape_path(&state)), || rename(&state, &retired))?;
    }
    if retires || fs::symlink_metadata(&retired).is_ok() {
        work.silently(|| remove_all(&retired))?;
    }
    if facts.record.made_container_dir && facts.container_dir.is_folder() {
        remove_if_empty(layout.container_dir(), work)?;
    }
    Ok(())
}

fn names_in(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

/// Removes the folder; if something of someone else is in it, that is named and both stay.
fn remove_if_empty(folder: &Path, work: &mut Work) -> Result<()> {
    let is_left = |name: &OsString| !work.removed.contains(&folder.join(name)) && !leftover::is_part(name);
    let left = match work.is_dry {
        true => names_in(folder).into_iter().find(is_left),
        false => match fs::remove_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => names_in(folder).into_iter().next(),
            result => result.map(|()| None).with_context(|| format!("remove: {}", escape_path(folder)))?,
        },
    };
    let name = format!("{}/", escape_path(folder));
    let Some(left) = left else {
        work.removed.insert(folder.to_path_buf());
        return work.step(Verb::REMOVE, name, || Ok(()));
    };
    let verb = if work.is_dry { "keep" } else { "kept" };
    crate::work::row(verb, &format!("{name}, because something else is in it: {}", escape_path(left)));
    work.steps += 1;
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("move: {} to {}", escape_path(from), escape_path(to)))
}

/// Sets the mode of what is at `path` itself: if that is a symlink by now, this fails.
fn set_mode(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    use rustix::fs::{FileType, OFlags};
    let naming = || format!("set mode {mode:04o}: {}", escape_path(path));
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).with_context(naming)?;
    let stat = rustix::fs::fstat(&opened).with_context(naming)?;
    if FileType::from_raw_mode(stat.st_mode).is_symlink() {
        return Err(io::Error::from_raw_os_error(nix::libc::ELOOP)).with_context(naming);
    }
    // A descriptor opened with O_PATH is not a reader of a FIFO, so no message is lost; it has no fchmod(2) either.
    let itself = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&opened));
    fs::set_permissions(itself, fs::Permissions::from_mode(mode)).with_context(naming)
}
