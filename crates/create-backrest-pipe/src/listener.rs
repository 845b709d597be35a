//! Starts and stops the listener, and stops a Bash listener.
//!
//! What a reader gets wrong: a process id can pass to another process between looking and sending a signal, so
//! signals go through a pidfd, and what is behind it is looked at after it is open.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use common::exit::HintExt;
use common::lock::Holder;
use common::text::{escape, escape_path};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::inspect::Facts;
use crate::inspect::bash_listener::{self, BashListener};
use crate::inspect::listener as inspect;
use crate::places::Places;
use crate::work::{Verb, Work};

const START: Duration = Duration::from_secs(10);
/// How long a listener may take to end its action; it has its own, shorter grace.
const STOP: Duration = Duration::from_secs(90);

/// Starts the listener in a session of its own, unless one runs, and waits until it takes connections, so that a
/// message sent right now is not refused. Returns who listens. If it never opens its socket its log and `status` report
/// that.
pub(crate) fn start(places: &Places) -> Result<Holder> {
    let (lock, socket) = (places.layout.listener_lock(), places.layout.socket());
    if let Some(holder) = inspect::look(&lock)? {
        return Ok(holder);
    }
    let printed = places.layout.listener_start_log();
    let naming = || format!("write: {}", escape_path(&printed));
    let output = common::private::read_write(&printed).with_context(naming)?;
    output.set_len(0).with_context(naming)?;
    // setsid(1) runs the program in its own place, so the child is the listener itself.
    let mut command = Command::new("setsid");
    command.args(&places.listener).current_dir("/");
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    #[expect(clippy::disallowed_methods, reason = "the listener outlives us on purpose")]
    let mut child = command.spawn().context("start: setsid").hint("apt install util-linux")?;
    let end = Instant::now() + START;
    loop {
        let exited = child.try_wait().context("wait for the listener")?;
        let is_late = Instant::now() >= end;
        if exited.is_some() || is_late || UnixStream::connect(&socket).is_ok() {
            // Another listener may have been quicker.
            if let Some(holder) = inspect::look(&lock)? {
                return Ok(holder);
            }
        }
        if let Some(status) = exited {
            return Err(anyhow!("start the listener: {status}: {}", last_line(&printed)))
                .hint(format!("see what it prints: {}", escape_path(&places.listener[0])));
        }
        if is_late {
            let (process, last) = (child.id(), last_line(&printed));
            bail!("start the listener: process {process} does not take its lock: {last}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn last_line(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    let is_reason =
        |line: &&[u8]| !line.trim_ascii().is_empty() && !line.starts_with(bridge::HINT.as_bytes());
    let last = text.split(|&byte| byte == b'\n').rfind(is_reason);
    last.map_or_else(|| "it printed nothing".into(), escape)
}

pub(crate) fn ensure_stopped(facts: &Facts, places: &Places, work: &mut Work) -> Result<()> {
    let Some(holder) = &facts.listener else { return Ok(()) };
    work.step(Verb::STOP, format!("the listener, {holder}"), || stop(&places.layout.listener_lock()))
}

fn stop(lock: &Path) -> Result<()> {
    let Some(holder) = inspect::look(lock)? else { return Ok(()) };
    let Some(process) = holder.process else {
        bail!("stop the listener: its lock does not name its process")
    };
    end(process, STOP, || inspect::look(lock).is_ok_and(|now| now == Some(holder)))
        .with_context(|| format!("stop the listener: process {process}"))
}

/// Stops a Bash listener, which waits in open(2) or read(2) and goes at once.
pub(crate) fn stop_bash(found: &BashListener) -> Result<()> {
    let is_still = || bash_listener::look(found.process).as_ref() == Some(found);
    end(found.process, Duration::from_secs(10), is_still)
        .with_context(|| format!("stop the Bash listener: process {}", found.process))
}

/// Sends TERM to `process` if it `is_still` the one that was meant, and waits for its end.
fn end(process: i32, wait: Duration, is_still: impl FnOnce() -> bool) -> Result<()> {
    let id = Pid::from_raw(process).context("no process id")?;
    let pidfd = match pidfd_open(id, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !is_still() {
        return Ok(());
    }
    pidfd_send_signal(&pidfd, Signal::TERM)?;
    let end = Instant::now() + wait;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("it still runs after {}", common::units::duration(wait));
        }
        let timeout = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        // A pidfd becomes readable when its process ends (pidfd_open(2)).
        match nix::poll::poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) if ready > 0 => return Ok(()),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
