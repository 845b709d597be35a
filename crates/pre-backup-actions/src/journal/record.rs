//! The journal's lines: from an entry to a record and back. No I/O.
//!
//! Format 1 is that of all versions so far. Older ones wrote all steps of a run before the first one started
//! (`planned`); such a line counts as a step that has started, because its after step may run once too often.

use std::ffi::{OsStr, OsString};
use std::ops::Not;
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

use super::Entry;
use crate::name;

const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// The first line: the format.
    Journal(u32),
    /// A step that starts, or something new about an entry that is there.
    Begin {
        #[serde(flatten)]
        entry: Entry,
        /// It was in the journal already, and keeps its place.
        #[serde(default, skip_serializing_if = "Not::not")]
        update: bool,
    },
    /// A service that was brought back.
    Clear(#[serde(with = "name")] OsString),
}

impl Record {
    pub(super) const HEADER: Record = Record::Journal(VERSION);

    pub(super) fn begin(entry: &Entry) -> Record {
        Record::Begin { entry: entry.clone(), update: false }
    }
}

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
            Record::Begin { entry, update } => {
                if !is_name(&entry.service) || !entry.folder.is_absolute() {
                    return None;
                }
                // Older versions wrote a failure down as a new beginning.
                let keeps_its_place = update || entry.failures > 0;
                let place = self.entries.iter().position(|other| other.service == entry.service);
                match place {
                    Some(place) if keeps_its_place => self.entries[place] = entry,
                    place => {
                        place.map(|place| self.entries.remove(place));
                        self.entries.push(entry);
                    }
                }
            }
            Record::Clear(service) => self.entries.retain(|entry| entry.service != service),
        }
        Some(())
    }
}

fn is_name(service: &OsStr) -> bool {
    !service.is_empty() && !service.as_bytes().contains(&b'/') && service != ".." && service != "."
}
