//! The file into which the FIFO's bytes are moved before anything looks at them.
//!
//! splice(2) moves them inside the kernel: at every moment they are either still in the FIFO or already in the
//! file, so a listener that is killed loses none and sees none twice. A journal record holds the byte up to which the
//! messages are known, and how often the file was emptied; what is behind that byte is read again after a restart, a
//! piece at a time. The file never grows past [`FULL`] and a line: as soon as all of it has been turned into records
//! it is emptied, first on the disk and then in the journal. What a reader would get wrong: a file that is shorter than
//! its record is used up, whatever is in it. Either it was just emptied, and nothing was read since, or a power cut took
//! its end, and its beginning has run.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use common::layout::QUEUE_SPOOL;
use common::private;
use common::text::escape_path;
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;

use crate::queue::journal::Mark;

/// A file of this length is emptied as soon as it ends with a line.
const LONG: u64 = 256 << 10;
/// To a file of this length nothing is added but the rest of a line. It is more than a FIFO can hold.
const FULL: u64 = 2 << 20;
/// How much is moved or read at once.
const PIECE: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Spool {
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
    /// is another generation it has to be recorded before anything is read.
    pub(crate) fn open(folder: &Path, mark: Mark) -> Result<(Spool, Mark)> {
        let naming = || format!("open the spool: {}", escape_path(folder));
        let path = folder.join(QUEUE_SPOOL);
        let mut mark = mark;
        // Earlier versions went on in a new file with the next number; one with another number was used up or never used.
        let numbered = |number: u64| folder.join(format!("{QUEUE_SPOOL}-{number}"));
        let numbers = numbers(folder).with_context(naming)?;
        if !numbers.contains(&mark.generation) && fs::symlink_metadata(&path).is_err() {
            // The journal was lost: the newest file is the one that was in use.
            let newest = numbers.iter().copied().filter(|&number| number > mark.generation).max();
            mark = newest.map_or(mark, |generation| Mark { generation, ..Mark::default() });
        }
        for number in numbers {
            let old = numbered(number);
            if number == mark.generation { fs::rename(old, &path) } else { fs::remove_file(old) }
                .with_context(naming)?;
        }
        let file = private::read_write(&path).with_context(naming)?;
        let metadata = file.metadata().with_context(naming)?;
        let changed = metadata.modified().with_context(naming)?;
        let mut length = metadata.len();
        if length < mark.offset {
            empty(&file).with_context(naming)?;
            mark = Mark { generation: mark.generation + 1, ..Mark::default() };
            length = 0;
        }
        Ok((Spool { file, generation: mark.generation, length, read: mark.offset, changed }, mark))
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

    pub(crate) fn has_backlog(&self) -> bool {
        self.read < self.length
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Moves what the FIFO holds into the file and returns it: at most 64 KiB, and a byte at a time once the file is
    /// full. Returns nothing if the FIFO is empty.
    pub(crate) fn fill(&mut self, pipe: &OwnedFd) -> io::Result<Vec<u8>> {
        let most = usize::try_from(FULL.saturating_sub(self.length)).unwrap_or(PIECE).clamp(1, PIECE);
        let mut bytes = vec![0; most];
        let mut offset = self.length;
        let flags = SpliceFlags::NONBLOCK;
        let moved =
            rustix::pipe::splice(pipe.as_fd(), None, self.file.as_fd(), Some(&mut offset), most, flags);
        let is_copied = matches!(moved, Err(Errno::INVAL));
        // A file system that can't be spliced to.
        let moved = if is_copied { rustix::io::read(pipe, &mut *bytes) } else { moved };
        let moved = match moved {
            Ok(moved) => moved,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        bytes.truncate(moved);
        if is_copied {
            self.file.write_all_at(&bytes, self.length)?;
        } else {
            self.file.read_exact_at(&mut bytes, self.length)?;
        }
        self.length += moved as u64;
        self.read = self.length;
        Ok(bytes)
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it is to be emptied at the end of a line.
    pub(crate) fn is_long(&self) -> bool {
        self.length >= LONG
    }

    /// Whether it is to be emptied before the next line.
    pub(crate) fn is_full(&self) -> bool {
        self.length >= FULL
    }

    /// Empties the file, all of which must be recorded. Until [`Spool::restart`] what comes in goes on where it was.
    pub(crate) fn empty(&self) -> io::Result<()> {
        empty(&self.file)
    }

    /// Goes on at its beginning. That it is empty must be recorded.
    pub(crate) fn restart(&mut self) {
        self.generation += 1;
        (self.length, self.read) = (0, 0);
    }
}

/// The numbers of the files that earlier versions left in `folder`.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(QUEUE_SPOOL)?.strip_prefix('-'));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(numbers)
}

/// On the disk before the journal counts it: what has run must not be found again after a power cut.
fn empty(file: &File) -> io::Result<()> {
    file.set_len(0)?;
    file.sync_all()
}
