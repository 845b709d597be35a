//! The FIFO: bytes in, messages out, none lost and none twice.
//!
//! Bytes go to the spool file first (see [`super::spool`]), then they are cut into lines. What has no newline is a
//! message once its writer has closed the FIFO or has been silent for [`SILENCE`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use bridge::message::{Malformed, Message};

use super::lines::{Line, Lines};
use super::spool::Spool;
use crate::queue::journal::Mark;
use pipe_listener::folder::Inode;

/// The longest that a message may wait for its newline.
pub(crate) const SILENCE: Duration = Duration::from_millis(200);
/// After this number of reads all is read that a FIFO can hold at a time: /proc/sys/fs/pipe-max-size is 1 MiB.
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
    /// An earlier listener; the journal is damaged, so whether it has run is unknown.
    Unknown,
}

/// The FIFO and what has been read from it.
#[derive(Debug)]
pub(crate) struct Fifo {
    pipe: Option<(OwnedFd, Inode)>,
    spool: Spool,
    start: Mark,
    lines: Lines,
    /// The journal knows everything that an earlier listener did.
    is_known: bool,
    last_byte: Option<Instant>,
    arrivals: Vec<Arrival>,
}

impl Fifo {
    /// Opens the spool in `folder`. What an earlier listener left there behind `mark` is read by
    /// [`Fifo::read_backlog`]; none of it has run if `is_known`, because the journal is whole.
    pub(crate) fn open(folder: &Path, mark: Mark, is_known: bool) -> Result<Fifo> {
        let (spool, mark) = Spool::open(folder, mark)?;
        let lines = Lines::at(mark.offset, mark.skipping);
        Ok(Fifo { pipe: None, spool, start: mark, lines, is_known, last_byte: None, arrivals: Vec::new() })
    }

    /// Reads the next piece of what an earlier listener left. Returns whether there was any.
    pub(crate) fn read_backlog(&mut self) -> Result<bool> {
        let Some((bytes, at)) = self.spool.backlog().context("read the spool")? else { return Ok(false) };
        let mut lines = Vec::new();
        self.lines.push(&bytes, &mut lines);
        if !self.spool.has_backlog() {
            // The writer of this line is gone with the listener that read it.
            lines.extend(self.lines.take_open());
            self.lines = Lines::at(self.spool.length(), false);
        }
        self.keep(lines, if self.is_known { Taken::Before(at) } else { Taken::Unknown });
        Ok(true)
    }

    /// Reads from this FIFO from now on. What the one before it still holds is taken first.
    pub(crate) fn use_pipe(&mut self, pipe: Option<(OwnedFd, Inode)>) {
        let now = Instant::now();
        // Not more than it holds: a writer may never stop.
        for _ in 0..MOST_READS {
            if !self.receive(now).is_ok_and(|any| any) {
                break;
            }
        }
        self.take_open_line();
        self.pipe = pipe;
    }

    pub(crate) fn inode(&self) -> Option<Inode> {
        self.pipe.as_ref().map(|(_, inode)| *inode)
    }

