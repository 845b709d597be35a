//! Looks at everything that a set-up consists of and changes nothing. In come the places, out come the facts.
//!
//! What a reader gets wrong: the bridge folder can be written by the container, so nothing in it is opened or
//! followed because of its name; [`entry::look`] only asks what is there.

pub(crate) mod bash_listener;
pub(crate) mod client;
pub(crate) mod entry;
pub(crate) mod listener;
pub(crate) mod unit;

use std::path::{Path, PathBuf};

use anyhow::Result;
use common::lock::Holder;

use crate::cli::Supervisor;
use crate::crontab::{self, Crontab};
use crate::places::Places;
use crate::record::Record;
use bash_listener::BashListener;
use client::Client;
use entry::Entry;
use unit::Unit;

#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) container_root: Entry,
    pub(crate) container_dir: Entry,
    pub(crate) bridge: Entry,
    pub(crate) pipe: Entry,
    pub(crate) old_pipe: Entry,
    pub(crate) state: Entry,
    pub(crate) logs: Entry,
    pub(crate) client: Client,
    pub(crate) listener: Option<Holder>,
    /// What the listener runs, where that is not the program that is installed now.
    pub(crate) other_program: Option<PathBuf>,
    /// The listener's socket; it removes it at once when it is asked to end.
    pub(crate) socket: Entry,
    pub(crate) bash_listeners: Vec<BashListener>,
    pub(crate) crontab: Crontab,
    pub(crate) unit: Unit,
    pub(crate) record: Record,
    pub(crate) has_data_root: bool,
    pub(crate) user: u32,
}

impl Facts {
    /// A listener runs that is not to stay: an older one than is installed, or one that is just ending.
    pub(crate) fn must_restart(&self) -> bool {
        self.listener.is_some() && (self.other_program.is_some() || self.socket.is_missing())
    }
}

/// Looks at everything; `asked` is the supervisor that the person names. Fails only if it can't be found out what is
/// there.
pub(crate) fn inspect(places: &Places, asked: Option<Supervisor>) -> Result<Facts> {
    let layout = &places.layout;
    let listener = listener::look(&layout.listener_lock())?;
    let record = layout.setup_record();
    let retired = layout.retired_state().join(record.file_name().unwrap_or_default());
    // A removal that was killed has left it there.
    let record = match Record::read(&record)? {
        Some(record) => record,
        None => Record::read(&retired)?.unwrap_or_default(),
    };
    let is_systemd = asked.or(record.supervisor) == Some(Supervisor::Systemd);
    let container_dir = layout.container_dir();
    Ok(Facts {
        container_root: entry::look(container_dir.parent().unwrap_or(container_dir))?,
        container_dir: entry::look(container_dir)?,
        bridge: entry::look(&layout.bridge())?,
        pipe: entry::look(&layout.fifo())?,
        old_pipe: entry::look(&layout.old_fifo())?,
        state: entry::look(&layout.state())?,
        logs: entry::look(&layout.logs())?,
        client: client::look(&places.client_source, &layout.client()),
        unit: unit::look(&places.unit, listener.as_ref(), is_systemd)?,
        other_program: listener::other_program(listener.as_ref(), Path::new(&places.listener[0])),
        socket: entry::look(&layout.socket())?,
        listener,
        bash_listeners: bash_listener::find(),
        crontab: crontab::read()?,
        record,
        has_data_root: places.data_dir.parent().is_some_and(Path::is_dir),
        user: nix::unistd::geteuid().as_raw(),
    })
}
