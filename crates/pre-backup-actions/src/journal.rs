//! The journal: services whose prepare step has started and whose after step has not yet run.
//!
//! Each entry is on the disk before its script starts, and a line takes it out when its after step has run. The last
//! line without its newline was never finished, so its script never started; any other that can't be read is damage,
//! and what is missing is not known ([`Journal::is_incomplete`]). The first line was written with the file as a whole,
//! so without it the file is damaged, too.

mod entry;
mod record;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::layout::DAMAGED_JOURNAL;
use common::problem::Problem;
use common::record_log::{self, RecordLog};
use common::text::escape_path;
use common::{atomic, leftover, private, units};

pub(crate) use entry::Entry;
use record::Record;

/// The journal of one state folder, open for writing. Its holder also holds the lock of the run.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    entries: Vec<Entry>,
    log: Option<RecordLog<Record>>,
    incomplete: bool,
}

/// What the journal at `path` holds, without touching it, and what could not be read: with that something has to be
/// done at once.
pub(crate) fn look(path: &Path) -> Result<(Vec<Entry>, Vec<Problem>)> {
    let (records, damage) = record_log::read(path).context("read the journal")?;
    let is_missing = damage.is_missing;
    let has_header = !records.is_empty();
    let sum = record::sum(records);
    let mut problems: Vec<_> = damage
        .unreadable
        .iter()
        .map(|line| Problem::at_line(path, *line, "the journal is damaged: this line can't be read"))
        .collect();
    if problems.is_empty() && (sum.is_damaged || !(has_header || is_missing)) {
        problems.push(Problem::new(path, "the journal is damaged: its lines don't belong together"));
    }
    if let Some(version) = sum.newer {
        let what = format!("the journal was written by a newer version (format {version})");
        problems.push(Problem::new(path, what));
    }
    Ok((sum.entries, problems))
}

