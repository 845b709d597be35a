//! What the listener remembers of what it did, for `status`, and who waits for that.

use common::units;

use crate::door::ClientId;
use crate::reply::Clients;

/// A kind of event of which the last is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fact {
    /// A message ended.
    Last,
    /// A message failed.
    LastFailure,
    /// A message does not run because of a listener that was away.
    LastLost,
    /// A notification ended.
    LastPush,
    /// The after steps of a backup that never reported back were run.
    OverdueBackup,
}

/// The keys of `status`, in the order of [`Fact`].
const KEYS: [&str; 5] = ["last", "last-failure", "last-lost", "last-push", "overdue-backup"];

#[derive(Debug)]
pub(super) struct Facts {
    /// When the listener started.
    since: String,
    events: [Option<String>; KEYS.len()],
    /// Who waits for a status that is being put together, and whether as JSON.
    askers: Vec<(ClientId, bool)>,
}

impl Facts {
    pub(super) fn new() -> Facts {
        Facts { since: units::now(), events: Default::default(), askers: Vec::new() }
    }

    pub(super) fn note(&mut self, fact: Fact, event: &str) {
        self.events[fact as usize] = Some(format!("{} {event}", units::now()));
    }

    pub(super) fn forget(&mut self, fact: Fact) {
        self.events[fact as usize] = None;
    }

    pub(super) fn has(&self, fact: Fact) -> bool {
        self.events[fact as usize].is_some()
    }

    pub(super) fn since(&self) -> &str {
        &self.since
    }

    /// Keys and values for `status`.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'static str, String)> {
        KEYS.into_iter().zip(&self.events).filter_map(|(key, event)| Some((key, event.clone()?)))
    }

    /// A client waits for the status. Returns whether it has to be put together; otherwise that is under way.
    pub(super) fn ask(&mut self, client: ClientId, json: bool, clients: &Clients) -> bool {
        self.askers.push((client, json));
        let is_first = self.askers.len() == 1;
        // Who has left meanwhile needs no place.
        self.askers.retain(|&(client, _)| is_first || clients.is_there(client));
        is_first
    }

    pub(super) fn take_askers(&mut self) -> Vec<(ClientId, bool)> {
        std::mem::take(&mut self.askers)
    }
}
