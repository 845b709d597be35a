//! One turn of the loop: sleep until something is ready or due, then attend to all of it.
//!
//! While something from the FIFO can't be written down, nothing more is taken from it: its writers wait.

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bridge::action::Lane;
use bridge::exit_code::ExitCode;
use bridge::frame::Frame;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Listener;
use super::backups::is_about_preparation;
use super::events::Event;
use super::facts::Fact;
use super::timers::Timer;
use crate::dispatch::OwnMessage;
use crate::door::{ClientId, Origin};
use crate::log::{Topic, short};
use crate::queue::Job;
use crate::run::{Failure, Outcome, Progress, container, tailscale};
use crate::status;
use crate::tally::Ending;

/// A backup whose after steps failed is tried again after this time.
const AGAIN: Duration = Duration::from_secs(600);
/// How often to look whether Backrest was restarted, while something is prepared.
const RESTART: Duration = Duration::from_secs(600);
/// A FIFO that could not be read is tried again after this time.
const FIFO_PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Signals,
    Events,
    Changes,
    Fifo,
    Socket,
    Client(ClientId),
}

impl Listener {
    /// Sleeps until there is something to do. Returns what is ready, and whether its other end is gone.
    pub(super) fn wait(&self) -> Result<Vec<(Source, bool)>> {
        let input = PollFlags::POLLIN;
        let mut fds = vec![PollFd::new(self.inbox.as_fd(), input), PollFd::new(self.doors.changes(), input)];
        let mut sources = vec![Source::Events, Source::Changes];
        if !self.timers.is_set(Timer::Stop) {
            fds.push(PollFd::new(self.signals.as_fd(), input));
            sources.push(Source::Signals);
        }
        // While something from the FIFO can't be written down, nothing more is taken: its writers wait.
        let may_read = !self.queue.holds_up_fifo() && !self.timers.is_set(Timer::Fifo);
        if let Some(pipe) = self.doors.fifo.pipe().filter(|_| may_read) {
            fds.push(PollFd::new(pipe, input));
            sources.push(Source::Fifo);
        }
        if let Some(socket) = self.doors.socket() {
            fds.push(PollFd::new(socket.as_fd(), input));
            sources.push(Source::Socket);
        }
        for (client, connection) in self.clients.iter() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, connection.is_speaking());
            flags.set(PollFlags::POLLOUT, connection.unread() > 0);
            fds.push(PollFd::new(connection.as_fd(), flags));
            sources.push(Source::Client(client));
        }
        let timeout = match self.due() {
            // Rounded up, so that the last millisecond is slept through.
            Some(due) => {
                let left = due.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(error) => return Err(error).context("wait for messages: poll"),
        }
        // Hang-ups and errors count as well: the read or write that follows shows what they mean.
        let found = |(fd, source): (&PollFd<'_>, Source)| {
            let what = fd.revents().filter(|what| !what.is_empty())?;
            Some((source, what.intersects(PollFlags::POLLHUP | PollFlags::POLLERR)))
        };
        Ok(fds.iter().zip(sources).filter_map(found).collect())
    }

    pub(super) fn attend(&mut self, ready: &[(Source, bool)]) {
        let now = Instant::now();
        let is_ready = |source: Source| ready.iter().any(|(found, _)| *found == source);
        let closed = is_ready(Source::Changes) && self.doors.hear_changes(now);
        if is_ready(Source::Fifo) || closed {
            self.read_fifo(now, closed);
        }
        if self.doors.fifo.due().is_some_and(|due| due <= now) {
            self.doors.fifo.take_open_line();
        }
        self.take_arrivals();

        for (source, gone) in ready {
            if let Source::Client(client) = *source {
                self.clients.attend(client, *gone, now);
            }
        }
        self.clients.overdue(now);
        if let Some(socket) = self.doors.socket().filter(|_| is_ready(Source::Socket)) {
            self.clients.let_in(socket, now);
        }
        for (client, line) in self.clients.take_lines() {
            self.hear(client, &line);
        }

        if is_ready(Source::Events) {
            self.inbox.calm();
        }
        let mut finished = Vec::new();
        let mut number = 0;
        while let Some(event) = self.inbox.next(number) {
            finished.extend(self.note(event));
            number += 1;
        }
        let mut ended: Vec<_> = finished.iter().map(|(job, _)| job.id).collect();
        for (client, waited) in self.clients.take_gone() {
            let Some(job) = self.queue.job_of(client) else { continue };
            let stop = || self.lanes.stop(job.id);
            if self.backups.client_gone(job, waited, stop, &mut self.log) {
                ended.push(job.id);
            }
        }
        self.look_at_times(now);
        self.take_own();
        self.timers.take(Timer::Disk, now);
        if self.queue.has_work(!self.timers.is_set(Timer::Disk)) || !ended.is_empty() {
            self.commit(&ended, finished);
        }
        self.pass_over();
        for line in self.doors.look_after(now) {
            self.log.found(&line);
        }
        self.log.keep(now);
        if is_ready(Source::Signals) {
            self.begin_end();
        }
        self.press_end(now);
    }

    fn read_fifo(&mut self, now: Instant, closed: bool) {
        self.timers.take(Timer::Fifo, now);
        if self.queue.holds_up_fifo() || self.timers.is_set(Timer::Fifo) {
            return;
        }
        let mut received = self.doors.fifo.receive(now);
        if closed && received.is_ok() {
            // Its writer wrote before it closed; where one read does not reach the end, the line may go on.
            received = self.doors.fifo.receive(now);
            if let Ok(false) = received {
                self.doors.fifo.take_open_line();
            }
        }
        if let Err(error) = received {
            // Most likely the disk is full. What is in the FIFO stays there.
            self.log.found(&format!("the FIFO can't be read: {error}"));
            self.timers.set(Timer::Fifo, Some(FIFO_PAUSE));
        }
    }

    /// Records how far the FIFO was read where the last lines need no record, so that they are not read again, and
    /// empties the spool when it is time.
    fn pass_over(&mut self) {
        if self.queue.holds_up_fifo() || self.timers.is_set(Timer::Fifo) {
            return;
        }
        let recorded = match self.doors.fifo.is_used_up() {
            true => self.doors.fifo.empty_spool(|mark| self.queue.set_mark(mark)),
            false => self.queue.record_passed(),
        };
        if let Err(error) = recorded {
            self.log.found(&format!("the queue can't be written: {error}"));
            // Nothing more is read until this is recorded.
            self.timers.set(Timer::Fifo, Some(FIFO_PAUSE));
        }
    }

    fn look_at_times(&mut self, now: Instant) {
        self.timers.take(Timer::Fifo, now);
        if self.timers.is_set(Timer::Stop) {
            return;
        }
        if self.timers.take(Timer::Network, now) {
            self.queue.add(Job::new(OwnMessage::TailscaleDown.message(), Origin::Timer));
        }
        if self.timers.take(Timer::Restart, now) {
            self.look_for_restart();
        }
        if self.timers.take(Timer::Backup, now) {
            self.queue.add(Job::new(OwnMessage::OverdueBackup.message(), Origin::Timer));
        }
    }

    /// Looks whether Backrest was restarted since the last preparation, now and again after a while. On a thread of its
    /// own: Docker may take its time.
    fn look_for_restart(&mut self) {
        let since = self.backups.since();
        self.timers.set(Timer::Restart, since.map(|_| RESTART));
        let running = self.queue.running(Lane::Actions);
        let is_busy = running.is_some_and(|job| is_about_preparation(&job.message));
        let Some(since) = since.filter(|_| !is_busy) else { return };
        let (runner, events) = (self.runner.clone(), self.inbox.events());
        // If no thread can be started, the next look is.
        let _ = thread::Builder::new().spawn(move || {
            if container::restarted_since(&runner, since) {
                events.send(Event::Restarted);
            }
        });
    }

    /// Returns a message that has ended.
    fn note(&mut self, event: Event) -> Option<(Job, Outcome)> {
        match event {
            Event::Progress(id, progress) => {
                let job = self.queue.job(id)?;
                match progress {
                    Progress::Output(line) => self.clients.send(job.client, &Frame::Output(line)),
                    Progress::Note(note) => self.clients.send(job.client, &Frame::Note(note)),
                    Progress::Answer(note) => {
                        let topic = Topic::Failed(job.message.name.clone());
                        self.log.sparingly(topic, &format!("#{id}: {note}"));
                        self.clients.finish(job.client, ExitCode::Done, &note);
                    }
                }
            }
            Event::Done(id, outcome) => {
                self.timers.set(Timer::Network, tailscale::due(&self.runner.settings));
                self.lanes.remove(id);
                let job = self.queue.job(id)?.clone();
                let is_stopping = self.timers.is_set(Timer::Stop);
                let note = self.backups.after_end(&job, &outcome, is_stopping, &mut self.log);
                if let Some(note) = note {
                    self.clients.send(job.client, &Frame::Note(note));
                }
                return Some((job, outcome));
            }
            Event::Prepared(open) => {
                let least = if self.facts.has(Fact::OverdueBackup) { AGAIN } else { Duration::ZERO };
                self.timers.set(Timer::Backup, open.as_ref().map(|open| open.left.max(least)));
                if open.is_none() {
                    self.facts.forget(Fact::OverdueBackup);
                }
                self.backups.set_prepared(open, &mut self.log);
                self.look_for_restart();
            }
            Event::Restarted => self.backups.restarted(&mut self.log),
            Event::Status(found) => {
                for (client, json) in self.facts.take_askers() {
                    for line in status::render(&found, json) {
                        self.clients.send(Some(client), &Frame::Output(line.into_bytes()));
                    }
                    self.clients.finish(Some(client), ExitCode::Done, "");
                }
            }
        }
        None
    }

    /// Reports to the log, and to the client that waits, how a message ended.
    pub(super) fn report_end(&mut self, job: &Job, outcome: &Outcome) {
        let took = job.started.map(|at| common::units::duration(at.elapsed())).unwrap_or_default();
        let name = job.message.name.clone();
        let (code, ending, topic) = match outcome {
            Outcome::Done(_) => (ExitCode::Done, Ending::Done, Topic::Message(name)),
            Outcome::Failed(_) => (ExitCode::Failed, Ending::Failed, Topic::Failed(name)),
            Outcome::Unknown => (ExitCode::Unknown, Ending::Failed, Topic::Failed(name)),
        };
        let (how, note) = match outcome {
            Outcome::Done(None) => (format!("done after {took}"), String::new()),
            Outcome::Done(Some(what)) => (format!("done after {took}: {what}"), what.clone()),
            Outcome::Failed(Failure { why, unseen }) => {
                (format!("failed after {took}: {why}"), format!("failed after {took}: {unseen}"))
            }
            Outcome::Unknown => ("not known any more".into(), "not known any more".into()),
        };
        let shown = format!("#{} {}", job.id, short(job.message.to_string().as_bytes()));
        let event = format!("{shown} ({}): {how}", job.door);
        self.log.count(&job.message.name, ending, topic, &event);
        self.clients.finish(job.client, code, &note);
        if OwnMessage::of(&job.message, job.door) == Some(OwnMessage::OverdueBackup) {
            self.facts.note(Fact::OverdueBackup, &how);
        }
        let event = format!("{shown}: {how}");
        if job.lane() == Lane::Notifications {
            return self.facts.note(Fact::LastPush, &event);
        }
        self.facts.note(Fact::Last, &event);
        if code != ExitCode::Done {
            self.facts.note(Fact::LastFailure, &event);
        }
    }
}
