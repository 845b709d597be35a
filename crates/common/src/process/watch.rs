//! The loop around one child: reads what it writes, keeps its deadline, sees its end.
//!
//! One thread and poll(2) on the pipes, a pidfd and the cancel flag. Nothing is polled in intervals, except that started
//! from a terminal a child is looked at twice a second: one that asks something there is stopped by the kernel (SIGTTIN)
//! and would sleep until its deadline.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};

use super::{End, Finished, LeftBehind, Limits};
use crate::cancel::Cancel;
use crate::proc_stat;

pub(super) struct Watch<'a> {
    pub(super) child: Child,
    pub(super) limits: Limits,
    pub(super) cancel: Option<&'a Cancel>,
    pub(super) started: Instant,
    /// What the child writes to; `None` once it is closed.
    pub(super) outputs: Vec<Option<OwnedFd>>,
}

/// The state of a child between its start and its end.
enum Phase {
    /// It runs until then.
    Running { until: Instant },
    /// It has exited on its own; its output stays open until then.
    Draining { until: Instant },
    /// The group was sent TERM because of this; KILL follows then.
    Ending { why: StopCause, until: Instant },
    /// The group was sent KILL; what can't even be killed is given up then.
    Killed { why: StopCause, until: Instant },
}

#[derive(Clone, Copy, PartialEq)]
enum StopCause {
    TimedOut,
    Cancelled,
    AskedTerminal,
    LeftBehind,
}

/// A process in uninterruptible sleep outlives KILL; longer than this it is not waited for.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// From one look at a child that could ask the terminal to the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

