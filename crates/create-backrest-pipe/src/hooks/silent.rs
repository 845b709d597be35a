//! A line typed at the terminal that the terminal does not show: the prompt goes out, the line comes back.
//!
//! What a reader gets wrong: the echo goes off *before* the prompt is shown, since a fast typist, or a program that types,
//! begins the moment the prompt is there. And a signal (Ctrl-C, Ctrl-Z) acts only once the echo is on again:
//! it waits, blocked, until the terminal is what it was.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// What ends or stops a process at its terminal.
const SIGNALS: [Signal; 5] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP];

/// Asks for one line on the process's own terminal, whatever standard input is, and returns it without its end. Fails
/// where there is no terminal, or where it closes without a line.
pub(super) fn ask(prompt: &str) -> Result<String> {
    let terminal =
        OpenOptions::new().read(true).write(true).open("/dev/tty").context("there is no terminal")?;
    let signals = SIGNALS.into_iter().collect::<SigSet>();
    loop {
        let held = Held::new(&signals)?;
        let silent = Silent::new(&terminal)?;
        write!(&terminal, "{prompt}")?;
        let typed = typed_before_a_signal(&terminal, &signals)?;
        let line = typed.then(|| line_of(&terminal));
        drop(silent);
        let _ = writeln!(&terminal);
        // Now a signal that came meanwhile acts. After a stop and a continue the question comes again.
        drop(held);
        if let Some(line) = line {
            return line;
        }
    }
}

/// Waits for a whole line, which is when a terminal becomes readable; not if one of `signals` comes first.
fn typed_before_a_signal(terminal: &File, signals: &SigSet) -> Result<bool> {
    let arrived = SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC)?;
    loop {
        let mut fds = [
            PollFd::new(arrived.as_fd(), PollFlags::POLLIN),
            PollFd::new(terminal.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            result => {
                result?;
                return Ok(!fds[0].any().unwrap_or(false));
            }
        }
    }
}

fn line_of(terminal: &File) -> Result<String> {
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line)?;
    ensure!(line.ends_with('\n'), "nothing was typed");
    Ok(line.trim_end_matches(['\r', '\n']).into())
}

/// Signals that wait until this is dropped.
struct Held<'a>(&'a SigSet);

impl Held<'_> {
    fn new(signals: &SigSet) -> Result<Held<'_>> {
        signals.thread_block()?;
        Ok(Held(signals))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = self.0.thread_unblock();
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Silent<'_> {
    fn new(terminal: &File) -> Result<Silent<'_>> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        // What was typed before the question is no answer to it.
        tcsetattr(terminal, SetArg::TCSAFLUSH, &silent)?;
        Ok(Silent { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Not flushed: what was typed after the line answers the next question.
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}
