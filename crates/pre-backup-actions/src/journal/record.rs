//! The journal's lines: from an entry to a record and back. No I/O.
//!
//! Format 1 is that of all versions so far. Older ones wrote all steps of a run before the first one started
//! (`planned`); such a line counts as a step that has started, because its after step may run once too often.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Entry;
use crate::name;

/// What this version writes.
const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// The first line: the format.
    Journal(u32),
    Begin(Begin),
    Clear(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Begin {
    service: String,
    folder: String,
    run: String,
    boot: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<i32>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    keys: BTreeSet<String>,
    // tidy: an older version reads this name only; the next one writes `started`
    #[serde(rename = "begun", alias = "started")]
    started: i64,
    due: i64,
    /// There was an after script when it began.
    #[serde(default, skip_serializing_if = "is_false")]
    after: bool,
    /// Its prepare step has done well.
    #[serde(default, skip_serializing_if = "is_false")]
    prepared: bool,
    /// It was in the journal already, and keeps its place.
    #[serde(default, skip_serializing_if = "is_false")]
    update: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The first line of a journal.
pub(super) fn header() -> Record {
    Record::Journal(VERSION)
}

/// A step that starts.
pub(super) fn begin(entry: &Entry) -> Record {
    Record::Begin(of(entry))
}

/// Something new about an entry that is there.
pub(super) fn update(entry: &Entry) -> Record {
    Record::Begin(Begin { update: true, ..of(entry) })
}

/// A service that was brought back.
pub(super) fn clear(service: &OsStr) -> Record {
    Record::Clear(name::encode(service))
}

fn of(entry: &Entry) -> Begin {
    Begin {
        service: name::encode(&entry.service),
        folder: name::encode(entry.folder.as_os_str()),
        run: entry.run.clone(),
        boot: entry.boot.clone(),
        session: entry.session,
        keys: entry.keys.clone(),
        started: entry.started,
        due: entry.due,
        after: entry.has_after,
        prepared: entry.is_prepared,
        update: false,
        failures: entry.failures,
        why: entry.why.clone(),
    }
}

/// What the records of a journal add up to.
#[derive(Debug, Default)]
pub(super) struct Sum {
    /// What is open, in the order of its beginning.
    pub(super) entries: Vec<Entry>,
    /// A record holds what can't be: its name, its place.
    pub(super) is_damaged: bool,
    /// A newer version's format.
    pub(super) newer: Option<u32>,
}

/// Adds up `records`, of which the first one has to be the header.
pub(super) fn sum(records: Vec<Record>) -> Sum {
    let mut sum = Sum::default();
    for (index, record) in records.into_iter().enumerate() {
        let is_in_place = matches!(record, Record::Journal(_)) == (index == 0);
        sum.is_damaged |= sum.add(record).is_none() || !is_in_place;
    }
    sum
}

impl Sum {
    /// Takes a record over. `None` if it can't be used.
    fn add(&mut self, record: Record) -> Option<()> {
        match record {
            Record::Journal(version) if version > VERSION => self.newer = Some(version),
            Record::Journal(_) => {}
            Record::Begin(begin) => {
                // Older versions wrote a failure down as a new beginning.
                let keeps_its_place = begin.update || begin.failures > 0;
                let entry = entry(begin)?;
                let place = self.entries.iter().position(|other| other.service == entry.service);
                match place {
                    Some(place) if keeps_its_place => self.entries[place] = entry,
                    place => {
                        place.map(|place| self.entries.remove(place));
                        self.entries.push(entry);
                    }
                }
            }
            Record::Clear(service) => {
                let service = name::decode(&service)?;
                self.entries.retain(|entry| entry.service != service);
            }
        }
        Some(())
    }
}

fn entry(begin: Begin) -> Option<Entry> {
    let service = name::decode(&begin.service)?;
    let folder = PathBuf::from(name::decode(&begin.folder)?);
    let is_name =
        !service.is_empty() && !service.as_bytes().contains(&b'/') && service != ".." && service != ".";
    let is_whole = is_name && folder.is_absolute();
    is_whole.then_some(Entry {
        service,
        folder,
        run: begin.run,
        boot: begin.boot,
        session: begin.session,
        keys: begin.keys,
        started: begin.started,
        due: begin.due,
        has_after: begin.after,
        is_prepared: begin.prepared,
        failures: begin.failures,
        why: begin.why,
    })
}
