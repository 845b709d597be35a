//! How a message ended, as the client's exit code and as the last line of an answer.

/// One of the client's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// The action is done.
    Done = 0,
    /// The action failed.
    Failed = 1,
    /// The message is not known or not well formed (EX_USAGE of sysexits.h).
    Unknown = 64,
    /// No listener is running (EX_UNAVAILABLE).
    NoListener = 69,
    /// No answer in time, or the message could not be taken now (EX_TEMPFAIL).
    Later = 75,
}

impl ExitCode {
    /// All of them, in ascending order.
    pub const ALL: [ExitCode; 5] =
        [ExitCode::Done, ExitCode::Failed, ExitCode::Unknown, ExitCode::NoListener, ExitCode::Later];

    /// The number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The exit code with that number.
    pub fn from_number(number: u8) -> Option<ExitCode> {
        ExitCode::ALL.into_iter().find(|code| code.number() == number)
    }

    /// What it means, for help texts.
    pub fn meaning(self) -> &'static str {
        match self {
            ExitCode::Done => "done",
            ExitCode::Failed => "the action failed",
            ExitCode::Unknown => "the message is not known or not well formed",
            ExitCode::NoListener => "no listener is running",
            ExitCode::Later => "no answer in time, the host is full, or the message waits in the FIFO",
        }
    }
}
