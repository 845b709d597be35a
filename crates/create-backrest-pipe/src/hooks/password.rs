//! The password for Backrest: from a file, from the environment, or typed at the terminal, which does not show it. Never
//! from the command line, which every user of the machine can read.
//!
//! What a reader gets wrong: the echo goes off *before* the prompt is shown, since a fast typist, or a program that types,
//! starts the moment the prompt is there. And a signal (Ctrl-C, Ctrl-Z) acts only once the echo is on again:
//! it waits, blocked, until the terminal is what it was.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use common::exit::HintExt;
use common::settings::Secret;
use common::text::{escape, escape_path};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

const VARIABLE: &str = "BACKREST_PASSWORD";

/// The password of `user`; asked for if neither file nor variable holds it.
pub(super) fn password_of(user: &str, file: Option<&Path>) -> Result<Secret> {
    if let Some(file) = file {
        let naming = || format!("read the password: {}", escape_path(file));
        let text = fs::read_to_string(file).with_context(naming)?;
        return Ok(Secret::new(text.trim_end_matches(['\r', '\n'])));
    }
    match std::env::var(VARIABLE) {
        Ok(password) if !password.is_empty() => Ok(Secret::new(password)),
        _ => ask(&format!("Backrest's password of {}: ", escape(user.as_bytes())))
            .map(Secret::new)
            .context("ask for the password")
            .hint(format!("give it with --password-file FILE or in {VARIABLE}")),
    }
}

/// What ends or stops a process at its terminal.
const SIGNALS: [Signal; 5] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP];

/// Asks for one line on the process's own terminal, whatever standard input is, and returns it without its end. Fails
/// where there is no terminal, or where it closes without a line.
fn ask(prompt: &str) -> Result<String> {
    let terminal =
        OpenOptions::new().read(true).write(true).open("/dev/tty").context("there is no terminal")?;
    let signals = SIGNALS.into_iter().collect::<SigSet>();
    loop {
        let silence = Silence::new(&terminal, &signals)?;
        write!(&terminal, "{prompt}")?;
        let typed = typed_before_a_signal(&terminal, &signals)?;
        let line = typed.then(|| line_of(&terminal));
        // Now a signal that came meanwhile acts. After a stop and a continue the question comes again.
        drop(silence);
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

/// A terminal that does not show what is typed, and signals that wait, until this is dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
    signals: &'a SigSet,
}

impl<'a> Silence<'a> {
    fn new(terminal: &'a File, signals: &'a SigSet) -> Result<Silence<'a>> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        signals.thread_block()?;
        let silence = Silence { terminal, before, signals };
        // What was typed before the question is no answer to it.
        tcsetattr(terminal, SetArg::TCSAFLUSH, &silent)?;
        Ok(silence)
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // Not flushed: what was typed after the line answers the next question.
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
        let _ = writeln!(self.terminal);
        let _ = self.signals.thread_unblock();
    }
}
