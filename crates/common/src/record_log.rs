//! An append-only log of records, one JSON object a line: what the tools have to remember whatever happens to them.
//!
//! One rule for a torn end: a last line without its newline was never finished, so its record did not happen; it is
//! cut off when the log is opened. One rule for compaction: past 256 KiB, and twice the size of the last rewrite, the
//! log asks for one. What a line in the middle means that can't be read is the caller's to decide ([`Damage`]).
//! One process may have a log open at a time; the caller holds the lock.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::text::escape_path;
use crate::{atomic, private, regular_file};

/// A log smaller than this is never rewritten.
const LONG: u64 = 256 << 10;

/// A log that is open for writing.
#[derive(Debug)]
pub struct RecordLog<T> {
    path: PathBuf,
    file: File,
    length: u64,
    rewrite_at: u64,
    records: PhantomData<fn(T) -> T>,
}

/// A log as it was found.
#[derive(Debug)]
pub struct Opened<T> {
    /// The log, ready for the next record.
    pub log: RecordLog<T>,
    /// Its records, oldest first.
    pub records: Vec<T>,
    /// What could not be read of it.
    pub damage: Damage,
}

/// What is wrong with a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// The lines, counted from 1, that are not a record.
    pub unreadable: Vec<usize>,
    /// The last line was not finished.
    pub is_torn: bool,
    /// There was no file.
    pub is_missing: bool,
}

/// Reads the log at `path` without touching it.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<(Vec<T>, Damage)> {
    match regular_file::read(path, u64::MAX) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok((Vec::new(), Damage { is_missing: true, ..Damage::default() }))
        }
        Err(error) => Err(error).with_context(|| format!("read: {}", escape_path(path))),
    }
}

/// Adds `record` to the log at `path`, which is read only if it was not finished or has grown long: then `shorten` decides
/// what stays of its records. A damaged line is passed over.
pub fn add<T: Serialize + DeserializeOwned>(
    path: &Path,
    record: &T,
    shorten: impl FnOnce(&[T]) -> Vec<T>,
) -> Result<()> {
    let naming = || format!("write: {}", escape_path(path));
    let file = private::read_write(path).with_context(naming)?;
    let length = file.metadata().with_context(naming)?.len();
    let mut last = *b"\n";
    file.read_at(&mut last, length.saturating_sub(1)).with_context(naming)?;
    let mut log = match last == *b"\n" {
        true => RecordLog { path: path.into(), file, length, rewrite_at: LONG, records: PhantomData },
        false => RecordLog::open(path)?.log,
    };
    log.append(std::slice::from_ref(record)).with_context(naming)?;
    if log.wants_rewrite() {
        log.rewrite(&shorten(&read(path)?.0))?;
    }
    Ok(())
}

impl<T: Serialize + DeserializeOwned> RecordLog<T> {
    /// Opens the log at `path`, or makes it with mode 0600 (and its folder with 0700). A symlink is refused.
    pub fn open(path: &Path) -> Result<Opened<T>> {
        let naming = || format!("open: {}", escape_path(path));
        let is_missing = fs::symlink_metadata(path).is_err();
        let file = private::read_write(path).with_context(naming)?;
        let text = fs::read(path).with_context(naming)?;
        let (records, damage) = parse(&text);
        let length = whole(&text) as u64;
        if damage.is_torn {
            // The rest of a line must not run into the next record. Cutting needs no room on the disk.
            file.set_len(length).with_context(naming)?;
        }
        let log =
            RecordLog { path: path.to_path_buf(), file, length, rewrite_at: LONG, records: PhantomData };
        Ok(Opened { log, records, damage: Damage { is_missing, ..damage } })
    }

    /// Writes all of `records`, or none of them. They survive the end of this process; a power cut only after
    /// [`RecordLog::sync`].
    pub fn append(&mut self, records: &[T]) -> io::Result<()> {
        let text = lines(records)?;
        if let Err(error) = self.file.write_all_at(&text, self.length) {
            // What was refused must not turn up after a restart.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += text.len() as u64;
        Ok(())
    }

    /// Waits until everything that was appended is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Takes back what [`RecordLog::append`] wrote since the log had `length` bytes.
    pub fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.length = length;
        Ok(())
    }

