//! Child processes with a deadline, a process group of their own, and output that is read as it comes.
//!
//! Three ways to run one: [`run`] hands over merged output line by line, [`capture`] keeps both streams, and
//! [`foreground`] leaves the terminal to the child (a password question, an editor). At the deadline the whole group
//! is terminated: TERM first, KILL after the grace. A grandchild that keeps the output open after its parent has exited
//! gets the drain time and is then killed too, or left alone if it has left the group, so nothing here waits for ever.
//!
//! The child's own end is seen through a pidfd and it is reaped last: until then its process id, which is the
//! group's id, can't be reused.

mod lines;
mod watch;

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Resource, Rlimit};

use crate::cancel::Cancel;
use crate::exit::is_caused_by;
use crate::text::escape;
use crate::units;
use lines::Lines;
use watch::Watch;

/// How long a child may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the start to TERM.
    pub deadline: Duration,
    /// From TERM to KILL.
    pub grace: Duration,
    /// How long output may stay open after the child itself has exited.
    pub drain: Duration,
}

impl Limits {
    /// `deadline`, with 10 s from TERM to KILL and 2 s for output that stays open.
    pub fn within(deadline: Duration) -> Limits {
        Limits { deadline, grace: Duration::from_secs(10), drain: Duration::from_secs(2) }
    }
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// A signal that was not ours killed it.
    Killed(i32),
    /// Its deadline passed and we killed its group.
    TimedOut,
    /// We were asked to stop and killed its group.
    Cancelled,
    /// It asked something on the terminal, which is not its own, and we killed its group.
    AskedTerminal,
}

impl End {
    /// Whether it exited with 0.
    pub fn is_success(self) -> bool {
        self == End::Exited(0)
    }

    fn of(status: ExitStatus) -> End {
        match (status.code(), status.signal()) {
            (Some(code), _) => End::Exited(code),
            (None, signal) => End::Killed(signal.unwrap_or(0)),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            End::Exited(code) => write!(f, "exit code {code}"),
            End::Killed(signal) => match Signal::try_from(signal) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            End::TimedOut => f.write_str("timed out and was terminated"),
            End::Cancelled => f.write_str("interrupted"),
            End::AskedTerminal => f.write_str("waits for an answer on the terminal, which it does not have"),
        }
    }
}

/// Whether `error` is that of a program that could not be started because none of that name is installed.
pub fn is_not_installed(error: &anyhow::Error) -> bool {
    is_caused_by(error, io::ErrorKind::NotFound)
}

/// What is known of a child that has finished.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// From its start to the end of its output.
    pub elapsed: Duration,
    /// What it left behind with its output open.
    pub left_behind: LeftBehind,
}

/// What became of processes that outlived a child and kept its output open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftBehind {
    /// There were none.
    Nothing,
    /// They were killed.
    Killed,
    /// They keep running, and what they write is not read: they have left the child's process group, or can't be killed.
    Running,
}

/// Runs `command` with nothing on its standard input and passes each line of its output, both streams in the order
/// they were written, to `each_line`: without the newline, and in pieces of at most 8 KiB if it is longer.
///
/// Fails if the program can't be started. An exit code other than 0 is returned, it is not an error.
pub fn run(
    command: &mut Command,
    limits: Limits,
    cancel: Option<&Cancel>,
    each_line: &mut dyn FnMut(&[u8]),
) -> Result<Finished> {
    let (reader, writer) = output_pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut lines = Lines::new();
    let finished = start(command, vec![reader], limits, cancel, &|_| {}, &mut |_, bytes| {
        lines.push(bytes, each_line);
    })?;
    lines.finish(each_line);
    Ok(finished)
}

/// What a captured child gave.
#[derive(Debug)]
pub struct Captured {
    /// How it ended.
    pub end: End,
    /// Its standard output, at most 16 MiB of it.
    pub stdout: Vec<u8>,
    /// Its standard error, likewise.
    pub stderr: Vec<u8>,
    name: String,
}

/// More than this of a captured stream is read and dropped.
const CAPTURE_LIMIT: usize = 16 << 20;

impl Captured {
    /// Standard output of a child that exited with 0; otherwise an error that names the command, how it ended, and the
    /// last line that it wrote on standard error.
    pub fn success(self) -> Result<Vec<u8>> {
        if self.end.is_success() {
            return Ok(self.stdout);
        }
        match self.stderr.split(|&b| b == b'\n').rfind(|line| !line.trim_ascii().is_empty()) {
            Some(line) => bail!("{}: {}: {}", self.name, self.end, escape(line.trim_ascii())),
            None => bail!("{}: {}", self.name, self.end),
        }
    }
}

