//! A command in a pseudo-terminal, and the screen that it leaves: what a person would have seen.
//!
//! `setsid` makes the terminal the command's own, as a login does, so that it may ask there. Answers are typed one at a
//! time, when the command has been quiet for a while.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};

/// What most terminals start with.
pub(super) const COLUMNS: u16 = 80;
/// More than any picture has.
const ROWS: u16 = 120;
const DEADLINE: Duration = Duration::from_secs(300);
/// A command that has printed nothing for this long waits for an answer.
const QUIET: Duration = Duration::from_millis(1500);

/// A screen, without the empty rows at its end.
pub(super) struct Screen {
    pub(super) rows: Vec<Vec<vt100::Cell>>,
}

pub(super) fn run(command: &mut Command, answers: &[&str], cancel: &Cancel) -> Result<Screen> {
    let (rows, columns) = (NonZero::try_from(ROWS)?, NonZero::try_from(COLUMNS)?);
    let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).context("open a pseudo-terminal")?;
    let mut inside = Command::new("setsid");
    inside.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
    if command.get_envs().next().is_some() {
        inside.env_clear();
    }
    inside
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("TERM", "xterm-256color");
    let slave = || pty.slave.try_clone().map(Stdio::from).context("hand over a terminal");
    let mut child =
        inside.stdin(slave()?).stdout(slave()?).stderr(slave()?).spawn().context("start setsid")?;
    // Only the command holds the terminal now, so its end can be read.
    drop(inside);
    drop(pty.slave);
    let (mut master, mut parser) = (File::from(pty.master), vt100::Parser::new(rows, columns, 0));
    let (started, mut bytes, mut answers) = (Instant::now(), [0; 4096], answers.iter());
    loop {
        let quiet = PollTimeout::try_from(QUIET).context("a time to wait")?;
        let ready = poll(&mut [PollFd::new(master.as_fd(), PollFlags::POLLIN)], quiet).context("wait")?;
        if cancel.is_cancelled() || started.elapsed() > DEADLINE {
            child.kill().context("kill a command")?;
            bail!("a picture's command does not finish");
        }
        if ready == 0 {
            if let Some(answer) = answers.next() {
                writeln!(master, "{answer}").context("type an answer")?;
            }
            continue;
        }
        match master.read(&mut bytes) {
            // EIO: the last process has closed the terminal.
            Ok(0) | Err(_) => break,
            Ok(count) => parser.process(&bytes[..count]),
        }
    }
    child.wait().context("wait for a command")?;
    let screen = parser.screen();
    let row = |row| (0..COLUMNS).filter_map(|column| screen.cell(row, column).cloned()).collect::<Vec<_>>();
    let mut rows: Vec<_> = (0..ROWS).map(row).collect();
    while rows.last().is_some_and(|row| row.iter().all(|cell| cell.contents().trim().is_empty())) {
        rows.pop();
    }
    Ok(Screen { rows })
}
