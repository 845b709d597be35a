//! The journal: services whose prepare step has begun and whose after step has not yet run.
//!
//! It is a text file of one JSON object a line. All steps of a run are written and synced before the first script
//! starts (`planned`); each is written once more when it starts, and a line takes it out when its after step has run.
//! What a reader would get wrong: the second line is not synced, because it survives all but a power cut, after which
//! what was planned counts as begun. The last line without its newline was never finished, so its script never
//! started; any other that can't be read is damage, and nobody knows what is missing ([`Journal::is_incomplete`]). The
//! first line was written with the file as a whole, so without it the file is damaged, too.

mod entry;
mod text;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::problem::Problem;
use common::text::escape_path;
use common::{atomic, units};

pub(crate) use entry::{Entry, boot_id, unix_now};
use text::{Line, Parsed};

/// The journal of one state folder, open for writing. Whoever holds it holds the lock of the run.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    entries: Vec<Entry>,
    file: Option<File>,
    incomplete: bool,
}

/// How the names begin of damaged journals that are kept.
const ASIDE: &str = "journal.damaged-";

/// When a line has to be on the disk.
#[derive(Clone, Copy, Debug)]
enum Durable {
    /// Before we go on.
    Now,
    /// Some time: a synced line says enough if the power goes.
    AsPlanned,
}

/// What stands in the journal in `folder`, without touching it, and what could not be read: with that something has to
/// be done at once.
pub(crate) fn look(folder: &Path) -> Result<(Vec<Entry>, Vec<Problem>)> {
    let path = folder.join("journal");
    let parsed = read(&path)?;
    let problems = problems_of(&parsed, &path);
    Ok((parsed.entries, problems))
}

