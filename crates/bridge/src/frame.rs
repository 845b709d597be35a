//! One line of an answer over the socket.
//!
//! The first character is its kind: `=` accepted under this number, `|` a line of the action's output, `!` a
//! note from the listener, `.` the end with an exit code. The end comes once and last; a connection that closes
//! without it means that the listener went away.

use crate::exit_code::ExitCode;

/// What the listener sends to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The message is on disk and will run; its number in the log.
    Accepted(u64),
    /// A line of the action's output, without its newline.
    Output(Vec<u8>),
    /// A note from the listener itself.
    Note(String),
    /// How it ended.
    End(ExitCode),
}

impl Frame {
    /// The line with its newline.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = match self {
            Frame::Accepted(id) => format!("= {id}").into_bytes(),
            Frame::Output(output) => [b"| ", output.as_slice()].concat(),
            Frame::Note(note) => format!("! {note}").into_bytes(),
            Frame::End(code) => format!(". {}", code.number()).into_bytes(),
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
            b". " => Some(Frame::End(ExitCode::from_number(text()?.parse().ok()?)?)),
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
            Frame::End(ExitCode::Later),
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
