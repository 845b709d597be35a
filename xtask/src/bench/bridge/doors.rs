//! How messages get in, and how their first effect is seen.
//!
//! In goes the text of one message or, through a FIFO, of many; out come the answer, if the door has one, and one
//! byte for each program that a message has started.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::text::escape_path;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A FIFO to which each program that a message starts writes one byte.
#[derive(Debug)]
pub(super) struct Effects {
    fifo: File,
}

impl Effects {
    /// Makes the FIFO, and the program that writes to it, in `folder`.
    pub(super) fn make(folder: &Path) -> Result<Effects> {
        let path = folder.join("effects");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).context("make a FIFO")?;
        // Held open for writing as well, so that it never comes to its end.
        let fifo = OpenOptions::new().read(true).write(true).open(&path).context("open a FIFO")?;
        let script = format!("#!/bin/sh\nprintf . > '{}'\n", path.display());
        common::atomic::write(&program(folder), script.as_bytes(), 0o755)?;
        Ok(Effects { fifo })
    }

    /// Waits until that many more have come.
    pub(super) fn wait_for(&mut self, count: usize) -> Result<()> {
        let mut seen = 0;
        let mut bytes = [0; 4096];
        while seen < count {
            let mut fds = [PollFd::new(self.fifo.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
            let ready = poll(&mut fds, timeout).context("wait for an effect")?;
            ensure!(ready > 0, "{seen} of {count} messages had an effect");
            let most = bytes.len().min(count - seen);
            seen += self.fifo.read(&mut bytes[..most]).context("read the effects")?;
        }
        Ok(())
    }
}

/// The program that a message `note` starts.
pub(super) fn program(folder: &Path) -> PathBuf {
    folder.join("note")
}

/// Where a message goes in.
#[derive(Debug)]
pub(super) enum Door {
    Fifo(PathBuf),
    Socket(PathBuf),
    /// Nothing in between: the program that a message starts.
    None(PathBuf),
}

/// Waits for all that comes back; fails unless it reports that the message succeeded.
pub(super) type Answer = Box<dyn FnOnce() -> Result<()>>;

impl Door {
    /// Opens the door, sends `text`, which may be several messages for a FIFO, and closes it as a hook does.
    pub(super) fn send(&self, text: &str) -> Result<Answer> {
        match self {
            Door::Fifo(path) => {
                let open = |flags: OFlag| {
                    let opened = OpenOptions::new().write(true).custom_flags(flags.bits()).open(path);
                    opened.with_context(|| format!("open the FIFO: {}", escape_path(path)))
                };
                // Fails if there is no reader, instead of waiting.
                drop(open(OFlag::O_NONBLOCK)?);
                open(OFlag::empty())?.write_all(text.as_bytes()).context("write to the FIFO")?;
                Ok(Box::new(|| Ok(())))
            }
            Door::None(program) => {
                let mut command = Command::new(program);
                let mut child =
                    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("start a program")?;
                Ok(Box::new(move || {
                    let status = child.wait().context("wait for a program")?;
                    ensure!(status.success(), "the program ended with {status}");
                    Ok(())
                }))
            }
            Door::Socket(_) => {
                let mut stream = self.connect()?;
                stream.write_all(text.as_bytes()).context("write to the socket")?;
                Ok(Box::new(|| read(stream)))
            }
        }
    }

    fn connect(&self) -> Result<UnixStream> {
        let (Door::Fifo(path) | Door::Socket(path) | Door::None(path)) = self;
        let stream = UnixStream::connect(path)
            .with_context(|| format!("connect to the socket: {}", escape_path(path)))?;
        stream.set_read_timeout(Some(PATIENCE)).context("set a time limit")?;
        Ok(stream)
    }

    /// That many clients connect, then all send `ping`, then all read. Returns how many had a whole answer, and the time
    /// from the first word to the last answer.
    pub(super) fn ask_all_at_once(&self, clients: usize) -> Result<(usize, Duration)> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("ask for the limit of open files")?;
        let wanted = clients as u64 + 100;
        if soft < wanted {
            setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard).context("open many files")?;
        }
        let mut streams = (0..clients).map(|_| self.connect()).collect::<Result<Vec<_>>>()?;
        let started = Instant::now();
        for stream in &mut streams {
            stream.write_all(b"ping\n").context("write to the socket")?;
        }
        let answered = streams.into_iter().map(read).filter(Result::is_ok).count();
        Ok((answered, started.elapsed()))
    }
}

fn read(mut stream: UnixStream) -> Result<()> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read an answer")?;
    ensure!(answer.ends_with(". 0\n"), "the listener answers {answer:?}");
    Ok(())
}