    /// Its size in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether it has grown so much that [`RecordLog::rewrite`] pays.
    pub fn wants_rewrite(&self) -> bool {
        self.length > self.rewrite_at
    }

    /// Replaces the log by one that holds only `records`, in one step and synced. If that fails the old log stays in
    /// use, and a rewrite is asked for again once it has grown further.
    pub fn rewrite(&mut self, records: &[T]) -> Result<()> {
        self.rewrite_at = self.length + LONG;
        *self = RecordLog::create(&self.path, records)?;
        Ok(())
    }

    /// Replaces what is at `path` by a log that holds only `records`, likewise.
    pub fn create(path: &Path, records: &[T]) -> Result<RecordLog<T>> {
        let text = lines(records).with_context(|| format!("write: {}", escape_path(path)))?;
        atomic::write(path, &text, 0o600)?;
        let file = private::read_write(path).with_context(|| format!("open: {}", escape_path(path)))?;
        let length = text.len() as u64;
        let rewrite_at = LONG.max(2 * length);
        Ok(RecordLog { path: path.to_path_buf(), file, length, rewrite_at, records: PhantomData })
    }
}

fn lines<T: Serialize>(records: &[T]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for record in records {
        serde_json::to_writer(&mut text, record)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// The length of what consists of finished lines.
fn whole(text: &[u8]) -> usize {
    text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> (Vec<T>, Damage) {
    let whole = whole(text);
    let mut damage = Damage { is_torn: whole < text.len(), ..Damage::default() };
    let mut records = Vec::new();
    for (index, line) in text[..whole].split_inclusive(|&byte| byte == b'\n').enumerate() {
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(_) => damage.unreadable.push(index + 1),
        }
    }
    (records, damage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn open(path: &Path) -> Opened<u64> {
        RecordLog::open(path).unwrap()
    }

    #[test]
    fn a_torn_end_did_not_happen_and_damage_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/log");
        let mut opened = open(&path);
        assert!(opened.damage.is_missing && opened.records.is_empty());
        opened.log.append(&[1, 2]).unwrap();
        drop(opened);
        let text = fs::read(&path).unwrap();
        fs::write(&path, [&text, &b"damaged \xff\n3\n4"[..]].concat()).unwrap();
        assert_eq!(read::<u64>(&path).unwrap().0, [1, 2, 3], "reading alone changes nothing");
        let mut opened = open(&path);
        assert_eq!(opened.records, [1, 2, 3]);
        assert_eq!(opened.damage, Damage { unreadable: vec![3], is_torn: true, is_missing: false });
        opened.log.append(&[5]).unwrap();
        assert_eq!(open(&path).records, [1, 2, 3, 5], "the torn line does not run into the next record");
    }

    #[test]
    fn a_record_is_added_without_reading_the_log_unless_it_is_torn_or_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let add_one = |number: u64| add(&path, &number, |all| all[all.len() - 2..].to_vec()).unwrap();
        add_one(1);
        fs::write(&path, "1\n2\n3").unwrap();
        add_one(4);
        assert_eq!(read::<u64>(&path).unwrap().0, [1, 2, 4]);
        fs::write(&path, "7\n".repeat(LONG as usize / 2)).unwrap();
        add_one(8);
        assert_eq!(read::<u64>(&path).unwrap().0, [7, 8]);
    }

    #[test]
    fn a_rewrite_is_asked_for_and_bounds_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = open(&path).log;
        for number in 0..100_000 {
            log.append(&[number]).unwrap();
            if log.wants_rewrite() {
                log.rewrite(&[number]).unwrap();
            }
        }
        assert!(fs::metadata(&path).unwrap().len() <= LONG + 8);
        assert_eq!(open(&path).records.last(), Some(&99_999));
    }
}
