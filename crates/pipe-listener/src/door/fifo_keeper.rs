//! A second process that keeps the FIFO open, so that what was written to it outlives a listener that was killed.
//!
//! The kernel drops a FIFO's contents when the last process that has it open is gone. The keeper sleeps until the
//! listener's end of a pipe closes, and then for as long as a message may still be run; a new listener replaces it. It
//! is this program with `--hold`, the only child that does not run through `common::process`, because it must outlive
//! the listener.

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
use common::proc_stat;
use nix::fcntl::OFlag;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::queue::STALE;

/// After an orderly stop a listener is back within this time, or not at all.
const RESTART: Duration = Duration::from_secs(10);

/// The process that keeps the FIFO open for this listener.
#[derive(Debug)]
pub(crate) struct FifoKeeper {
    child: Child,
    /// Closes when the listener stops, in whatever way.
    alive: OwnedFd,
}

impl FifoKeeper {
    /// Starts a keeper of `fifo` and kills the one that an earlier listener left, which is recorded in `note`.
    pub(crate) fn start(fifo: BorrowedFd<'_>, note: &Path) -> Result<FifoKeeper> {
        let (listens, alive) = nix::unistd::pipe2(OFlag::O_CLOEXEC).context("start the FIFO's keeper")?;
        #[expect(
            clippy::disallowed_methods,
            reason = "it outlives the listener on purpose, and exits by itself"
        )]
        let child = Command::new(std::env::current_exe().context("find this program")?)
            .arg("--hold")
            .current_dir("/")
            .stdin(listens)
            .stdout(fifo.try_clone_to_owned().context("start the FIFO's keeper")?)
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start the FIFO's keeper")?;
        let before = fs::read_to_string(note).unwrap_or_default();
        let id = i32::try_from(child.id()).context("name the FIFO's keeper")?;
        let started = proc_stat::of(id).map(|stat| stat.started).unwrap_or_default();
        let line = format!("{id} {started}\n");
        common::atomic::write(note, line.as_bytes(), 0o600)?;
        kill_recorded(&before);
        Ok(FifoKeeper { child, alive })
    }

    /// Waits for a keeper that the next one has killed.
    pub(crate) fn reap(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The listener stops in order: what is written from now on is kept for a moment, in case another one starts.
    pub(crate) fn leave(self) {
        let _ = nix::unistd::write(&self.alive, b"x");
    }
}

/// Kills the keeper recorded in `note`, unless its pid has been reused.
fn kill_recorded(note: &str) {
    let Some((id, since)) = note.trim().split_once(' ') else { return };
    let (Ok(id), Ok(since)) = (id.parse(), since.parse::<u64>()) else { return };
    // The descriptor is taken first: a process that has this id afterwards is the one that is compared.
    let Some(Ok(process)) = Pid::from_raw(id).map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return };
    if proc_stat::of(id).is_some_and(|stat| stat.started == since) {
        let _ = pidfd_send_signal(&process, Signal::KILL);
    }
}

/// Runs the keeper itself.
pub(crate) fn hold() -> Result<Exit> {
    let _ = nix::unistd::setsid();
    // A signal to a whole group or unit must not stop the keeper: the FIFO's contents would go with it.
    let _ignored = Cancel::on_signals();
    let mut time = STALE;
    let mut byte = [0];
    while io::Read::read(&mut io::stdin().lock(), &mut byte).is_ok_and(|length| length > 0) {
        time = RESTART;
    }
    // The next listener kills this process before that, if there is one.
    std::thread::sleep(time);
    Ok(Exit::Done)
}
