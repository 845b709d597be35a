//! The file into which the FIFO's bytes are moved before anything looks at them.
//!
//! splice(2) moves them inside the kernel: at every moment they are either still in the FIFO or already in the
//! file, so a listener that is killed loses none and sees none twice. A journal record says up to which byte of
//! which file the messages are known; what stands behind that is read again after a restart. When a file has been
//! used up and has grown, the next one takes its place.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use common::text::escape_path;
use rustix::pipe::SpliceFlags;

use crate::queue::journal::Mark;

/// A used-up file longer than this is left behind.
const LONG: u64 = 64 << 10;

#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    number: u64,
    file: File,
    length: u64,
}

/// Bytes that an earlier listener took from the FIFO and did not turn into messages.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) from: Mark,
    pub(crate) bytes: Vec<u8>,
    /// When the last of them was taken.
    pub(crate) taken: SystemTime,
}

impl Spool {
    /// Opens the spool in `folder`; `mark` is how far it was turned into messages.
    pub(crate) fn open(folder: &Path, mark: Mark) -> Result<(Spool, Vec<Leftover>)> {
        let naming = || format!("open the spool: {}", escape_path(folder));
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder).with_context(naming)? {
            let name = entry.with_context(naming)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("spool-")?.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        let mut leftovers = Vec::new();
        for &number in numbers.iter().filter(|&&number| number >= mark.file) {
            let path = path(folder, number);
            let from = if number == mark.file { mark } else { Mark { file: number, ..Mark::default() } };
            let bytes = fs::read(&path).with_context(naming)?;
            let taken = fs::metadata(&path).and_then(|m| m.modified()).with_context(naming)?;
            let bytes = bytes.get(usize::try_from(from.offset).unwrap_or(usize::MAX)..).unwrap_or_default();
            if !bytes.is_empty() {
                leftovers.push(Leftover { from, bytes: bytes.to_vec(), taken });
            }
        }
        let number = numbers.last().copied().unwrap_or(0).max(mark.file);
        let (file, length) = open(folder, number).with_context(naming)?;
        let mut spool = Spool { folder: folder.to_path_buf(), number, file, length };
        if length < mark.offset && number == mark.file {
            // The machine stopped before the file reached the disk: offsets below the mark can't be used again.
            let next = spool.next().with_context(naming)?;
            spool.switch(next);
        }
        for number in numbers.into_iter().filter(|&number| number < mark.file) {
            let _ = fs::remove_file(path(folder, number));
        }
        Ok((spool, leftovers))
    }

    /// Moves what the FIFO holds, at most 64 KiB, into the file and gives it; nothing where the FIFO is empty.
    pub(crate) fn fill(&mut self, pipe: &OwnedFd) -> io::Result<Vec<u8>> {
        const MOST: usize = 64 << 10;
        let mut offset = self.length;
        let flags = SpliceFlags::NONBLOCK;
        let moved =
            match rustix::pipe::splice(pipe.as_fd(), None, self.file.as_fd(), Some(&mut offset), MOST, flags)
            {
                Ok(moved) => moved,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(Vec::new()),
                // A file system that can't be spliced to.
                Err(rustix::io::Errno::INVAL) => return self.copy(pipe, MOST),
                Err(error) => return Err(error.into()),
            };
        let mut bytes = vec![0; moved];
        self.file.read_exact_at(&mut bytes, self.length)?;
        self.length += moved as u64;
        Ok(bytes)
    }

    fn copy(&mut self, pipe: &OwnedFd, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let length = match nix::unistd::read(pipe, &mut bytes) {
            Ok(length) => length,
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        bytes.truncate(length);
        self.file.write_all_at(&bytes, self.length)?;
        self.length += length as u64;
        Ok(bytes)
    }

    /// Where the next byte will stand.
    pub(crate) fn end(&self) -> Mark {
        Mark { file: self.number, offset: self.length, skipping: false }
    }

    /// Whether it is time for a new file, once all of this one has been used up.
    pub(crate) fn is_long(&self) -> bool {
        self.length > LONG
    }

    /// Makes the next file, with which [`Spool::switch`] goes on.
    pub(crate) fn next(&self) -> io::Result<Next> {
        let (file, length) = open(&self.folder, self.number + 1)?;
        Ok(Next { number: self.number + 1, file, length })
    }

    /// Goes on with the next file; the journal must know of it.
    pub(crate) fn switch(&mut self, next: Next) {
        let old = path(&self.folder, self.number);
        Next { number: self.number, file: self.file, length: self.length } = next;
        // What stays is removed at the next start.
        let _ = fs::remove_file(old);
    }
}

/// A spool file that is not in use yet.
#[derive(Debug)]
pub(crate) struct Next {
    number: u64,
    file: File,
    length: u64,
}

impl Next {
    /// Where its first byte will stand.
    pub(crate) fn mark(&self) -> Mark {
        Mark { file: self.number, offset: self.length, skipping: false }
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("spool-{number}"))
}

fn open(folder: &Path, number: u64) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(path(folder, number))?;
    let length = file.metadata()?.len();
    Ok((file, length))
}
