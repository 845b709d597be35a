//! How the threads that run actions tell the loop what happens, and the thread of a lane itself.
//!
//! The channel is bounded: an action that writes faster than the loop passes on is slowed down by it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use crate::dispatch::{Action, Refusal, look_up};
use crate::queue::Job;
use crate::run::{Outcome, Runner, Said, prepare};
use bridge::action::{BuiltIn, Lane};
use common::contract::status::Status;

/// What a thread tells.
#[derive(Debug)]
pub(super) enum Event {
    /// The action of this message says something.
    Said(u64, Said),
    /// It is over.
    Done(u64, Outcome),
    /// When what a prepare step did is to be undone at the latest, counted from now.
    BackupDue(Option<Duration>),
    /// What `status` waits for.
    Status(Box<Status>),
}

/// Wakes the loop.
#[derive(Clone, Debug)]
pub(super) struct Wake(Arc<OwnedFd>);

impl Wake {
    pub(super) fn new() -> io::Result<Wake> {
        Ok(Wake(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    pub(super) fn up(&self) {
        // Full means that it is awake.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    /// Goes back to sleep.
    pub(super) fn calm(&self) {
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The threads' end.
#[derive(Clone, Debug)]
pub(super) struct Events {
    sender: SyncSender<Event>,
    wake: Wake,
}

impl Events {
    pub(super) fn new(wake: &Wake) -> (Events, Receiver<Event>) {
        let (sender, receiver) = mpsc::sync_channel(64);
        (Events { sender, wake: wake.clone() }, receiver)
    }

    pub(super) fn send(&self, event: Event) {
        // Nobody hears us any more when the listener ends.
        let _ = self.sender.send(event);
        self.wake.up();
    }
}

/// Starts the thread that runs a lane's messages.
pub(super) fn spawn(lane: Lane, runner: Runner, jobs: Receiver<Job>, events: Events) {
    std::thread::spawn(move || {
        if lane == Lane::Actions {
            events.send(Event::BackupDue(prepare::due(&runner)));
        }
        for job in jobs {
            let action = match &job.action {
                Some(action) => Ok(action.clone()),
                None => look_up(&job.message, job.door, &runner.actions(), || runner.trust()),
            };
            let outcome = match &action {
                Ok(action) => {
                    runner.run(action, &job.message, &mut |said| events.send(Event::Said(job.id, said)))
                }
                Err(Refusal::Unknown) => Outcome::Unknown,
                Err(Refusal::Unsafe(why)) => Outcome::Failed(format!("not run: {why}")),
            };
            let prepares = matches!(
                action,
                Ok(Action::BuiltIn(BuiltIn::PreBackups | BuiltIn::PostBackups)
                    | Action::OverdueBackup
                    | Action::Own(_))
            );
            if prepares {
                events.send(Event::BackupDue(prepare::due(&runner)));
            }
            events.send(Event::Done(job.id, outcome));
        }
    });
}
