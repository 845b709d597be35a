//! The file into which the FIFO's bytes are moved before anything looks at them.
//!
//! splice(2) moves them inside the kernel: at every moment they are either still in the FIFO or already in the
//! file, so a listener that is killed loses none and sees none twice. A journal record holds the byte up to which the
//! messages are known; what is behind that is read again after a restart, a piece at a time. The file never grows past
//! [`FULL`] and a line: as soon as all of it has been turned into records, an empty one with the next number takes its
//! place. What a reader would get wrong: a single file that is truncated would not do. After a power cut it may be
//! shorter than its record, and could not be distinguished from one that was truncated and filled again.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use common::layout::QUEUE_SPOOL;
use common::private;
use common::text::escape_path;
use rustix::pipe::SpliceFlags;

use crate::queue::journal::Mark;

/// A file of this length is replaced as soon as it ends with a line.
const LONG: u64 = 64 << 10;
/// To a file of this length nothing is added but the rest of a line. It is more than a FIFO can hold.
const FULL: u64 = 2 << 20;
/// How much is moved or read at once.
const PIECE: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    file: File,
    generation: u64,
    length: u64,
    /// Up to where it was read.
    read: u64,
    /// When the last byte was written that an earlier listener took.
    changed: SystemTime,
}

impl Spool {
    /// Opens the spool in `folder`; `mark` is how far it was turned into records. Returns where reading goes on; if that
    /// is in another file it has to be recorded before anything is read.
    pub(crate) fn open(folder: &Path, mark: Mark) -> Result<(Spool, Mark)> {
        let naming = || format!("open the spool: {}", escape_path(folder));
        let numbers = numbers(folder).with_context(naming)?;
        let mut mark = mark;
        if !numbers.contains(&mark.generation) {
            // The journal was lost: the newest file is the one that was in use.
            let newest = numbers.iter().copied().filter(|&number| number > mark.generation).max();
            mark = newest.map_or(mark, |generation| Mark { generation, ..Mark::default() });
        }
        let mut file = private::read_write(&path(folder, mark.generation)).with_context(naming)?;
        if file.metadata().with_context(naming)?.len() < mark.offset {
            // The machine stopped before the file reached the disk: offsets below the mark can't be used again.
            mark = Mark { generation: mark.generation + 1, ..Mark::default() };
            file = empty(folder, mark.generation).with_context(naming)?;
        }
        let metadata = file.metadata().with_context(naming)?;
        let changed = metadata.modified().with_context(naming)?;
        let (generation, length, read) = (mark.generation, metadata.len(), mark.offset);
        // A file with another number was used up, or was never used.
        for number in numbers.into_iter().filter(|&number| number != generation) {
            fs::remove_file(path(folder, number)).with_context(naming)?;
        }
        Ok((Spool { folder: folder.to_path_buf(), file, generation, length, read, changed }, mark))
    }

    /// The next piece of what an earlier listener took and did not turn into records, and when it was taken.
    pub(crate) fn backlog(&mut self) -> io::Result<Option<(Vec<u8>, SystemTime)>> {
        let left = usize::try_from(self.length - self.read).unwrap_or(usize::MAX).min(PIECE);
        if left == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; left];
        self.file.read_exact_at(&mut bytes, self.read)?;
        self.read += left as u64;
        Ok(Some((bytes, self.changed)))
    }

    /// Whether there is more of it.
    pub(crate) fn has_backlog(&self) -> bool {
        self.read < self.length
    }

    /// How long the file is.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Moves what the FIFO holds into the file and returns it: at most 64 KiB, and a byte at a time once the file is
    /// full. Returns nothing if the FIFO is empty.
    pub(crate) fn fill(&mut self, pipe: &OwnedFd) -> io::Result<Vec<u8>> {
        let most = usize::try_from(FULL.saturating_sub(self.length)).unwrap_or(PIECE).clamp(1, PIECE);
        let mut offset = self.length;
        let flags = SpliceFlags::NONBLOCK;
        let moved =
            match rustix::pipe::splice(pipe.as_fd(), None, self.file.as_fd(), Some(&mut offset), most, flags)
            {
                Ok(moved) => moved,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(Vec::new()),
                // A file system that can't be spliced to.
                Err(rustix::io::Errno::INVAL) => return self.copy(pipe, most),
                Err(error) => return Err(error.into()),
            };
        let mut bytes = vec![0; moved];
        self.file.read_exact_at(&mut bytes, self.length)?;
        self.grow(moved);
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
        self.grow(length);
        Ok(bytes)
    }

    fn grow(&mut self, by: usize) {
        self.length += by as u64;
        self.read = self.length;
    }

    /// Which filling of the file this is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it is to be replaced at the end of a line.
    pub(crate) fn is_long(&self) -> bool {
        self.length >= LONG
    }

    /// Whether it is to be replaced before the next line.
    pub(crate) fn is_full(&self) -> bool {
        self.length >= FULL
    }

    /// Makes the file that takes its place, empty.
    pub(crate) fn next(&self) -> io::Result<File> {
        empty(&self.folder, self.generation + 1)
    }

    /// Goes on with that file. All of the one before must be recorded, and where reading goes on.
    pub(crate) fn switch(&mut self, next: File) {
        // What stays is removed at the next start.
        let _ = fs::remove_file(path(&self.folder, self.generation));
        self.file = next;
        self.generation += 1;
        (self.length, self.read) = (0, 0);
    }
}

/// The numbers of the files in `folder`.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_prefix(QUEUE_SPOOL)?.parse::<u64>().ok()));
    }
    Ok(numbers)
}

fn path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("{QUEUE_SPOOL}{generation}"))
}

fn empty(folder: &Path, generation: u64) -> io::Result<File> {
    let file = private::read_write(&path(folder, generation))?;
    file.set_len(0)?;
    Ok(file)
}
