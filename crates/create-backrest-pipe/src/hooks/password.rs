//! The password for Backrest: from a file, from the environment, or typed. Never from the command line, which every
//! user of the machine can read.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result};
use common::exit::HintExt;
use common::text::{escape, escape_path};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// The variable.
const VARIABLE: &str = "BACKREST_PASSWORD";

/// The password of `user`; asked for where neither file nor variable gives it.
pub(super) fn password_of(user: &str, file: Option<&Path>) -> Result<String> {
    if let Some(file) = file {
        let naming = || format!("read the password: {}", escape_path(file));
        let text = fs::read_to_string(file).with_context(naming)?;
        return Ok(text.trim_end_matches(['\r', '\n']).into());
    }
    match std::env::var(VARIABLE) {
        Ok(password) if !password.is_empty() => Ok(password),
        _ => typed(user).hint(format!("give it with --password-file FILE or in {VARIABLE}")),
    }
}

fn typed(user: &str) -> Result<String> {
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .context("ask for the password: there is no terminal")?;
    write!(terminal, "Backrest's password of {}: ", escape(user.as_bytes()))
        .context("ask for the password")?;
    let mut line = String::new();
    let read = {
        let _silent = Silent::new(&terminal).context("ask for the password")?;
        BufReader::new(&terminal).read_line(&mut line)
    };
    let _ = writeln!(terminal);
    read.context("ask for the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).into())
}

/// A terminal that does not show what is typed, until it is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Silent<'_> {
    fn new(terminal: &File) -> Result<Silent<'_>> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(terminal, SetArg::TCSAFLUSH, &silent)?;
        Ok(Silent { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}