/// Runs `command` with `input` on its standard input, and keeps its output. Fails if it can't be started.
pub fn capture(
    command: &mut Command,
    input: &[u8],
    limits: Limits,
    cancel: Option<&Cancel>,
) -> Result<Captured> {
    let input = if input.is_empty() { Stdio::null() } else { whole(input)? };
    capture_child(command, input, None, limits, cancel, &|_| {})
}

/// [`capture`] of a program that checks a file which may keep it busy for ever. `input` may be of any size. The deadline
/// limits its processor time too, so that it ends even if this process is killed.
pub fn capture_checker(
    command: &mut Command,
    input: Stdio,
    limits: Limits,
    cancel: Option<&Cancel>,
) -> Result<Captured> {
    capture_child(command, input, None, limits, cancel, &|child| {
        let seconds = Some(limits.deadline.as_secs() + 1);
        let limit = Rlimit { current: seconds, maximum: seconds };
        if let Some(child) = i32::try_from(child).ok().and_then(Pid::from_raw) {
            // If it has ended already there is nothing to limit.
            rustix::process::prlimit(Some(child), Resource::Cpu, limit).ok();
        }
    })
}

/// Runs `command` with `output` as its standard output and keeps what it writes on standard error: for output of any
/// size. Fails if it can't be started.
pub fn capture_into(
    command: &mut Command,
    output: File,
    limits: Limits,
    cancel: Option<&Cancel>,
) -> Result<Captured> {
    capture_child(command, Stdio::null(), Some(output), limits, cancel, &|_| {})
}

fn capture_child(
    command: &mut Command,
    input: Stdio,
    output: Option<File>,
    limits: Limits,
    cancel: Option<&Cancel>,
    on_start: &dyn Fn(u32),
) -> Result<Captured> {
    let name = command_name(command);
    let (stderr, writer) = output_pipe()?;
    command.stdin(input).stderr(writer);
    let mut outputs = vec![stderr];
    if let Some(file) = output {
        command.stdout(file);
    } else {
        let (stdout, writer) = output_pipe()?;
        command.stdout(writer);
        outputs.push(stdout);
    }
    let mut kept = [Vec::new(), Vec::new()];
    let finished = start(command, outputs, limits, cancel, on_start, &mut |stream, bytes| {
        let room = CAPTURE_LIMIT - kept[stream].len();
        kept[stream].extend_from_slice(&bytes[..bytes.len().min(room)]);
    })?;
    let [stderr, stdout] = kept;
    Ok(Captured { end: finished.end, stdout, stderr, name })
}

/// Starts `command`, whose streams are set, and reads `outputs`, the ends of what it writes to, until it has finished.
fn start(
    command: &mut Command,
    outputs: Vec<OwnedFd>,
    limits: Limits,
    cancel: Option<&Cancel>,
    on_start: &dyn Fn(u32),
    each_chunk: &mut dyn FnMut(usize, &[u8]),
) -> Result<Finished> {
    let started = Instant::now();
    #[expect(clippy::disallowed_methods, reason = "it is watched below")]
    let child = command.process_group(0).spawn().with_context(|| cannot_start(command));
    // The command keeps its copies of the pipes' ends until they are replaced; with them they would never close.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = child?;
    on_start(child.id());
    let outputs = outputs.into_iter().map(Some).collect();
    Watch { child, limits, cancel, started, outputs }.until_the_end(each_chunk)
}

/// Runs `command` in our own process group with our own standard streams, so that it may ask on the terminal, and
/// waits for it without a deadline: the person at the terminal is the deadline.
pub fn foreground(command: &mut Command) -> Result<End> {
    #[expect(clippy::disallowed_methods, reason = "the person is its deadline")]
    let status = command.status().with_context(|| cannot_start(command))?;
    Ok(End::of(status))
}

/// The command as a person would type it, safe to show. Secrets are never arguments, so nothing is left out.
pub fn command_name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| escape(word.as_encoded_bytes())).collect::<Vec<_>>().join(" ")
}

fn cannot_start(command: &Command) -> String {
    format!("start: {}", escape(command.get_program().as_encoded_bytes()))
}

/// `input` as a standard input that is whole from the start. From a pipe, a child whose parent is killed in the middle
/// would take a part for all of it: `crontab -` would install that. It lies in memory, so no secret gets onto a disk.
fn whole(input: &[u8]) -> Result<Stdio> {
    let naming = || "hand over standard input";
    let memory = rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC).with_context(naming)?;
    let mut file = File::from(memory);
    file.write_all(input).and_then(|()| file.rewind()).with_context(naming)?;
    Ok(file.into())
}

fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// `exit code 1 after 3.2 s`.
impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {}", self.end, units::duration(self.elapsed))
    }
}

#[cfg(test)]
mod tests;
