//! One line of an answer over the socket.
//!
//! The first character says what it is: `=` accepted under this number, `|` a line of the action's output, `!` a
//! word from the listener, `.` the end with an exit code. The end comes once and last; a connection that closes
//! without it means that the listener went away.

/// What the listener says to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The message is on disk and will run; its number in the log.
    Accepted(u64),
    /// A line of the action's output, without its newline.
    Output(Vec<u8>),
    /// A word from the listener itself.
    Note(String),
    /// How it ended: [`DONE`], [`FAILED`], [`UNKNOWN`] or [`LATER`].
    End(u8),
}

/// Exit code: the action is done.
pub const DONE: u8 = 0;
/// Exit code: the action failed.
pub const FAILED: u8 = 1;
/// Exit code: the message is not known or not well formed (EX_USAGE of sysexits.h).
pub const UNKNOWN: u8 = 64;
/// Exit code: nobody listens (EX_UNAVAILABLE).
pub const NOBODY: u8 = 69;
/// Exit code: no answer in time, or the message could not be taken now (EX_TEMPFAIL).
pub const LATER: u8 = 75;

impl Frame {
    /// The line with its newline.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = match self {
            Frame::Accepted(id) => format!("= {id}").into_bytes(),
            Frame::Output(output) => [b"| ", output.as_slice()].concat(),
            Frame::Note(note) => format!("! {note}").into_bytes(),
            Frame::End(code) => format!(". {code}").into_bytes(),
        };
        line.push(b'\n');
        line
    }

    /// Reads a line without its newline; `None` where it is none of ours.
    pub fn parse(line: &[u8]) -> Option<Frame> {
        let (kind, rest) = line.split_at_checked(2)?;
        let text = || std::str::from_utf8(rest).ok();
        match kind {
            b"= " => Some(Frame::Accepted(text()?.parse().ok()?)),
            b"| " => Some(Frame::Output(rest.to_vec())),
            b"! " => Some(Frame::Note(String::from_utf8_lossy(rest).into_owned())),
            b". " => Some(Frame::End(text()?.parse().ok()?)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let frames = [
            Frame::Accepted(7),
            Frame::Output(b". 0\xff".to_vec()),
            Frame::Output(Vec::new()),
            Frame::Note("waits".into()),
            Frame::End(75),
        ];
        for frame in frames {
            let line = frame.to_line();
            assert_eq!(Frame::parse(line.strip_suffix(b"\n").unwrap()), Some(frame));
        }
        for line in [b"" as &[u8], b".", b". x", b"? 1", b". 256"] {
            assert_eq!(Frame::parse(line), None);
        }
    }
}
