//! The terminal stays ours while programs run that take it for themselves.
//!
//! restic makes the `ssh` that it starts the terminal's foreground process group, and afterwards hands the terminal to
//! its own group instead of to the one that had it before. A program that asks for a password then reads an error
//! instead of keys, and Ctrl-C reaches none of us.

use std::fs::File;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// The terminal, taken back when dropped, if this process was the one that it listens to.
#[derive(Debug)]
pub(crate) struct KeptTerminal {
    terminal: Option<(File, Pid)>,
}

/// Remembers who has the terminal.
pub(crate) fn keep() -> KeptTerminal {
    let ours = |terminal: &File| tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp());
    let terminal = File::open("/dev/tty").ok().filter(ours);
    KeptTerminal { terminal: terminal.map(|terminal| (terminal, getpgrp())) }
}

impl Drop for KeptTerminal {
    fn drop(&mut self) {
        let Some((terminal, group)) = &self.terminal else { return };
        // Who is in the background and takes the terminal is stopped by SIGTTOU, unless it does not listen.
        let deaf = SigSet::from(Signal::SIGTTOU);
        let blocked = deaf.thread_block();
        let _ = tcsetpgrp(terminal, *group);
        if blocked.is_ok() {
            let _ = deaf.thread_unblock();
        }
    }
}
