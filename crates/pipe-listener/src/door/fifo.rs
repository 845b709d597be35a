//! The FIFO: bytes in, messages out, none lost and none twice.
//!
//! Bytes go to the spool file first (see [`super::spool`]), then they are cut into lines. What has no newline is a
//! message once its writer has closed the FIFO or has been silent for [`SILENCE`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use bridge::message::{Malformed, Message};

use super::lines::{Line, Lines};
use super::spool::{Next, Spool};
use crate::queue::journal::{Damage, Mark};
use pipe_listener::folder::Inode;

/// So long a message may wait for its newline.
pub(crate) const SILENCE: Duration = Duration::from_millis(200);
/// After so many reads everything has been read that a FIFO holds at a time: /proc/sys/fs/pipe-max-size is 1 MiB.
pub(crate) const MOST_READS: usize = 16;

/// A line that came through the FIFO.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) line: Result<Message, Malformed>,
    /// Its bytes, where they are worth showing.
    pub(crate) bytes: Vec<u8>,
    pub(crate) mark: Mark,
    pub(crate) taken: Taken,
}

/// Who took a line from the FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// We did, just now.
    Now,
    /// An earlier listener, which had not come to it.
    Before(SystemTime),
    /// An earlier listener, and whether it has run can't be told: the journal is damaged.
    Unknown,
}

/// The FIFO and what has been read from it.
#[derive(Debug)]
pub(crate) struct Fifo {
    pipe: Option<(OwnedFd, Inode)>,
    spool: Spool,
    lines: Lines,
    last_byte: Option<Instant>,
    arrivals: Vec<Arrival>,
}

impl Fifo {
    /// Opens the spool in `folder` and reads what an earlier listener left there behind `mark`, of which a journal with
    /// some `damage` knew nothing.
    pub(crate) fn open(folder: &Path, mark: Mark, damage: Damage) -> Result<Fifo> {
        let (spool, leftovers) = Spool::open(folder, mark)?;
        let end = spool.end();
        let lines = Lines::at(end.offset, false);
        let mut fifo = Fifo { pipe: None, spool, lines, last_byte: None, arrivals: Vec::new() };
        for leftover in leftovers {
            let mut found = Vec::new();
            let mut lines = Lines::at(leftover.from.offset, leftover.from.skipping);
            lines.push(&leftover.bytes, &mut found);
            // Whoever began this line is gone with the listener that read it.
            found.extend(lines.take_open());
            let file = leftover.from.file;
            let taken = if damage.is_none() { Taken::Before(leftover.taken) } else { Taken::Unknown };
            fifo.arrivals.extend(found.into_iter().filter_map(|line| arrival(line, file, taken)));
        }
        Ok(fifo)
    }

    /// Reads from this FIFO from now on. What the one before it still holds is taken first.
    pub(crate) fn use_pipe(&mut self, pipe: Option<(OwnedFd, Inode)>) {
        let now = Instant::now();
        // Not more than it holds: somebody may be writing to it without end.
        for _ in 0..MOST_READS {
            if !self.receive(now).is_ok_and(|any| any) {
                break;
            }
        }
        self.take_open_line();
        self.pipe = pipe;
    }

    /// Which FIFO is read.
    pub(crate) fn inode(&self) -> Option<Inode> {
        self.pipe.as_ref().map(|(_, inode)| *inode)
    }

    /// The FIFO itself.
    pub(crate) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(|(pipe, _)| pipe.as_fd())
    }

    /// The lines that have come in since the last call.
    pub(crate) fn take(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrivals)
    }

    /// Takes what is there, at most 64 KiB of it. Gives whether anything was.
    pub(crate) fn receive(&mut self, now: Instant) -> io::Result<bool> {
        let Some((pipe, _)) = &self.pipe else { return Ok(false) };
        let bytes = self.spool.fill(pipe)?;
        if bytes.is_empty() {
            return Ok(false);
        }
        self.last_byte = Some(now);
        let mut lines = Vec::new();
        self.lines.push(&bytes, &mut lines);
        self.keep(lines);
        Ok(true)
    }

    /// When the line that has no newline yet is to be taken.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.last_byte.filter(|_| self.lines.is_open()).map(|at| at + SILENCE)
    }

    /// Takes the line that has no newline yet.
    pub(crate) fn take_open_line(&mut self) {
        let line = self.lines.take_open();
        self.keep(line);
    }

    /// The file with which the spool is to go on, if it is time for one. Every message so far must be written down.
    pub(crate) fn renewal(&self) -> Option<io::Result<Next>> {
        let used_up = self.arrivals.is_empty() && !self.lines.is_open();
        (used_up && self.spool.is_long()).then(|| self.spool.next())
    }

    /// Where the spool goes on with `next`.
    pub(crate) fn mark_of(&self, next: &Next) -> Mark {
        Mark { skipping: self.lines.is_skipping(), ..next.mark() }
    }

    /// Goes on with `next`, of which the journal knows.
    pub(crate) fn renew(&mut self, next: Next) {
        let mark = self.mark_of(&next);
        self.lines = Lines::at(mark.offset, mark.skipping);
        self.spool.switch(next);
    }

    fn keep(&mut self, lines: impl IntoIterator<Item = Line>) {
        let file = self.spool.end().file;
        self.arrivals.extend(lines.into_iter().filter_map(|line| arrival(line, file, Taken::Now)));
    }
}

/// Blank lines mean nothing and are passed over.
fn arrival(line: Line, file: u64, taken: Taken) -> Option<Arrival> {
    let mark = Mark { file, offset: line.end, skipping: line.skipping };
    let bytes = line.bytes.unwrap_or_default();
    let parsed = if line.skipping { Err(Malformed::TooLong) } else { Message::parse(&bytes) };
    match parsed {
        Err(Malformed::Empty) => None,
        Ok(message) => Some(Arrival { line: Ok(message), bytes: Vec::new(), mark, taken }),
        Err(why) => Some(Arrival { line: Err(why), bytes, mark, taken }),
    }
}