impl Watch<'_> {
    pub(super) fn until_the_end(mut self, each_chunk: &mut dyn FnMut(usize, &[u8])) -> Result<Finished> {
        let group = Pid::from_raw(rustix::process::Pid::from_child(&self.child).as_raw_nonzero().get());
        let result = self.watch(group, each_chunk);
        if result.is_err() {
            // Our own poll failed: the child must not outlive the watch.
            let _ = killpg(group, Signal::SIGKILL);
            let _ = self.child.wait();
        }
        result
    }

    fn watch(&mut self, group: Pid, each_chunk: &mut dyn FnMut(usize, &[u8])) -> Result<Finished> {
        let pid = rustix::process::Pid::from_child(&self.child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("watch a child process: pidfd_open")?;
        for pipe in self.outputs.iter().flatten() {
            set_nonblocking(pipe)?;
        }
        let mut phase = Phase::Running { until: self.started + self.limits.deadline };
        let mut exited = false;
        let has_terminal = File::open("/dev/tty").is_ok();
        loop {
            let open = self.outputs.iter().any(Option::is_some);
            if exited && !open {
                break;
            }
            let until = match phase {
                Phase::Running { until }
                | Phase::Draining { until }
                | Phase::Ending { until, .. }
                | Phase::Killed { until, .. } => until,
            };
            let is_running = matches!(phase, Phase::Running { .. });
            let until = match has_terminal && is_running {
                true => until.min(Instant::now() + BETWEEN_LOOKS),
                false => until,
            };
            let ready = self.wait_until(until, &pidfd, exited, &phase)?;
            for stream in ready.outputs {
                self.read_output(stream, each_chunk)?;
            }
            if ready.exited {
                exited = true;
                if let Phase::Running { .. } = phase {
                    phase = Phase::Draining { until: Instant::now() + self.limits.drain };
                }
            }
            let now = Instant::now();
            phase = match phase {
                Phase::Running { .. } if ready.cancelled => self.end(group, StopCause::Cancelled),
                Phase::Running { until } if now >= until => self.end(group, StopCause::TimedOut),
                Phase::Running { .. } if has_terminal && asks_the_terminal(group) => {
                    self.end(group, StopCause::AskedTerminal)
                }
                // A process that has left the group is not killed with it: a daemon that kept the output.
                Phase::Draining { until } if now >= until && is_alone(group) => {
                    return self.give_up(None);
                }
                Phase::Draining { until } if now >= until => self.end(group, StopCause::LeftBehind),
                Phase::Ending { why, until } if now >= until || (exited && why != StopCause::LeftBehind) => {
                    // The leader may have exited at TERM while others in its group ignore it.
                    let _ = killpg(group, Signal::SIGKILL);
                    Phase::Killed { why, until: now + AFTER_KILL }
                }
                Phase::Killed { why, until } if now >= until => return self.give_up(why.end()),
                unchanged => unchanged,
            };
        }
        let why = match phase {
            Phase::Running { .. } | Phase::Draining { .. } => None,
            Phase::Ending { why, .. } | Phase::Killed { why, .. } => Some(why),
        };
        let status = self.child.wait().context("wait for a child process")?;
        let end = why.and_then(StopCause::end).unwrap_or_else(|| End::of(status));
        let left = if why == Some(StopCause::LeftBehind) { LeftBehind::Killed } else { LeftBehind::Nothing };
        Ok(Finished { end, elapsed: self.started.elapsed(), left_behind: left })
    }

    /// Abandons what can't be killed. The child's own exit status counts if it is known.
    fn give_up(&mut self, end: Option<End>) -> Result<Finished> {
        let status = self.child.try_wait().context("wait for a child process")?;
        let end = end.or(status.map(End::of)).unwrap_or(End::TimedOut);
        Ok(Finished { end, elapsed: self.started.elapsed(), left_behind: LeftBehind::Running })
    }

    fn end(&self, group: Pid, why: StopCause) -> Phase {
        let _ = killpg(group, Signal::SIGTERM);
        // A stopped process does not see TERM before it goes on.
        let _ = killpg(group, Signal::SIGCONT);
        Phase::Ending { why, until: Instant::now() + self.limits.grace }
    }

    fn wait_until(&self, until: Instant, pidfd: &OwnedFd, exited: bool, phase: &Phase) -> Result<Ready> {
        let mut fds = Vec::with_capacity(self.outputs.len() + 2);
        let mut roles = Vec::with_capacity(fds.capacity());
        for (stream, pipe) in self.outputs.iter().enumerate() {
            if let Some(pipe) = pipe {
                fds.push(PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
                roles.push(PollRole::Output(stream));
            }
        }
        if !exited {
            fds.push(PollFd::new(pidfd.as_fd(), PollFlags::POLLIN));
            roles.push(PollRole::Exit);
        }
        if let (Some(cancel), Phase::Running { .. }) = (self.cancel, phase) {
            fds.push(PollFd::new(cancel.as_fd(), PollFlags::POLLIN));
            roles.push(PollRole::Cancel);
        }
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up, so that the loop does not spin through the last millisecond.
        let timeout = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        match nix::poll::poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("watch a child process: poll"),
        }
        let mut ready = Ready::default();
        for (fd, role) in fds.iter().zip(roles) {
            // POLLHUP and POLLERR count as well: the read or write that follows shows what they mean.
            if fd.any() != Some(true) {
                continue;
            }
            match role {
                PollRole::Output(stream) => ready.outputs.push(stream),
                PollRole::Exit => ready.exited = true,
                PollRole::Cancel => ready.cancelled = true,
            }
        }
        Ok(ready)
    }

    fn read_output(&mut self, stream: usize, each_chunk: &mut dyn FnMut(usize, &[u8])) -> Result<()> {
        let Some(pipe) = self.outputs[stream].take() else { return Ok(()) };
        let mut pipe = File::from(pipe);
        let mut chunk = [0; 16 << 10];
        let open = match pipe.read(&mut chunk) {
            Ok(0) => false,
            Ok(length) => {
                each_chunk(stream, &chunk[..length]);
                true
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => true,
                _ => return Err(error).context("read a child process's output"),
            },
        };
        if open {
            self.outputs[stream] = Some(pipe.into());
        }
        Ok(())
    }
}

impl StopCause {
    /// How a child that was killed for this reason is reported; `None` if its own exit code counts.
    fn end(self) -> Option<End> {
        match self {
            StopCause::TimedOut => Some(End::TimedOut),
            StopCause::Cancelled => Some(End::Cancelled),
            StopCause::AskedTerminal => Some(End::AskedTerminal),
            StopCause::LeftBehind => None,
        }
    }
}

enum PollRole {
    Output(usize),
    Exit,
    Cancel,
}

#[derive(Default)]
struct Ready {
    outputs: Vec<usize>,
    exited: bool,
    cancelled: bool,
}

/// Whether the leader of a group was stopped because a process of it used the terminal in the background.
fn asks_the_terminal(group: Pid) -> bool {
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let status = waitid(Id::Pid(group), flags);
    matches!(status, Ok(WaitStatus::Stopped(_, Signal::SIGTTIN | Signal::SIGTTOU)))
}

/// Whether a group holds only its leader, which has exited and is not reaped yet. If /proc can't be read, it may hold
/// others.
fn is_alone(group: Pid) -> bool {
    let processes = proc_stat::all();
    !processes.is_empty()
        && processes.iter().all(|&(id, process)| id == group.as_raw() || process.group != group.as_raw())
}

fn set_nonblocking(pipe: &OwnedFd) -> Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(pipe, FcntlArg::F_GETFL)?);
    fcntl(pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
