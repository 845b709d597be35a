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
    /// How often the spool was emptied before that.
    #[serde(rename = "file")]
    pub(crate) generation: u64,
    /// Up to which byte of it.
    pub(crate) offset: u64,
    /// What follows belongs to a line that was too long.
    pub(crate) skipping: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Record {
    /// What a rewritten journal starts with.
    Next {
        id: u64,
        spool: Mark,
    },
    Accepted(Entry),
    /// Its action was about to run.
    Started {
        id: u64,
    },
    /// It is over, however it ended.
    Ended {
        id: u64,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its number; never used twice.
    pub(crate) id: u64,
    pub(crate) at: Moment,
    pub(crate) door: Origin,
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
    next_id: u64,
    mark: Mark,
}

impl Journal {
    /// Opens or makes the journal at `path`. Returns the messages that have not ended, oldest first, and what is wrong
    /// with what was there.
    pub(crate) fn open(path: &Path) -> Result<(Journal, Vec<Entry>, Damage)> {
        let Opened { log, records, damage } = RecordLog::open(path)?;
        let mut journal = Journal { log, unflushed: false, next_id: 1, mark: Mark::default() };
        let mut open = BTreeMap::new();
        for record in records {
            journal.count(&record);
            match record {
                Record::Next { .. } => {}
                Record::Accepted(entry) => drop(open.insert(entry.id, entry)),
                Record::Started { id } => {
                    open.entry(id).and_modify(|entry: &mut Entry| entry.started = true);
                }
                Record::Ended { id } => drop(open.remove(&id)),
            }
        }
        Ok((journal, open.into_values().collect(), damage))
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    /// Writes all of `records` or none. They survive the end of the listener; a stop of the machine only after
    /// [`Journal::flush`]. Flushed here is the start of a message that is on the disk already, which would run again if the
    /// disk did not know of it, and that the spool was emptied, without which what is added to it counts as used up.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let is_urgent = records.iter().any(|record| match record {
            Record::Started { .. } => true,
            Record::Next { spool, .. } => spool.generation > self.mark.generation,
            Record::Accepted(_) | Record::Ended { .. } => false,
        });
        let length = self.log.length();
        self.log.append(records)?;
        if is_urgent {
            if let Err(error) = self.log.sync() {
                self.log.cut(length)?;
                return Err(error);
            }
        }
        // Ends and marks may reach the disk later: at worst something is reported once more.
        self.unflushed |= !is_urgent && records.iter().any(|record| matches!(record, Record::Accepted(_)));
        records.iter().for_each(|record| self.count(record));
        Ok(())
    }

    fn count(&mut self, record: &Record) {
        let (next_id, mark) = match record {
            Record::Next { id, spool } => (*id, Some(*spool)),
            Record::Accepted(entry) => (entry.id + 1, entry.spool),
            Record::Started { .. } | Record::Ended { .. } => return,
        };
        self.next_id = self.next_id.max(next_id);
        self.mark = self.mark.max(mark.unwrap_or_default());
    }

    /// Once it has grown, replaces it by one that holds only the messages that `open` returns.
    pub(crate) fn shorten<I: Iterator<Item = Entry>>(&mut self, open: impl FnOnce() -> I) {
        if self.log.wants_rewrite() {
            let first = Record::Next { id: self.next_id, spool: self.mark };
            let records: Vec<_> = std::iter::once(first).chain(open().map(Record::Accepted)).collect();
            // If there is no room for the new file the old one goes on growing, and that is tried again later.
            let _ = self.log.rewrite(&records);
        }
    }

    /// Waits until the messages that were written are on the disk.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unflushed) {
            self.log.sync()?;
        }
        Ok(())
    }
}
