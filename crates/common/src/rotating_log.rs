//! A log for people that never grows past its bound: at 1 MiB it becomes `NAME.1`, and the `NAME.1` before is gone.
//!
//! A log that was moved away or removed is made again, with its folder, at the next line. Lines have to be safe to
//! show already ([`crate::text::escape`]).

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::private;

/// A log of this size makes room for a new one.
const BOUND: u64 = 1 << 20;

/// The file that the log at `path` became when it was full.
pub fn previous(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".1");
    name.into()
}

/// A log that is open for appending.
#[derive(Debug)]
pub struct RotatingLog {
    path: PathBuf,
    open: Option<(BufWriter<File>, u64)>,
}

impl RotatingLog {
    /// The log at `path`. Fails if it can't be opened now; later it is tried again with each line.
    pub fn open(path: &Path) -> io::Result<RotatingLog> {
        let mut log = RotatingLog { path: path.to_path_buf(), open: None };
        log.reopen()?;
        Ok(log)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line without its newline. It may stay in memory until [`RotatingLog::flush`].
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(_, length)| *length > BOUND) {
            self.flush()?;
            self.open = None;
            fs::rename(&self.path, self.previous())?;
        }
        if self.open.is_none() {
            self.reopen()?;
        }
        let Some((file, length)) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        *length += line.len() as u64 + 1;
        let written = file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n"));
        written.inspect_err(|_| self.open = None)
    }

    /// [`RotatingLog::line`] and [`RotatingLog::flush`], in a file made again if someone moved it away.
    pub fn event(&mut self, line: &str) -> io::Result<()> {
        if !self.is_in_place() {
            self.open = None;
        }
        self.line(line).and_then(|()| self.flush())
    }

    /// Hands everything to the kernel.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some((file, _)) = &mut self.open else { return Ok(()) };
        file.flush().inspect_err(|_| self.open = None)
    }

    /// Where the log before this one lies.
    pub fn previous(&self) -> PathBuf {
        previous(&self.path)
    }

    fn is_in_place(&self) -> bool {
        let Some((file, _)) = &self.open else { return false };
        let inode = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let there = fs::symlink_metadata(&self.path).map(inode);
        there.is_ok_and(|there| file.get_ref().metadata().map(inode).is_ok_and(|ours| ours == there))
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = private::append(&self.path)?;
        let length = file.metadata()?.len();
        self.open = Some((BufWriter::with_capacity(32 << 10, file), length));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = RotatingLog::open(&folder.path().join("logs/a.log")).unwrap();
        for number in 0..5000 {
            log.line(&format!("{number} {}", "x".repeat(1000))).unwrap();
        }
        log.flush().unwrap();
        let sizes = [log.path().to_path_buf(), log.previous()].map(|path| fs::metadata(path).unwrap().len());
        assert!(sizes.iter().all(|&size| size <= BOUND + 1100), "{sizes:?}");
        assert!(fs::read_to_string(log.path()).unwrap().contains("\n4999 "));
        assert_eq!(fs::read_dir(folder.path().join("logs")).unwrap().count(), 2);
    }

    #[test]
    fn one_that_was_moved_or_removed_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        let mut log = RotatingLog::open(&logs.join("a.log")).unwrap();
        log.event("one").unwrap();
        fs::rename(logs.join("a.log"), logs.join("kept")).unwrap();
        log.event("two").unwrap();
        fs::remove_dir_all(&logs).unwrap();
        log.event("three").unwrap();
        assert_eq!(fs::read_to_string(logs.join("a.log")).unwrap(), "three\n");
    }
}
