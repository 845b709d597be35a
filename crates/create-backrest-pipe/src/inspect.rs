//! Looks at everything that a set-up consists of and changes nothing. In come the places, out come the facts.
//!
//! What a reader gets wrong: the bridge folder can be written by the container, so nothing in it is opened or
//! followed because of its name; [`entry::look`] only asks what stands there.

pub(crate) mod bash_listener;
pub(crate) mod client;
pub(crate) mod crontab;
pub(crate) mod entry;
pub(crate) mod listener;
pub(crate) mod unit;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cli::Supervisor;
use crate::places::Places;
use crate::record::Record;
use bash_listener::BashListener;
use client::Client;
use crontab::Crontab;
use entry::Entry;
use listener::Listener;
use unit::Unit;

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The folder above Backrest's.
    pub(crate) container_root: Entry,
    pub(crate) container_dir: Entry,
    pub(crate) bridge: Entry,
    pub(crate) pipe: Entry,
    pub(crate) old_pipe: Entry,
    pub(crate) state: Entry,
    pub(crate) logs: Entry,
    pub(crate) client: Client,
    pub(crate) listener: Listener,
    /// What the listener runs, where that is not the program that is installed now.
    pub(crate) other_program: Option<PathBuf>,
    /// The listener's socket; it removes it at once when it is asked to end.
    pub(crate) socket: Entry,
    pub(crate) bash_listeners: Vec<BashListener>,
    pub(crate) crontab: Crontab,
    pub(crate) unit: Unit,
    pub(crate) record: Record,
    /// What is left behind once nothing runs: the client, the socket, locks, logs, the queue's folder.
    pub(crate) leftovers: Vec<PathBuf>,
    /// Nothing but these is in the state folder.
    pub(crate) is_state_ours: bool,
    /// A state folder that a removal was about to take away when it was interrupted.
    pub(crate) retired_state: Entry,
    /// The user who asks.
    pub(crate) user: u32,
}

impl Facts {
    /// A listener runs that is not to stay: an older one than is installed, or one that is just ending.
    pub(crate) fn has_to_restart(&self) -> bool {
        self.listener != Listener::Stopped && (self.other_program.is_some() || self.socket.is_missing())
    }
}

/// Looks at everything; `asked` is the supervisor that the person names. Fails only where it can't be told what is
/// there.
pub(crate) fn inspect(places: &Places, asked: Option<Supervisor>) -> Result<Facts> {
    let listener = listener::look(&places.listener_lock)?;
    let record = Record::read(&places.record)?.and(&Record::read(&places.retired_state.join("setup.json"))?);
    let is_systemd = asked.or(record.supervisor) == Some(Supervisor::Systemd);
    Ok(Facts {
        container_root: entry::look(places.container_dir.parent().unwrap_or(&places.container_dir))?,
        container_dir: entry::look(&places.container_dir)?,
        bridge: entry::look(&places.bridge)?,
        pipe: entry::look(&places.pipe)?,
        old_pipe: entry::look(&places.old_pipe)?,
        state: entry::look(&places.state)?,
        logs: entry::look(&places.logs)?,
        client: client::look(&places.client_source, &places.client),
        unit: unit::look(&places.unit, &listener, is_systemd)?,
        other_program: listener::other_program(&listener, Path::new(&places.listener[0])),
        socket: entry::look(&places.socket)?,
        listener,
        bash_listeners: bash_listener::find(),
        crontab: crontab::read()?,
        record,
        leftovers: leftovers(places),
        is_state_ours: entries(&places.state, |name| !is_kept(name)).is_empty(),
        retired_state: entry::look(&places.retired_state)?,
        user: nix::unistd::geteuid().as_raw(),
    })
}

/// What the listener and this tool keep in the state folder.
const KEPT: [&str; 5] = ["listener.lock", "holder", "tailscale.json", "queue", "setup.json"];

/// The client and the socket in the bridge, and what the listener and this tool keep under their own names. The
/// record comes last: what it says is needed until then.
fn leftovers(places: &Places) -> Vec<PathBuf> {
    let mut found = vec![places.client.clone(), places.socket.clone()];
    // What a set-up that was killed had begun.
    found.extend([".backrest-send.part", ".backrest-pipe.part"].map(|name| places.bridge.join(name)));
    found.push(places.container_dir.join(".backrest-pipe.part"));
    found.extend(entries(&places.logs, |name| name.as_encoded_bytes().starts_with(b"listener.")));
    found.extend(KEPT.map(|name| places.state.join(name)));
    found.retain(|path| fs::symlink_metadata(path).is_ok());
    found
}

/// A name of ours, or a file that was being written when somebody was killed.
fn is_kept(name: &OsStr) -> bool {
    let text = name.to_string_lossy();
    KEPT.contains(&&*text) || common::leftover::is_part(name)
}

fn entries(folder: &Path, is_meant: impl Fn(&OsStr) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut paths: Vec<_> = names.filter(|name| is_meant(name)).map(|name| folder.join(name)).collect();
    paths.sort();
    paths
}