impl Journal {
    /// Opens the journal in `folder`, which is made where it is missing. A damaged one, or one that a newer version
    /// wrote, is kept aside and told; it stays in its place until [`Journal::settle`] says what it should have held, so
    /// that an interruption in between forgets nothing.
    pub(crate) fn open(folder: &Path) -> Result<(Journal, Vec<Problem>)> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("make the folder of the journal: {}", escape_path(folder)))?;
        common::leftover::clear(folder);
        let path = folder.join("journal");
        let parsed = read(&path)?;
        let mut problems = problems_of(&parsed, &path);
        let incomplete = !parsed.unreadable.is_empty() || parsed.newer.is_some();
        let mut journal = Journal { path, entries: parsed.entries, file: None, incomplete };
        if incomplete {
            problems.push(journal.keep_aside());
        } else if parsed.torn.is_some() || parsed.stale {
            // A full disk is no reason to leave services stopped, and what is too much in it costs a look alone. Only
            // half a line has to go before the next one follows it, and that needs no room.
            if let (Err(_), Some(end)) = (journal.tidy(), parsed.torn) {
                let file = OpenOptions::new().write(true).open(&journal.path);
                file.and_then(|file| file.set_len(end)).with_context(|| journal.naming())?;
            }
        }
        Ok((journal, problems))
    }

    /// Services whose after step has to run, in the order in which their prepare steps began.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Something in it could not be read, so there may be services that it should hold and does not.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Takes `assumed` in beside what is there, which ends the doubt about a damaged journal. It is written as a whole;
    /// where that fails, the one on the disk stays as it was, and with it the doubt, but what is known here can be used.
    pub(crate) fn settle(&mut self, assumed: Vec<Entry>) -> Result<()> {
        for entry in assumed {
            if self.entries.iter().all(|other| other.service != entry.service) {
                self.entries.push(entry);
            }
        }
        self.tidy()
    }

    /// Writes down, and syncs, what a run is going to start. Nothing of it may start where this fails.
    pub(crate) fn plan(&mut self, entries: &[Entry]) -> Result<()> {
        let lines: String = entries.iter().map(text::plan).collect();
        match lines.as_str() {
            "" => Ok(()),
            // A new file is synced once, not once for its first line and once more for the others.
            lines if !self.path.exists() => self.rewrite(lines),
            lines => self.append(lines, Durable::Now),
        }
    }

    /// Writes down that a planned step is about to start. It must not start where this fails.
    pub(crate) fn begin(&mut self, entry: Entry) -> Result<()> {
        self.append(&text::begin(&entry), Durable::AsPlanned)?;
        self.entries.retain(|other| other.service != entry.service);
        self.entries.push(entry);
        Ok(())
    }

    /// Takes out a service whose after step has run.
    pub(crate) fn clear(&mut self, service: &OsStr) -> Result<()> {
        if self.entries.iter().all(|entry| entry.service == service) {
            self.remove()?;
            return self.sync_folder();
        }
        self.append(&text::clear(service), Durable::Now)?;
        self.entries.retain(|entry| entry.service != service);
        Ok(())
    }

    /// Takes out all entries at once that `is_kept` does not hold for: those with nothing to run, which may be back
    /// after a power cut, so nothing is synced where none is left.
    pub(crate) fn keep_only(&mut self, is_kept: impl Fn(&Entry) -> bool) -> Result<()> {
        let kept: Vec<Entry> = self.entries.iter().filter(|entry| is_kept(entry)).cloned().collect();
        if kept.len() == self.entries.len() {
            return Ok(());
        }
        self.entries = kept;
        if self.entries.is_empty() { self.remove() } else { self.rewrite("") }
    }

    /// Writes down that the after step of `service` failed because of `why`, and when it is due again.
    pub(crate) fn failed(&mut self, service: &OsStr, why: &str, now: i64) -> Result<()> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.service == service) else {
            return Ok(());
        };
        entry.fail(why, now);
        let line = text::begin(entry);
        self.append(&line, Durable::Now)
    }

    /// An empty journal is no file.
    fn remove(&mut self) -> Result<()> {
        self.file = None;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| self.naming());
            }
            _ => self.entries.clear(),
        }
        self.incomplete = false;
        Ok(())
    }

    fn append(&mut self, line: &str, durable: Durable) -> Result<()> {
        let naming = self.naming();
        if self.incomplete {
            self.rewrite("")?;
        }
        if self.file.is_none() {
            if !self.path.exists() {
                self.rewrite("")?;
            }
            let opened = OpenOptions::new().append(true).mode(0o600).open(&self.path);
            self.file = Some(opened.with_context(|| naming.clone())?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let whole = file.metadata().with_context(|| naming.clone())?.len();
        let written = file.write_all(line.as_bytes()).and_then(|()| match durable {
            Durable::Now => file.sync_data(),
            Durable::AsPlanned => Ok(()),
        });
        if written.is_err() {
            // Half a line in the middle would be damage once the next one follows it.
            let _ = file.set_len(whole);
        }
        written.with_context(|| naming)
    }

    /// Writes what is open anew, and `more` after it, whole or not at all.
    fn rewrite(&mut self, more: &str) -> Result<()> {
        let begun = self.entries.iter().map(text::begin);
        let lines: Vec<Line> =
            std::iter::once(text::header()).chain(begun).chain([more.to_string()]).collect();
        self.file = None;
        atomic::write(&self.path, lines.concat().as_bytes(), 0o600)?;
        self.incomplete = false;
        Ok(())
    }

    /// Leaves nothing in the file but what is open.
    fn tidy(&mut self) -> Result<()> {
        if self.entries.is_empty() { self.remove() } else { self.rewrite("") }
    }

    /// A second name for the file as it is, which needs no room; the next rewrite gives the journal's own name away.
    fn keep_aside(&self) -> Problem {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let is_kept = |entry: &fs::DirEntry| {
            let metadata = (entry.metadata().ok(), fs::metadata(&self.path).ok());
            let is_aside = entry.file_name().as_encoded_bytes().starts_with(ASIDE.as_bytes());
            is_aside && matches!(metadata, (Some(a), Some(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
        };
        let earlier = fs::read_dir(folder).into_iter().flatten().flatten().find(is_kept);
        let aside = earlier.map_or_else(
            || self.path.with_file_name(format!("{ASIDE}{}-{}", units::now(), std::process::id())),
            |entry| entry.path(),
        );
        let linked = if aside.exists() { Ok(()) } else { fs::hard_link(&self.path, &aside) };
        match linked.or_else(|_| fs::copy(&self.path, &aside).map(|_| ())) {
            Ok(()) => Problem::new(aside, "the journal as it was is kept here"),
            Err(error) => Problem::new(aside, format!("the damaged journal could not be kept here: {error}")),
        }
    }

    fn sync_folder(&self) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        atomic::sync_folder(folder).with_context(|| self.naming())
    }

    fn naming(&self) -> String {
        format!("write the journal: {}", escape_path(&self.path))
    }
}

fn read(path: &Path) -> Result<Parsed> {
    match fs::read(path) {
        Ok(text) => Ok(text::parse(&text, &boot_id())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Parsed::default()),
        Err(error) => Err(error).with_context(|| format!("read the journal: {}", escape_path(path))),
    }
}

fn problems_of(parsed: &Parsed, path: &Path) -> Vec<Problem> {
    let mut problems: Vec<_> = parsed
        .unreadable
        .iter()
        .map(|line| Problem::at_line(path, *line, "the journal is damaged: this line can't be read"))
        .collect();
    if let Some(version) = parsed.newer {
        problems.push(Problem::new(
            path,
            format!("the journal was written by a newer version (format {version})"),
        ));
    }
    problems
}

#[cfg(test)]
mod tests;
