//! The file that says which messages were accepted, started and ended: one JSON record a line, appended.
//!
//! A record that is there happened; a line that a crash cut short did not, because nobody was told of it before the
//! append had returned. When the file has grown it is replaced by one that holds the open messages only.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::text::escape_path;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::door::Door;

/// A journal longer than this, and twice as long as it has to be, is made anew.
const LONG: u64 = 256 << 10;

/// How far the FIFO's spool file has been turned into records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Which spool file.
    pub(crate) file: u64,
    /// Up to which byte of it.
    pub(crate) offset: u64,
    /// What follows belongs to a line that was too long.
    pub(crate) skipping: bool,
}

/// One line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Record {
    /// What a journal that was made anew starts with.
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
    pub(crate) door: Door,
    /// The line.
    pub(crate) line: String,
    /// Where in the spool file it ended, if it came through the FIFO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) spool: Option<Mark>,
    /// Whether its action was started; kept by `Started` records.
    #[serde(default)]
    pub(crate) started: bool,
}

/// What is wrong with a journal that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// So many lines say nothing.
    pub(crate) unreadable: usize,
    /// It was missing, or its last line was not whole: something may have been done that it does not tell.
    pub(crate) is_cut: bool,
}

impl Damage {
    /// Whether all is known that was done.
    pub(crate) fn is_none(self) -> bool {
        self.unreadable == 0 && !self.is_cut
    }
}

/// The journal of one listener; nobody else may have it open.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    /// The length at which it is looked at again.
    renew_at: u64,
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
    /// Opens or makes the journal at `path`, and tells what is wrong with what was there.
    pub(crate) fn open(path: &Path) -> Result<(Journal, Damage)> {
        let naming = || format!("open the queue: {}", escape_path(path));
        let is_new = fs::symlink_metadata(path).is_err();
        let file = open(path).with_context(naming)?;
        let text = fs::read(path).with_context(naming)?;
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        let mut contents = Contents { next_id: 1, ..Contents::default() };
        let mut unreadable = 0;
        for line in text[..whole].split_inclusive(|&b| b == b'\n') {
            match serde_json::from_slice(line) {
                Ok(record) => contents.apply(&record),
                Err(_) => unreadable += 1,
            }
        }
        let damage = Damage { unreadable, is_cut: is_new || whole < text.len() };
        let length = whole as u64;
        // What a crash left of a line must not run into the next record.
        file.set_len(length).with_context(naming)?;
        let journal =
            Journal { path: path.to_path_buf(), file, length, renew_at: LONG, unflushed: false, contents };
        Ok((journal, damage))
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

    /// Writes all of `records` or none. A crash of the listener forgets none of it from then on; a stop of the machine
    /// may, until [`Journal::flush`]. The start of a message that is on the disk already is flushed here: it would run
    /// again if the disk did not know of it.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut text = Vec::new();
        for record in records {
            serde_json::to_writer(&mut text, record)?;
            text.push(b'\n');
        }
        let restarts = records.iter().any(|record| matches!(record, Record::Started { .. }));
        let written = self
            .file
            .write_all_at(&text, self.length)
            .and_then(|()| if restarts { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // What was refused must not turn up after a restart.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += text.len() as u64;
        // Ends and marks may reach the disk later: at worst something is reported once more.
        self.unflushed |= !restarts && records.iter().any(|record| matches!(record, Record::Accepted(_)));
        records.iter().for_each(|record| self.contents.apply(record));
        if self.length > self.renew_at {
            self.renew()?;
        }
        Ok(())
    }

    /// Waits until the messages that were written are on the disk.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unflushed) {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn renew(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        let first = Record::Next { id: self.contents.next_id, spool: self.contents.mark };
        let entries = self.contents.open.values().cloned().map(Record::Accepted);
        for record in std::iter::once(first).chain(entries) {
            serde_json::to_writer(&mut text, &record)?;
            text.push(b'\n');
        }
        self.renew_at = LONG.max(2 * text.len() as u64);
        if self.length < self.renew_at {
            return Ok(());
        }
        // Where there is no room for the new file the old one goes on growing, and that is tried again later.
        self.renew_at = self.renew_at.max(self.length + LONG);
        if common::atomic::write(&self.path, &text, 0o600).is_ok() {
            self.file = open(&self.path)?;
            self.length = text.len() as u64;
            self.renew_at = LONG.max(2 * self.length);
        }
        Ok(())
    }
}

impl Contents {
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

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(path)
}
