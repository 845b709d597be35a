//! How the threads that run actions report to the loop.
//!
//! The channel is bounded: an action that writes faster than the loop passes on is slowed down by it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};

use rustix::event::{EventfdFlags, eventfd};

use crate::run::{Outcome, Progress, prepare};
use crate::status::ListenerStatus;

/// At most this number of events are attended to before the doors and clients are looked at again.
const AT_ONCE: usize = 256;

#[derive(Debug)]
pub(super) enum Event {
    /// The action of this message reports something.
    Progress(u64, Progress),
    Done(u64, Outcome),
    /// What is prepared and has to be undone.
    Prepared(Option<prepare::Open>),
    /// Backrest was restarted since the last of it was prepared.
    Restarted,
    /// What `status` waits for.
    Status(Box<ListenerStatus>),
}

/// The threads' end.
#[derive(Clone, Debug)]
pub(super) struct Events {
    sender: SyncSender<Event>,
    /// Wakes the loop.
    wake: Arc<OwnedFd>,
}

impl Events {
    pub(super) fn send(&self, event: Event) {
        // Nothing receives this any more when the listener stops.
        let _ = self.sender.send(event);
        self.wake();
    }

    fn wake(&self) {
        // Full means that it is awake.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

/// The loop's end; ready when there is an event.
#[derive(Debug)]
pub(super) struct Inbox {
    events: Events,
    heard: Receiver<Event>,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Inbox> {
        let (sender, heard) = mpsc::sync_channel(64);
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        Ok(Inbox { events: Events { sender, wake }, heard })
    }

    pub(super) fn events(&self) -> Events {
        self.events.clone()
    }

    /// The next event of this turn, of which `number` were taken. An action that writes without end must not keep the
    /// others waiting.
    pub(super) fn next(&self, number: usize) -> Option<Event> {
        if number == AT_ONCE {
            self.events.wake();
            return None;
        }
        self.heard.try_recv().ok()
    }

    pub(super) fn calm(&self) {
        let _ = rustix::io::read(&*self.events.wake, &mut [0; 8]);
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.wake.as_fd()
    }
}
