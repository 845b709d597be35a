//! A command that has ended, and what is expected of it.
//!
//! An expectation that is not met becomes an error that holds the command and both streams, so that a failed scenario
//! shows all there is to see.

use std::fmt::Display;

use anyhow::{Result, bail};
use common::process::{Captured, End};
use common::text::escape;

/// What a command gave.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    name: String,
    pub(super) end: End,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ran {
    pub(super) fn new(name: String, captured: &Captured) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { name, end: captured.end, stdout: text(&captured.stdout), stderr: text(&captured.stderr) }
    }

    /// An error about this command: `what` is what was expected and seen; the command, how it ended, and both streams
    /// are the lines below it.
    pub(super) fn unexpected<T>(self, what: impl Display) -> Result<T> {
        let Ran { name, end, stdout, stderr } = self;
        let mut text = format!("{what}\n$ {name}\n{end}");
        for (title, stream) in [("standard output", stdout), ("standard error", stderr)] {
            text.push_str(&format!("\n--- {title}"));
            stream.lines().for_each(|line| text.extend(["\n", &escape(line.as_bytes())]));
        }
        bail!(text)
    }

    pub(super) fn code(self, code: i32) -> Result<Ran> {
        match self.end {
            End::Exited(seen) if seen == code => Ok(self),
            seen => self.unexpected(format!("expected exit code {code}, seen {seen}")),
        }
    }

    pub(super) fn success(self) -> Result<Ran> {
        self.code(0)
    }

    /// It ended by itself, but not with 0.
    pub(super) fn failure(self) -> Result<Ran> {
        match self.end {
            End::Exited(code) if code != 0 => Ok(self),
            seen => self.unexpected(format!("expected a failure, seen {seen}")),
        }
    }

    fn holds(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    pub(super) fn prints(self, text: &str) -> Result<Ran> {
        match self.holds(text) {
            true => Ok(self),
            false => self.unexpected(format!("expected in its output, and not seen: {text}")),
        }
    }

    pub(super) fn does_not_print(self, text: &str) -> Result<Ran> {
        match self.holds(text) {
            false => Ok(self),
            true => self.unexpected(format!("not expected in its output, and seen: {text}")),
        }
    }
}

pub(super) fn all_succeed(ran: Vec<Ran>) -> Result<()> {
    ran.into_iter().try_for_each(|ran| ran.success().map(drop))
}
