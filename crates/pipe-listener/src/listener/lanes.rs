//! The two lanes' threads, which run actions, and what stops what runs.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Instant;
use std::{io, thread};

use bridge::action::{BuiltIn, Lane};
use common::cancel::Cancel;

use super::events::{Event, Events};
use super::notices::Notice;
use crate::dispatch::{Action, OwnMessage, Refusal, look_up};
use crate::queue::{Job, LANES};
use crate::run::notify::FOLLOWED;
use crate::run::{Outcome, Report, Runner, prepare, wait};

#[derive(Debug)]
pub(super) struct Lanes {
    /// They get a message, what stops its action, and what becomes of it if it is a notification.
    threads: [Sender<(Job, Cancel, Notice)>; 2],
    /// What stops the actions that run, by the number of their message.
    running: BTreeMap<u64, Cancel>,
}

impl Lanes {
    /// Starts the threads. Fails if one can't be had.
    pub(super) fn new(runner: &Runner, events: &Events) -> io::Result<Lanes> {
        let start = |lane| {
            let (sender, jobs) = mpsc::channel();
            let (runner, events) = (runner.clone(), events.clone());
            thread::Builder::new().spawn(move || work(lane, &runner, jobs, &events))?;
            io::Result::Ok(sender)
        };
        let [one, other] = LANES;
        Ok(Lanes { threads: [start(one)?, start(other)?], running: BTreeMap::new() })
    }

    /// Runs the action of a message. `spare` stops it if it can't have a flag of its own.
    pub(super) fn start(&mut self, job: Job, notice: Notice, spare: &Cancel) {
        let cancel = Cancel::new().unwrap_or_else(|_| spare.clone());
        self.running.insert(job.id, cancel.clone());
        // The threads live as long as the loop.
        let _ = self.threads[job.lane() as usize].send((job, cancel, notice));
    }

    /// Stops the action of this message, if it runs.
    pub(super) fn stop(&self, id: u64) {
        self.running.get(&id).into_iter().for_each(Cancel::cancel);
    }

    pub(super) fn stop_all(&self) {
        self.running.values().for_each(Cancel::cancel);
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.running.remove(&id);
    }
}

fn work(lane: Lane, runner: &Runner, jobs: Receiver<(Job, Cancel, Notice)>, events: &Events) {
    if lane == Lane::Actions {
        events.send(Event::Prepared(prepare::open(runner)));
    }
    for (job, cancel, notice) in jobs {
        let action = match &job.action {
            Some(action) => Ok(action.clone()),
            None => look_up(&job.message, job.door, &runner.actions(), || runner.trust()),
        };
        let own = Runner { cancel, ..runner.clone() };
        let outcome = match &action {
            Ok(action) => {
                let report: Report<'_> = &mut |progress| events.send(Event::Progress(job.id, progress));
                run(&own, action, &job, notice, report)
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
            // Asked also if the action was cancelled: what it left prepared counts.
            events.send(Event::Prepared(prepare::open(runner)));
        }
        events.send(Event::Done(job.id, outcome));
    }
}

fn run(runner: &Runner, action: &Action, job: &Job, notice: Notice, report: Report<'_>) -> Outcome {
    let is_notification = matches!(action, Action::BuiltIn(BuiltIn::NotifyUp | BuiltIn::NotifyDown));
    match notice {
        Notice::Not(why) if is_notification => return Outcome::Done(Some(why.into())),
        Notice::At(at, hurry) if is_notification => {
            wait(&[&runner.ending, &hurry, &runner.cancel], at.saturating_duration_since(Instant::now()));
            if runner.cancel.is_cancelled() && !runner.ending.is_cancelled() {
                return Outcome::Done(Some(FOLLOWED.into()));
            }
        }
        Notice::Now | Notice::Not(_) | Notice::At(..) => {}
    }
    runner.run(action, job, report)
}
