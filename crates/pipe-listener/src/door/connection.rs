//! One client on the socket: its message in, the answer out, neither ever waited for.
//!
//! What it sends after its message is not read. What it does not read is kept up to a bound; then lines of output
//! are left out and counted, so that a slow reader costs neither time nor memory.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bridge::frame::Frame;
use bridge::message::LONGEST;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::fifo::SILENCE;

/// A client has to send something within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// A client that reads nothing for this long, once everything is sent, is dropped.
const READING: Duration = Duration::from_secs(30);
/// At most this much of an answer may wait to be read.
const ANSWER: usize = 256 << 10;

/// What a client is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It has not sent its message yet.
    Speaking,
    /// Its message is dealt with.
    Waiting,
    /// Everything was sent to it.
    Leaving,
}

/// What a look at a client brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Nothing,
    /// Its line, without the newline; longer than a message may be where it is too long.
    Line(Vec<u8>),
    Gone,
}

#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    phase: Phase,
    input: Vec<u8>,
    output: Vec<u8>,
    left_out: usize,
    /// Its output was taken from it.
    is_short: bool,
    /// It closed its own side when it had sent its message: it does not wait for the end.
    is_half_closed: bool,
    opened: Instant,
    last: Instant,
}

impl Connection {
    pub(crate) fn new(stream: UnixStream, now: Instant) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            phase: Phase::Speaking,
            input: Vec::new(),
            output: Vec::new(),
            left_out: 0,
            is_short: false,
            is_half_closed: false,
            opened: now,
            last: now,
        })
    }

    pub(crate) fn is_speaking(&self) -> bool {
        self.phase == Phase::Speaking
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    pub(crate) fn is_half_closed(&self) -> bool {
        self.is_half_closed
    }

    /// Looks whether it has closed its own side, and only that. POLLHUP means that both are closed: it is gone.
    pub(crate) fn look_for_half_close(&mut self) {
        let mut fds = [PollFd::new(&self.stream, PollFlags::RDHUP)];
        let polled = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        let found = fds[0].revents();
        self.is_half_closed = polled.is_ok()
            && found.contains(PollFlags::RDHUP)
            && !found.intersects(PollFlags::HUP | PollFlags::ERR);
    }

    pub(crate) fn unread(&self) -> usize {
        self.output.len()
    }

    pub(crate) fn read(&mut self, now: Instant) -> Heard {
        let mut chunk = [0; LONGEST + 2];
        let room = LONGEST + 2 - self.input.len();
        match self.stream.read(&mut chunk[..room]) {
            Ok(0) if self.input.is_empty() => Heard::Gone,
            Ok(0) => self.take_line(self.input.len()),
            Ok(length) => {
                self.last = now;
                self.input.extend_from_slice(&chunk[..length]);
                let is_full = self.input.len() >= LONGEST + 2;
                let end = self.input.iter().position(|&b| b == b'\n');
                end.or(is_full.then_some(LONGEST + 2)).map_or(Heard::Nothing, |end| self.take_line(end))
            }
            Err(error) if is_temporary(&error) => Heard::Nothing,
            Err(_) => Heard::Gone,
        }
    }

    fn take_line(&mut self, end: usize) -> Heard {
        let mut line = std::mem::take(&mut self.input);
        line.truncate(end);
        self.phase = Phase::Waiting;
        Heard::Line(line)
    }

    /// Since when it has not read on, though everything is sent; `None` if there is more to come, or nothing to take.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.phase == Phase::Leaving && !self.is_short).then_some(self.last)
    }

    /// Leaves out the output that it has not read yet. The end is still sent.
    pub(crate) fn shorten(&mut self) {
        (self.output, _) = without_output(&self.output);
        self.is_short = true;
    }

    /// Adds to its answer. A line of output is left out where too much has not been read yet.
    pub(crate) fn send(&mut self, frame: &Frame) {
        if self.phase == Phase::Leaving {
            return;
        }
        if matches!(frame, Frame::Output(_)) && self.output.len() > ANSWER {
            self.left_out += 1;
            return;
        }
        if self.left_out > 0 {
            self.output.extend(left_out(self.left_out).to_line());
            self.left_out = 0;
        }
        self.output.extend(frame.to_line());
        if let Frame::End(_) = frame {
            self.phase = Phase::Leaving;
            self.last = Instant::now();
        }
    }

    /// Writes what it takes. Returns whether there is any point in keeping it.
    pub(crate) fn write(&mut self, now: Instant) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return false,
                Ok(length) => {
                    self.output.drain(..length);
                    self.last = now;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return is_temporary(&error),
            }
        }
        self.output = Vec::new();
        self.phase != Phase::Leaving
    }

    /// When it has to be looked at again, whatever it does until then.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Speaking if self.input.is_empty() => Some(self.opened + PATIENCE),
            Phase::Speaking => Some((self.last + SILENCE).min(self.opened + PATIENCE)),
            Phase::Waiting => None,
            Phase::Leaving => Some(self.last + READING),
        }
    }

    /// Looks at it when it was due: a message without its newline is taken, a client that does nothing is left.
    pub(crate) fn overdue(&mut self, now: Instant) -> Heard {
        match self.due() {
            Some(due) if due <= now && self.input.is_empty() => Heard::Gone,
            Some(due) if due <= now => self.take_line(self.input.len()),
            _ => Heard::Nothing,
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// `answer` with a word in the place of its lines of output, and their number. If its first line is under way, what is
/// left of it stays.
fn without_output(answer: &[u8]) -> (Vec<u8>, usize) {
    let (mut rest, mut count, mut noted_at) = (Vec::new(), 0, 0);
    for (index, line) in answer.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if index > 0 && matches!(Frame::parse(line.trim_ascii_end()), Some(Frame::Output(_))) {
            noted_at = if count == 0 { rest.len() } else { noted_at };
            count += 1;
        } else {
            rest.extend_from_slice(line);
        }
    }
    if count > 0 {
        rest.splice(noted_at..noted_at, left_out(count).to_line());
    }
    (rest, count)
}

fn left_out(count: usize) -> Frame {
    let lines = common::text::count(count, "line");
    Frame::Note(format!("{lines} left out: they were not read fast enough"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_its_output_still_has_the_rest_of_a_line_and_its_end() {
        let answer = b"of a line\n| one\n! a word\n| two\n. 3\n";
        let (rest, count) = without_output(answer);
        let expected = "of a line\n! 2 lines left out: they were not read fast enough\n! a word\n. 3\n";
        assert_eq!((String::from_utf8(rest.clone()).unwrap().as_str(), count), (expected, 2));
        assert_eq!(without_output(&rest), (rest, 0));
    }
}