    pub(crate) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(|(pipe, _)| pipe.as_fd())
    }

    pub(crate) fn take(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrivals)
    }

    /// Takes what is there, at most 64 KiB of it. Returns whether anything was.
    pub(crate) fn receive(&mut self, now: Instant) -> io::Result<bool> {
        let Some((pipe, _)) = &self.pipe else { return Ok(false) };
        if self.spool.is_full() && !self.lines.is_open() {
            return Ok(false);
        }
        let mut lines = Vec::new();
        let mut any = false;
        loop {
            let bytes = self.spool.fill(pipe)?;
            if bytes.is_empty() {
                break;
            }
            any = true;
            self.last_byte = Some(now);
            self.lines.push(&bytes, &mut lines);
            // A full spool can be emptied once this line is over.
            if !(self.spool.is_full() && self.lines.is_open()) {
                break;
            }
        }
        self.keep(lines, Taken::Now);
        Ok(any)
    }

    /// When the line that has no newline yet is to be taken.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.last_byte.filter(|_| self.lines.is_open()).map(|at| at + SILENCE)
    }

    pub(crate) fn take_open_line(&mut self) {
        let line = self.lines.take_open();
        self.keep(line, Taken::Now);
    }

    /// Whether it is time to empty the spool: every message so far must be recorded.
    pub(crate) fn is_used_up(&self) -> bool {
        self.arrivals.is_empty() && !self.lines.is_open() && self.spool.is_long()
    }

    /// Empties the spool, and reports to `record` where reading goes on: first at its present end, then at its start.
    /// While the second can't be recorded bytes are added at the present end; a mark below it would have the hole before
    /// it read after a restart.
    pub(crate) fn empty_spool(&mut self, mut record: impl FnMut(Mark) -> io::Result<()>) -> io::Result<()> {
        let (generation, skipping) = (self.spool.generation(), self.lines.is_skipping());
        record(Mark { generation, offset: self.spool.length(), skipping })?;
        self.spool.empty()?;
        record(Mark { generation: generation + 1, offset: 0, skipping })?;
        self.lines = Lines::at(0, skipping);
        self.spool.restart();
        Ok(())
    }

    /// Where reading went on when the spool was opened.
    pub(crate) fn start(&self) -> Mark {
        self.start
    }

    /// Blank lines mean nothing and are passed over.
    fn keep(&mut self, lines: impl IntoIterator<Item = Line>, taken: Taken) {
        let generation = self.spool.generation();
        self.arrivals.extend(lines.into_iter().filter_map(|line| {
            let mark = Mark { generation, offset: line.end, skipping: line.bytes.is_none() };
            let parsed = line.bytes.as_deref().map_or(Err(Malformed::TooLong), Message::parse);
            let bytes = line.bytes.filter(|_| parsed.is_err()).unwrap_or_default();
            (parsed != Err(Malformed::Empty)).then_some(Arrival { line: parsed, bytes, mark, taken })
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use super::*;

    #[track_caller]
    fn pipe() -> (OwnedFd, File) {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK).unwrap();
        (read, File::from(write))
    }

    #[track_caller]
    fn spool_length(folder: &Path) -> u64 {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    }

    #[test]
    fn a_line_that_always_stays_open_is_not_lost_when_the_spool_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let mut fifo = Fifo::open(folder.path(), Mark::default(), true).unwrap();
        let (read, mut write) = pipe();
        fifo.pipe = Some((read, Inode::default()));
        let (mut most, mut count, mut emptied) = (0, 0, 0);
        // 8 MiB; no piece of 64 KiB ends with a newline.
        let block = ["x".repeat(1000), String::from("\n"), "y".repeat(1000)].concat();
        for _ in 0..4096 {
            write.write_all(block.as_bytes()).unwrap();
            while fifo.receive(Instant::now()).unwrap() {}
            count += fifo.take().len();
            if fifo.is_used_up() {
                fifo.empty_spool(|_| Ok(())).unwrap();
                emptied += 1;
            }
            most = most.max(spool_length(folder.path()));
        }
        assert!(most <= (2 << 20) + 5000, "{most} bytes");
        assert!(count == 4096 && emptied > 1, "{count} lines, emptied {emptied} times");
    }

    #[test]
    fn what_an_earlier_listener_took_is_read_in_pieces_and_its_open_line_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        // As versions before this one left it: numbered, and of any size.
        let text = "ping\n".repeat(100_000) + "open";
        std::fs::write(folder.path().join("spool-7"), &text).unwrap();
        std::fs::write(folder.path().join("spool-6"), "old").unwrap();
        let mark = Mark { generation: 7, offset: 5, skipping: false };
        let mut fifo = Fifo::open(folder.path(), mark, true).unwrap();
        let (mut count, mut last) = (0, String::new());
        while fifo.read_backlog().unwrap() {
            let arrivals = fifo.take();
            assert!(arrivals.len() <= (64 << 10) / 5 + 1);
            count += arrivals.len();
            for arrival in arrivals {
                assert!(matches!(arrival.taken, Taken::Before(_)));
                (last, _) = (arrival.line.unwrap().name, arrival.mark);
            }
        }
        assert_eq!((count, last.as_str()), (100_000, "open"));
        assert!(fifo.is_used_up());
        let mut recorded = mark;
        fifo.empty_spool(|mark| {
            recorded = mark;
            Ok(())
        })
        .unwrap();
        assert_eq!(recorded, Mark { generation: 8, offset: 0, skipping: false });
        assert_eq!(spool_length(folder.path()), 0);
        assert!(!folder.path().join("spool-6").exists());
    }

    #[test]
    fn a_listener_that_is_killed_or_has_no_room_while_it_empties_the_spool_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // The blank line needs no record.
        std::fs::write(folder.path().join("spool"), "ping\n".repeat(60_000) + "\n").unwrap();
        let open = |mark| {
            let mut fifo = Fifo::open(folder.path(), mark, true).unwrap();
            while fifo.read_backlog().unwrap() {}
            let texts: Vec<_> = fifo.take().into_iter().map(|arrival| arrival.line.unwrap().text).collect();
            (fifo, texts)
        };
        let mut mark = Mark { generation: 2, offset: 300_000, skipping: false };
        let (mut fifo, texts) = open(mark);
        assert_eq!(texts, [""; 0]);
        let no_room = || Err(io::ErrorKind::StorageFull.into());
        assert!(fifo.empty_spool(|_| no_room()).is_err());
        assert_eq!(spool_length(folder.path()), 300_001, "what is recorded would be below its length");
        let only_the_end = |next: Mark| {
            if next.generation > 2 {
                return no_room();
            }
            mark = next;
            Ok(())
        };
        assert!(fifo.empty_spool(only_the_end).is_err());
        assert_eq!(spool_length(folder.path()), 0);
        // Killed here.
        let (restarted, texts) = open(mark);
        assert_eq!((restarted.start().generation, texts), (3, vec![]));
        // Not killed here.
        let (read, mut write) = pipe();
        fifo.pipe = Some((read, Inode::default()));
        write.write_all(b"note a\nnote b\n").unwrap();
        assert!(fifo.receive(Instant::now()).unwrap());
        let first = fifo.take().remove(0).mark;
        assert!(first > mark, "{first:?}");
        assert_eq!(open(mark).1, ["a", "b"]);
        assert_eq!(open(first).1, ["b"]);
        assert!(fifo.is_used_up());
        let mut after = mark;
        fifo.empty_spool(|mark| {
            after = mark;
            Ok(())
        })
        .unwrap();
        write.write_all(b"note c\n").unwrap();
        assert!(fifo.receive(Instant::now()).unwrap());
        assert_eq!(open(after).1, ["c"]);
        let recorded = fifo.take().remove(0).mark;
        assert!(recorded > after);
        assert_eq!(open(recorded).1, [""; 0]);
    }

    #[test]
    fn without_a_journal_the_newest_spool_is_read_and_what_has_run_is_unknown() {
        for newest in [1, 5] {
            let folder = tempfile::tempdir().unwrap();
            // As versions before this one left them; the number of the first was 0.
            std::fs::write(folder.path().join(format!("spool-{newest}")), "ping\n").unwrap();
            if newest > 1 {
                std::fs::write(folder.path().join(format!("spool-{}", newest - 1)), "old\n").unwrap();
            }
            let mut fifo = Fifo::open(folder.path(), Mark::default(), false).unwrap();
            assert_eq!(fifo.start(), Mark { generation: newest, ..Mark::default() });
            assert!(fifo.read_backlog().unwrap());
            let arrivals = fifo.take();
            assert_eq!((arrivals.len(), arrivals[0].taken), (1, Taken::Unknown));
            assert_eq!(arrivals[0].line.as_ref().unwrap().name, "ping");
        }
    }

    #[test]
    fn what_a_power_cut_left_of_a_spool_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("spool"), "ping\n").unwrap();
        let mark = Mark { generation: 3, offset: 70_000, skipping: true };
        let mut fifo = Fifo::open(folder.path(), mark, true).unwrap();
        assert!(!fifo.read_backlog().unwrap());
        assert_eq!(fifo.start(), Mark { generation: 4, offset: 0, skipping: false });
        assert_eq!(spool_length(folder.path()), 0);
    }
}
