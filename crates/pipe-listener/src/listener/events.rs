//! How the threads that run actions report to the loop, and the thread of a lane itself.
//!
//! The channel is bounded: an action that writes faster than the loop passes on is slowed down by it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Instant;

use common::cancel::Cancel;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::event::{EventfdFlags, eventfd};

use super::notices::Notice;
use crate::dispatch::{Action, OwnMessage, Refusal, look_up};
use crate::queue::Job;
use crate::run::{Outcome, Progress, Report, Runner, prepare};
use crate::status::ListenerStatus;
use bridge::action::{BuiltIn, Lane};

/// What a thread reports.
#[derive(Debug)]
pub(super) enum Event {
    /// The action of this message reports something.
    Progress(u64, Progress),
    /// It is over.
    Done(u64, Outcome),
    /// What is prepared and has to be undone.
    Prepared(Option<prepare::Open>),
    /// Backrest was restarted since the last of it was prepared.
    Restarted,
    /// What `status` waits for.
    Status(Box<ListenerStatus>),
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
        // Nothing receives this any more when the listener stops.
        let _ = self.sender.send(event);
        self.wake.up();
    }
}

/// A message that is to be run.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) job: Job,
    /// Stops its action.
    pub(super) cancel: Cancel,
    pub(super) notice: Notice,
}

/// Starts the thread that runs a lane's messages.
pub(super) fn spawn(lane: Lane, runner: Runner, jobs: Receiver<Start>, events: Events) {
    std::thread::spawn(move || {
        if lane == Lane::Actions {
            events.send(Event::Prepared(prepare::open(&runner)));
        }
        for Start { job, cancel, notice } in jobs {
            let action = match &job.action {
                Some(action) => Ok(action.clone()),
                None => look_up(&job.message, job.door, &runner.actions(), || runner.trust()),
            };
            let runner = Runner { cancel, ..runner.clone() };
            let outcome = match &action {
                Ok(action) => {
                    let report: Report<'_> = &mut |progress| events.send(Event::Progress(job.id, progress));
                    run(&runner, action, &job, notice, report)
                }
                Err(Refusal::Unknown) => Outcome::Unknown,
                Err(Refusal::Unsafe(why)) => Outcome::failed(format!("not run: {why}")),
            };
            let prepares = matches!(
                action,
                Ok(Action::BuiltIn(BuiltIn::PreBackups | BuiltIn::PostBackups)
                    | Action::Listener(OwnMessage::OverdueBackup)
                    | Action::Own(_))
            );
            if prepares {
                events.send(Event::Prepared(prepare::open(&runner)));
            }
            events.send(Event::Done(job.id, outcome));
        }
    });
}

fn run(runner: &Runner, action: &Action, job: &Job, notice: Notice, report: Report<'_>) -> Outcome {
    let is_notification = matches!(action, Action::BuiltIn(BuiltIn::NotifyUp | BuiltIn::NotifyDown));
    match notice {
        Notice::Not(why) if is_notification => Outcome::Done(Some(why.into())),
        Notice::At(at, delay) if is_notification => {
            wait(&[&runner.ending, &delay.wake], at);
            match delay.is_superseded() {
                true => Outcome::Done(Some("not pushed: a newer message follows".into())),
                false => runner.run(action, job, false, report),
            }
        }
        Notice::Now { with_preparation } => runner.run(action, job, with_preparation, report),
        Notice::Not(_) | Notice::At(..) => runner.run(action, job, false, report),
    }
}

/// Waits until one of `flags` is up or it is `until`.
fn wait(flags: &[&Cancel], until: Instant) {
    let mut fds: Vec<_> = flags.iter().map(|flag| PollFd::new(flag.as_fd(), PollFlags::POLLIN)).collect();
    let left = until.saturating_duration_since(Instant::now());
    let _ = poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
}
