//! Asking long work to stop: a flag that any number of poll(2) loops can wait on.
//!
//! It is a pipe into which one byte is written and which is never read: it stays readable, so no one misses it. A
//! signal handler does nothing but write that byte.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout};

/// A flag that goes up once and stays up. Clones share it.
#[derive(Clone, Debug)]
pub struct Cancel {
    pipe: Arc<(OwnedFd, OwnedFd)>,
}

impl Cancel {
    /// A flag that is down.
    pub fn new() -> io::Result<Cancel> {
        // Non-blocking, so that a handler can't hang on a full pipe.
        Ok(Cancel { pipe: Arc::new(nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?) })
    }

    /// A flag that the first SIGINT, SIGTERM or SIGHUP puts up. From then on these signals don't end the process.
    pub fn on_signals() -> io::Result<Cancel> {
        let cancel = Cancel::new()?;
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            signal_hook::low_level::pipe::register(signal, cancel.pipe.1.try_clone()?)?;
        }
        Ok(cancel)
    }

    /// Puts the flag up.
    pub fn cancel(&self) {
        // A full pipe means that it is up already.
        let _ = nix::unistd::write(&self.pipe.1, b"x");
    }

    /// Whether it is up.
    pub fn is_cancelled(&self) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

/// Readable once the flag is up.
impl AsFd for Cancel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_up_for_every_clone() {
        let cancel = Cancel::new().unwrap();
        let clone = cancel.clone();
        assert!(!clone.is_cancelled());
        cancel.cancel();
        assert!(clone.is_cancelled() && clone.is_cancelled() && cancel.is_cancelled());
    }
}
