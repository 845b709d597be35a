//! One turn of the loop: sleep until something is ready or due, then attend to all of it.
//!
//! While something from the FIFO can't be written down, nothing more is taken from it: its writers wait.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bridge::action::Lane;
use bridge::exit_code::ExitCode;
use bridge::frame::Frame;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::facts::dated;
use super::timers::{FIFO_PAUSE, take};
use super::{Event, Listener};
use crate::dispatch::OwnMessage;
use crate::door::ClientId;
use crate::log::{Topic, short};
use crate::queue::Job;
use crate::run::{Failure, Outcome, Progress, tailscale};
use crate::status;
use crate::tally::Ending;

/// At most this number of events are attended to before the doors and clients are looked at again.
const EVENTS: usize = 256;

/// What can become ready.
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
        let mut fds = vec![PollFd::new(self.wake.as_fd(), input), PollFd::new(self.doors.changes(), input)];
        let mut sources = vec![Source::Events, Source::Changes];
        if !self.timers.is_stopping() {
            fds.push(PollFd::new(self.signals.as_fd(), input));
            sources.push(Source::Signals);
        }
        // While something from the FIFO can't be written down, nothing more is taken: its writers wait.
        let may_read = self.from_fifo.is_empty() && self.timers.fifo.is_none();
        if let Some(pipe) = self.doors.fifo.pipe().filter(|_| may_read) {
            fds.push(PollFd::new(pipe, input));
            sources.push(Source::Fifo);
        }
        if let Some((socket, _)) = &self.doors.socket {
            fds.push(PollFd::new(socket.as_fd(), input));
            sources.push(Source::Socket);
        }
        for (client, connection) in self.clients.iter() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, connection.is_speaking());
            flags.set(PollFlags::POLLOUT, connection.wants_write());
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

    /// Attends to all that is ready or due.
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

        let mut lines = Vec::new();
        for (source, gone) in ready {
            if let Source::Client(client) = *source {
                lines.extend(self.clients.attend(client, *gone, now).map(|line| (client, line)));
            }
        }
        lines.extend(self.clients.overdue(now));
        if is_ready(Source::Socket) {
            if let Some((socket, _)) = &self.doors.socket {
                lines.extend(self.clients.let_in(socket, now));
            }
        }
        for (client, line) in lines {
            self.hear(client, &line);
        }

        let mut ended = Vec::new();
        if is_ready(Source::Events) {
            self.wake.calm();
        }
        // An action that writes without end must not keep the others waiting.
        for number in 0..EVENTS {
            match self.heard.try_recv() {
                Ok(event) => self.note(event, &mut ended),
                Err(_) => break,
            }
            if number + 1 == EVENTS {
                self.wake.up();
            }
        }
        for gone in self.clients.take_gone() {
            ended.extend(self.client_gone(gone));
        }
        self.look_at_times(now);
        take(&mut self.timers.disk, now);
        let may_write = self.timers.disk.is_none();
        let is_new = !self.from_fifo.is_empty() && may_write || !self.from_others.is_empty();
        if is_new || !ended.is_empty() || may_write && self.queue.is_behind() {
            self.commit(&ended);
        }
        self.pass_over(now);
        for line in self.doors.look_after(now) {
            self.log.sparingly(Topic::Found, &line);
        }
        self.log.sum_up(now);
        if let Err(error) = self.tally.save(now) {
            self.log.sparingly(Topic::Found, &common::exit::one_line(&error));
        }
        if is_ready(Source::Signals) {
            self.begin_end(now);
        }
        self.press_end(now);
    }

    fn read_fifo(&mut self, now: Instant, closed: bool) {
        take(&mut self.timers.fifo, now);
        if !self.from_fifo.is_empty() || self.timers.fifo.is_some() {
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
            self.log.sparingly(Topic::Found, &format!("the FIFO can't be read: {error}"));
            self.timers.fifo = Some(now + FIFO_PAUSE);
        }
    }

    /// Records how far the FIFO was read where the last lines need no record, so that they are not read again, and
    /// goes on with a new spool file when it is time.
    fn pass_over(&mut self, now: Instant) {
        if !self.from_fifo.is_empty() || self.timers.fifo.is_some() {
            return;
        }
        let recorded = match self.doors.fifo.next_spool() {
            None if self.passed > self.queue.mark() => self.queue.set_mark(self.passed),
            None => Ok(()),
            Some(next) => next.and_then(|(next, mark)| {
                self.queue.set_mark(mark)?;
                self.doors.fifo.switch_spool(next);
                Ok(())
            }),
        };
        if let Err(error) = recorded {
            self.log.sparingly(Topic::Found, &format!("the queue can't be written: {error}"));
            // Nothing more is read until this is recorded.
            self.timers.fifo = Some(now + FIFO_PAUSE);
        }
    }

    fn look_at_times(&mut self, now: Instant) {
        take(&mut self.timers.fifo, now);
        if self.timers.is_stopping() {
            return;
        }
        if take(&mut self.timers.network, now) {
            self.send_ourselves(OwnMessage::TailscaleDown.name(), "");
        }
        if take(&mut self.timers.restart, now) {
            self.look_for_restart();
        }
        if take(&mut self.timers.backup, now) {
            self.send_ourselves(OwnMessage::OverdueBackup.name(), "");
        }
    }

    fn note(&mut self, event: Event, ended: &mut Vec<u64>) {
        match event {
            Event::Progress(id, progress) => {
                let client = self.queue.running_job(id).and_then(|job| job.client);
                match progress {
                    Progress::Output(line) => self.clients.send(client, &Frame::Output(line)),
                    Progress::Note(note) => self.clients.send(client, &Frame::Note(note)),
                    Progress::Answer(note) => {
                        self.clients.send(client, &Frame::Note(note.clone()));
                        self.clients.send(client, &Frame::End(ExitCode::Done));
                        let name = self.queue.running_job(id).map(|job| job.message.name.clone());
                        self.log
                            .sparingly(Topic::Failed(name.unwrap_or_default()), &format!("#{id}: {note}"));
                    }
                }
            }
            Event::Done(id, outcome) => {
                self.running.remove(&id);
                if let Some(job) = self.queue.running_job(id).cloned() {
                    self.after_end(&job, &outcome);
                    self.finished.push((job, outcome));
                }
                self.timers.set_network(tailscale::due(&self.settings));
                ended.push(id);
            }
            Event::Prepared(open) => {
                let was_tried = self.facts.overdue_backup.is_some();
                self.timers.set_backup(open.map(|open| open.left), was_tried);
                if open.is_none() {
                    self.facts.overdue_backup = None;
                }
                self.backups.since = open.and_then(|open| open.since);
                self.look_for_restart();
            }
            Event::Restarted => self.backrest_restarted(),
            Event::Status(found) => {
                for (client, json) in std::mem::take(&mut self.status_clients) {
                    for line in status::render(&found, json) {
                        self.clients.send(Some(client), &Frame::Output(line.into_bytes()));
                    }
                    self.clients.send(Some(client), &Frame::End(ExitCode::Done));
                }
            }
        }
    }

    /// Reports to the log, and to the client that waits, how a message ended.
    pub(super) fn report_end(&mut self, job: &Job, outcome: &Outcome) {
        let id = job.id;
        let took = job.started.map(|at| common::units::duration(at.elapsed())).unwrap_or_default();
        let shown = short(job.message.to_string().as_bytes());
        let (code, how) = match outcome {
            Outcome::Done(None) => (ExitCode::Done, format!("done after {took}")),
            Outcome::Done(Some(what)) => (ExitCode::Done, format!("done after {took}: {what}")),
            Outcome::Failed(Failure { why, .. }) => (ExitCode::Failed, format!("failed after {took}: {why}")),
            Outcome::Unknown => (ExitCode::Unknown, "not known any more".into()),
        };
        let ending = if code == ExitCode::Done { Ending::Done } else { Ending::Failed };
        self.tally.count(&job.message.name, ending);
        let topic = match code {
            ExitCode::Done => Topic::Message(job.message.name.clone()),
            _ => Topic::Failed(job.message.name.clone()),
        };
        self.log.sparingly(topic, &format!("#{id} {shown} ({}): {how}", job.door));
        match outcome {
            Outcome::Done(None) => {}
            Outcome::Done(Some(what)) => self.clients.send(job.client, &Frame::Note(what.clone())),
            Outcome::Failed(Failure { unseen, .. }) => {
                self.clients.send(job.client, &Frame::Note(format!("failed after {took}: {unseen}")));
            }
            Outcome::Unknown => self.clients.send(job.client, &Frame::Note(how.clone())),
        }
        self.clients.send(job.client, &Frame::End(code));
        let event = format!("#{id} {shown}: {how}");
        if OwnMessage::of(&job.message, job.door) == Some(OwnMessage::OverdueBackup) {
            self.facts.overdue_backup = dated(&how);
        }
        match job.lane() {
            Lane::Notifications => self.facts.last_push = dated(&event),
            Lane::Actions => self.facts.last = dated(&event),
        }
        if job.lane() == Lane::Actions && code != ExitCode::Done {
            self.facts.last_failure = dated(&event);
        }
    }
}
