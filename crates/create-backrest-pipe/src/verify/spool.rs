//! Entries of a listing that wait in a temporary file until it is their turn: one folder may hold a million names.
//!
//! Written one folder after another, read back in any order of folders. What was read is not removed before the end.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use common::exit::HintExt;
use common::text::escape_path;
use serde_json::StreamDeserializer;
use serde_json::de::IoRead;

use super::entry::SnapshotEntry;

/// The file, open for writing at its end.
pub(super) struct Spool {
    file: Arc<File>,
    writer: BufWriter<File>,
    at: u64,
}

/// Where the entries of a folder are in the file.
pub(super) type Span = Range<u64>;

/// The entries of one folder, read one by one.
pub(super) type Entries = StreamDeserializer<'static, IoRead<BufReader<Part>>, SnapshotEntry>;

impl Spool {
    pub(super) fn new(scratch: &Path) -> Result<Spool> {
        let path = scratch.join("listing");
        let naming = || format!("make a temporary file: {}", escape_path(&path));
        let file =
            File::options().read(true).write(true).create_new(true).open(&path).with_context(naming)?;
        let writer = BufWriter::with_capacity(64 << 10, file.try_clone().with_context(naming)?);
        Ok(Spool { file: Arc::new(file), writer, at: 0 })
    }

    /// Where the next entry goes.
    pub(super) fn end(&self) -> u64 {
        self.at
    }

    /// Drops what was written from `place` on.
    pub(super) fn truncate(&mut self, place: u64) -> Result<()> {
        self.writer.seek(SeekFrom::Start(place)).map_err(super::Local::error)?;
        self.at = place;
        Ok(())
    }

    pub(super) fn add(&mut self, entry: &SnapshotEntry) -> Result<()> {
        let bytes = serde_json::to_vec(entry)?;
        let room = "name a larger folder for temporary files in TMPDIR";
        self.writer.write_all(&bytes).map_err(super::Local::error).context("keep the listing").hint(room)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// The entries at `place`.
    pub(super) fn entries(&mut self, place: Span) -> Result<Entries> {
        self.writer.flush().map_err(super::Local::error).context("keep the listing")?;
        let part = Part { file: Arc::clone(&self.file), place };
        let reader = BufReader::with_capacity(64 << 10, part);
        Ok(serde_json::Deserializer::from_reader(reader).into_iter())
    }
}

/// A part of the file. It has a position of its own.
pub(super) struct Part {
    file: Arc<File>,
    place: Span,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.place.end - self.place.start).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..wanted], self.place.start)?;
        self.place.start += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::entry::EntryKind;

    fn entry(path: &str) -> SnapshotEntry {
        SnapshotEntry { path: path.into(), kind: EntryKind::File, size: 3, modified: -1 }
    }

    #[test]
    fn folders_come_back_in_any_order_and_what_was_dropped_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path()).unwrap();
        let mut write = |paths: &[&str]| {
            let start = spool.end();
            paths.iter().for_each(|path| spool.add(&entry(path)).unwrap());
            start..spool.end()
        };
        let first = write(&["/a", "/a/line\nbreak"]);
        let dropped = write(&["/dropped, and longer than what comes after it"]);
        spool.truncate(dropped.start).unwrap();
        let start = spool.end();
        spool.add(&entry("/b")).unwrap();
        let second = start..spool.end();
        let mut read =
            |place: Span| spool.entries(place).unwrap().map(|entry| entry.unwrap().path).collect::<Vec<_>>();
        assert_eq!(read(second.clone()), ["/b"]);
        assert_eq!(read(first), ["/a", "/a/line\nbreak"]);
        assert_eq!(read(second), ["/b"]);
    }
}