impl Journal {
    /// Opens the journal at `path`, whose folder is made if it is missing. A damaged one, or one that a newer version
    /// wrote, is kept aside and reported; it stays in its place until [`Journal::assume`] adds what it should have
    /// held, so that an interruption in between forgets nothing.
    pub(crate) fn open(path: &Path) -> Result<(Journal, Vec<Problem>)> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        private::folder(folder)
            .with_context(|| format!("make the folder of the journal: {}", escape_path(folder)))?;
        leftover::clear(folder, "");
        // One that can't be read at all may hold services too.
        let (entries, mut problems) = look(path).unwrap_or_else(|error| {
            let what = format!("the journal can't be read: {}", error.root_cause());
            (Vec::new(), vec![Problem::new(path, what)])
        });
        let incomplete = !problems.is_empty();
        let mut journal = Journal { path: path.to_path_buf(), entries, log: None, incomplete };
        if incomplete {
            problems.push(journal.keep_aside());
        } else if journal.path.exists() {
            // Cuts off what was never finished, which needs no room on the disk. One that can't be written is no reason to
            // leave services stopped.
            match RecordLog::open(path) {
                Err(error) => {
                    let what = format!("the journal can't be written: {}", error.root_cause());
                    problems.push(Problem::new(path, what));
                }
                Ok(opened) => {
                    let is_due = journal.entries.is_empty() || opened.log.wants_rewrite();
                    journal.log = Some(opened.log);
                    if is_due {
                        let _ = journal.tidy();
                    }
                }
            }
        }
        Ok((journal, problems))
    }

    /// Services whose after step has to run, in the order in which their prepare steps began.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where a killed run may have left something of a dump.
    pub(crate) fn dump_folders(&self) -> BTreeSet<PathBuf> {
        let below =
            |entry: &Entry| entry.dumps.iter().map(|dump| entry.folder.join(dump)).collect::<Vec<_>>();
        let folders =
            self.entries.iter().flat_map(|entry| [vec![entry.folder.clone()], below(entry)].concat());
        folders.collect()
    }

    pub(crate) fn entry(&self, service: &OsStr) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.service == service)
    }

    /// Something in it could not be read, so there may be services that it should hold and does not.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Takes `assumed` in beside what is there, which ends the doubt about a damaged journal. It is written as a whole;
    /// if that fails, the one on the disk stays as it was, and with it the doubt, but what is known here can be used.
    pub(crate) fn assume(&mut self, assumed: Vec<Entry>) -> Result<()> {
        for entry in assumed {
            if self.entry(&entry.service).is_none() {
                self.entries.push(entry);
            }
        }
        self.tidy()
    }

    /// Writes down that a step is about to start. It must not start if this fails. It is synced if there is something
    /// to bring back after a power cut.
    pub(crate) fn begin(&mut self, entry: Entry) -> Result<()> {
        match entry.has_after {
            true => self.write(Record::begin(&entry))?,
            false => self.append(Record::begin(&entry)).map(drop)?,
        }
        self.entries.retain(|other| other.service != entry.service);
        self.entries.push(entry);
        Ok(())
    }

    /// Writes down what `change` makes of the entry of `service`, if there is one.
    pub(crate) fn update(&mut self, service: &OsStr, change: impl FnOnce(&mut Entry)) -> Result<()> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.service == service) else {
            return Ok(());
        };
        change(entry);
        let record = Record::Begin { entry: entry.clone(), update: true };
        self.write(record)
    }

    /// Writes down that the after step of `service` failed because of `why`, and when it is due again.
    pub(crate) fn failed(&mut self, service: &OsStr, why: &str, now: i64) -> Result<()> {
        self.update(service, |entry| entry.fail(why, now))
    }

    /// Takes the backups that `is_over` holds for off every entry; those that no other backup holds are left without a
    /// key and have to be brought back. If that can't be written, it holds for this run.
    pub(crate) fn release(&mut self, is_over: impl Fn(&str) -> bool) -> Result<()> {
        let mut written = Ok(());
        let held: Vec<_> =
            self.entries.iter().filter(|entry| entry.keys.iter().any(|key| is_over(key))).cloned().collect();
        for entry in held {
            let others: BTreeSet<_> = entry.keys.iter().filter(|key| !is_over(key)).cloned().collect();
            written = written.and(self.update(&entry.service, |entry| entry.keys = others));
        }
        written
    }

    /// Takes out a service whose after step has run.
    pub(crate) fn clear(&mut self, service: &OsStr) -> Result<()> {
        if self.entries.iter().all(|entry| entry.service == service) {
            self.remove()?;
            let folder = self.path.parent().unwrap_or(Path::new("/"));
            return atomic::sync_folder(folder).with_context(|| self.naming());
        }
        self.write(Record::Clear(service.to_os_string()))?;
        self.entries.retain(|entry| entry.service != service);
        Ok(())
    }

    /// Takes out all entries at once that `is_kept` does not hold for: those with nothing to run, which may be back
    /// after a power cut, so nothing is synced if none is left.
    pub(crate) fn keep_only(&mut self, is_kept: impl Fn(&Entry) -> bool) -> Result<()> {
        let kept: Vec<Entry> = self.entries.iter().filter(|entry| is_kept(entry)).cloned().collect();
        if kept.len() == self.entries.len() {
            return Ok(());
        }
        self.entries = kept;
        self.tidy()
    }

    /// An empty journal is no file.
    fn remove(&mut self) -> Result<()> {
        self.log = None;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| self.naming());
            }
            _ => self.entries.clear(),
        }
        self.incomplete = false;
        Ok(())
    }

    /// Returns the length before it, if it was not written with the file as a whole.
    fn append(&mut self, record: Record) -> Result<Option<u64>> {
        let naming = self.naming();
        let Some(log) = &mut self.log else {
            // The first line is written with the file.
            return self.rewrite(Some(record)).map(|()| None);
        };
        let length = log.length();
        log.append(&[record]).with_context(|| naming)?;
        Ok(Some(length))
    }

    fn write(&mut self, record: Record) -> Result<()> {
        let naming = self.naming();
        let length = self.append(record)?;
        let (Some(log), Some(length)) = (&mut self.log, length) else { return Ok(()) };
        let synced = log.sync();
        if synced.is_err() {
            // What is not known to be on the disk did not happen.
            let _ = log.cut(length);
        }
        synced.with_context(|| naming)
    }

    /// Writes what is open anew, and `more` after it, whole or not at all.
    fn rewrite(&mut self, more: Option<Record>) -> Result<()> {
        let started = self.entries.iter().map(Record::begin);
        let records: Vec<_> = std::iter::once(Record::HEADER).chain(started).chain(more).collect();
        self.log = Some(RecordLog::create(&self.path, &records)?);
        self.incomplete = false;
        Ok(())
    }

    /// Leaves nothing in the file but what is open.
    fn tidy(&mut self) -> Result<()> {
        if self.entries.is_empty() { self.remove() } else { self.rewrite(None) }
    }

    /// A second name for the file as it is, which needs no room; the next rewrite takes the journal's own name.
    fn keep_aside(&self) -> Problem {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let is_kept = |entry: &fs::DirEntry| {
            let metadata = (entry.metadata().ok(), fs::metadata(&self.path).ok());
            let is_aside = entry.file_name().as_encoded_bytes().starts_with(DAMAGED_JOURNAL.as_bytes());
            is_aside && matches!(metadata, (Some(a), Some(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
        };
        let earlier = fs::read_dir(folder).into_iter().flatten().flatten().find(is_kept);
        let aside = earlier.map_or_else(
            || self.path.with_file_name(format!("{DAMAGED_JOURNAL}{}-{}", units::now(), std::process::id())),
            |entry| entry.path(),
        );
        let linked = if aside.exists() { Ok(()) } else { fs::hard_link(&self.path, &aside) };
        // A FIFO would wait for its other end.
        let copied =
            |error| if self.path.is_file() { fs::copy(&self.path, &aside).map(drop) } else { Err(error) };
        match linked.or_else(copied) {
            Ok(()) => Problem::new(aside, "a copy of the journal from before is kept here"),
            Err(error) => Problem::new(aside, format!("the damaged journal could not be kept here: {error}")),
        }
    }

    fn naming(&self) -> String {
        format!("write the journal: {}", escape_path(&self.path))
    }
}

#[cfg(test)]
mod tests;
