//! A question on standard error and its answer on standard input.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, anyhow};
use common::cancel::Cancel;
use common::exit::HintExt as _;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Whether the answer is yes; the end of standard input is not. Fails on a signal.
pub(crate) fn is_yes(question: &str, cancel: &Cancel) -> Result<bool> {
    // Without standard error the answer may still come from a script.
    let _ = write!(io::stderr(), "{question}");
    let stdin = io::stdin();
    let mut fds =
        [PollFd::new(stdin.as_fd(), PollFlags::POLLIN), PollFd::new(cancel.as_fd(), PollFlags::POLLIN)];
    while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
    if cancel.is_cancelled() {
        // The terminal has shown ^C after the question.
        common::note!("");
        return Err(anyhow!("interrupted")).hint("run it again; what was done stays done");
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line).context("read the answer")?;
    if !stdin.is_terminal() {
        common::note!("");
    }
    Ok(line.trim() == "yes")
}
