//! A second process that keeps the FIFO open, so that what was written to it outlives a listener that was killed.
//!
//! The kernel throws a FIFO's contents away when the last process that has it open is gone. The holder sleeps until
//! the listener's end of a pipe closes, and then for as long as a message may still be run; a new listener replaces
//! it. It is this program with `--hold`, the only child that does not run through `common::process`, because it must
//! outlive us.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::exit::Exit;
use nix::fcntl::OFlag;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::listener::STALE;

/// After an orderly end a listener is back within this time, or it isn't meant to be.
const RESTART: Duration = Duration::from_secs(10);

/// The process that holds the FIFO for us.
#[derive(Debug)]
pub(crate) struct Holder {
    child: Child,
    /// Closes when we end, however we end.
    alive: OwnedFd,
}

impl Holder {
    /// Starts a holder of `fifo` and ends the one that an earlier listener left; `state` is where it is noted.
    pub(crate) fn start(fifo: BorrowedFd<'_>, state: &Path) -> Result<Holder> {
        let note = state.join("holder");
        let (listens, alive) = nix::unistd::pipe2(OFlag::O_CLOEXEC).context("start the FIFO's holder")?;
        let child = Command::new(std::env::current_exe().context("find this program")?)
            .arg("--hold")
            .current_dir("/")
            .stdin(listens)
            .stdout(fifo.try_clone_to_owned().context("start the FIFO's holder")?)
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start the FIFO's holder")?;
        let before = fs::read_to_string(&note).unwrap_or_default();
        let id = child.id();
        let line = format!("{id} {}\n", started(id).unwrap_or_default());
        common::atomic::write(&note, line.as_bytes(), 0o600)?;
        end(&before);
        Ok(Holder { child, alive })
    }

    /// It was replaced by another, which ended it.
    pub(crate) fn gone(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The listener ends in order: what is written from now on is held for a moment, in case another one starts.
    pub(crate) fn leave(self) {
        let _ = nix::unistd::write(&self.alive, b"x");
    }
}

/// Ends the holder of that note, if it still is the process that was noted.
fn end(note: &str) {
    let Some((id, since)) = note.trim().split_once(' ') else { return };
    let Some(pid) = id.parse().ok().and_then(Pid::from_raw) else { return };
    // The descriptor is taken first: a process that has this id afterwards is the one that is compared.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if id.parse().ok().and_then(started).as_deref() == Some(since) {
        let _ = pidfd_send_signal(&process, Signal::KILL);
    }
}

/// When a process was started, in the kernel's ticks since boot: field 22 of /proc/PID/stat.
fn started(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it is in parentheses and may hold anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(19).map(str::to_string)
}

/// What the holder itself does.
pub(crate) fn hold() -> Result<Exit> {
    let _ = nix::unistd::setsid();
    // What ends a whole group or unit must not end us: a FIFO's contents would go with us.
    let _ignored = Cancel::on_signals();
    let mut time = STALE;
    let mut byte = [0];
    while io::Read::read(&mut io::stdin().lock(), &mut byte).is_ok_and(|length| length > 0) {
        time = RESTART;
    }
    // The next listener ends us before this is over, if there is one.
    std::thread::sleep(time);
    Ok(Exit::Done)
}
