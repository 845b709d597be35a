//! The file that records which messages were accepted, started and ended.
//!
//! A record that is there happened; a line that a crash cut short did not, because no client was answered before the
//! append had returned. When the file has grown it is replaced by one that holds the open messages only.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anyhow::Result;
use common::moment::Moment;
use common::record_log::{Damage, Opened, RecordLog};
use serde::{Deserialize, Serialize};

use crate::door::Origin;

/// How far the FIFO's spool file has been turned into records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// How often the spool file was emptied before that.
    #[serde(rename = "file")]
    pub(crate) generation: u64,
    /// Up to which byte of it.
    pub(crate) offset: u64,
    /// What follows belongs to a line that was too long.
    pub(crate) skipping: bool,
}

/// One line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Record {
    /// What a rewritten journal starts with.
    Next { id: u64, spool: Mark },
    /// A message was taken.
    Accepted(Entry),
    /// Its action was about to run.
    Started { id: u64 },
    /// It is over, however it ended.
    Ended { id: u64 },
}

/// A message that was accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its number; never used twice.
    pub(crate) id: u64,
    /// When it was accepted.
    pub(crate) at: Moment,
    /// Where it came in.
    pub(crate) door: Origin,
    /// The line.
    pub(crate) line: String,
    /// Where in the spool file it ended, if it came through the FIFO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) spool: Option<Mark>,
    /// Whether its action was started; kept by `Started` records.
    #[serde(default)]
    pub(crate) started: bool,
}

/// The journal of one listener; no other process may have it open.
#[derive(Debug)]
pub(crate) struct Journal {
    log: RecordLog<Record>,
    /// Messages were written that the disk may not have yet.
    unflushed: bool,
    contents: Contents,
}

#[derive(Debug, Default)]
struct Contents {
    open: BTreeMap<u64, Entry>,
    next_id: u64,
    mark: Mark,
}

impl Journal {
    /// Opens or makes the journal at `path`, and returns what is wrong with what was there.
    pub(crate) fn open(path: &Path) -> Result<(Journal, Damage)> {
        let Opened { log, records, damage } = RecordLog::open(path)?;
        let mut contents = Contents { next_id: 1, ..Contents::default() };
        records.iter().for_each(|record| contents.apply(record));
        Ok((Journal { log, unflushed: false, contents }, damage))
    }

    /// The messages that have not ended, oldest first.
    pub(crate) fn open_entries(&self) -> impl Iterator<Item = &Entry> {
        self.contents.open.values()
    }

    /// The number that the next message gets.
    pub(crate) fn next_id(&self) -> u64 {
        self.contents.next_id
    }

    /// How far the spool has been turned into records.
    pub(crate) fn mark(&self) -> Mark {
        self.contents.mark
    }

    /// Writes all of `records` or none. They survive the end of the listener; a stop of the machine only after
    /// [`Journal::flush`]. The start of a message that is on the disk already is flushed here: it would run again if
    /// the disk did not know of it.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let restarts = records.iter().any(|record| matches!(record, Record::Started { .. }));
        let length = self.log.length();
        self.log.append(records)?;
        if restarts {
            if let Err(error) = self.log.sync() {
                self.log.cut(length)?;
                return Err(error);
            }
        }
        // Ends and marks may reach the disk later: at worst something is reported once more.
        self.unflushed |= !restarts && records.iter().any(|record| matches!(record, Record::Accepted(_)));
        records.iter().for_each(|record| self.contents.apply(record));
        if self.log.wants_rewrite() {
            // If there is no room for the new file the old one goes on growing, and that is tried again later.
            let _ = self.log.rewrite(&self.contents.records());
        }
        Ok(())
    }

    /// Waits until the messages that were written are on the disk.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unflushed) {
            self.log.sync()?;
        }
        Ok(())
    }
}

impl Contents {
    fn records(&self) -> Vec<Record> {
        let first = Record::Next { id: self.next_id, spool: self.mark };
        std::iter::once(first).chain(self.open.values().cloned().map(Record::Accepted)).collect()
    }

    fn apply(&mut self, record: &Record) {
        match record {
            Record::Next { id, spool } => {
                self.next_id = self.next_id.max(*id);
                self.mark = self.mark.max(*spool);
            }
            Record::Accepted(entry) => {
                self.next_id = self.next_id.max(entry.id + 1);
                if let Some(mark) = entry.spool {
                    self.mark = self.mark.max(mark);
                }
                self.open.insert(entry.id, entry.clone());
            }
            Record::Started { id } => {
                if let Some(entry) = self.open.get_mut(id) {
                    entry.started = true;
                }
            }
            Record::Ended { id } => {
                self.open.remove(id);
            }
        }
    }
}
