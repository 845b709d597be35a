//! One turn of the loop: sleep until something is ready or due, then attend to all of it.
//!
//! While something from the FIFO can't be written down, nothing more is taken from it: its writers wait.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bridge::exit_code::ExitCode;
use bridge::frame::Frame;
use bridge::message::Message;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Event, Listener};
use crate::dispatch::{OVERDUE_BACKUP, TAILSCALE_DOWN};
use crate::door::{Asker, Door};
use crate::log::short;
use crate::queue::{Job, New};
use crate::run::{Outcome, Said, notify, tailscale};
use crate::status::{self, Facts};

/// A backup that could not be cleaned up after is tried again after this time.
const AGAIN: Duration = Duration::from_secs(600);

/// So many events are attended to before the doors and clients are looked at again.
const EVENTS: usize = 256;

/// What is ready.
#[derive(Debug, Default)]
pub(super) struct Ready {
    signal: bool,
    event: bool,
    changes: bool,
    fifo: bool,
    socket: bool,
    clients: Vec<(Asker, bool)>,
}

enum Source {
    Signals,
    Events,
    Changes,
    Fifo,
    Socket,
    Client(Asker),
}

impl Listener {
    /// Sleeps until there is something to do.
    pub(super) fn wait(&self) -> Result<Ready> {
        let input = PollFlags::POLLIN;
        let mut fds = vec![PollFd::new(self.wake.as_fd(), input), PollFd::new(self.doors.changes(), input)];
        let mut sources = vec![Source::Events, Source::Changes];
        if self.stopping.is_none() {
            fds.push(PollFd::new(self.signals.as_fd(), input));
            sources.push(Source::Signals);
        }
        // While something from the FIFO can't be written down, nothing more is taken: its writers wait.
        if let Some(pipe) = self.doors.fifo.pipe().filter(|_| self.from_fifo.is_empty()) {
            fds.push(PollFd::new(pipe, input));
            sources.push(Source::Fifo);
        }
        if let Some((socket, _)) = &self.doors.socket {
            fds.push(PollFd::new(socket.as_fd(), input));
            sources.push(Source::Socket);
        }
        for (asker, connection) in self.clients.iter() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, connection.is_speaking());
            flags.set(PollFlags::POLLOUT, connection.wants_write());
            fds.push(PollFd::new(connection.as_fd(), flags));
            sources.push(Source::Client(asker));
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
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(error) => return Err(error).context("wait for messages: poll"),
        }
        let mut ready = Ready::default();
        for (fd, source) in fds.iter().zip(sources) {
            // Hang-ups and errors count as well: the read or write that follows tells what they mean.
            let Some(what) = fd.revents().filter(|what| !what.is_empty()) else { continue };
            match source {
                Source::Signals => ready.signal = true,
                Source::Events => ready.event = true,
                Source::Changes => ready.changes = true,
                Source::Fifo => ready.fifo = true,
                Source::Socket => ready.socket = true,
                Source::Client(asker) => {
                    let gone = what.intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
                    ready.clients.push((asker, gone));
                }
            }
        }
        Ok(ready)
    }

    /// Attends to all that is ready or due.
    pub(super) fn attend(&mut self, ready: Ready) {
        let now = Instant::now();
        let closed = ready.changes && self.doors.hear_changes(now);
        if ready.fifo || closed {
            self.read_fifo(now, closed);
        }
        if self.doors.fifo.due().is_some_and(|due| due <= now) {
            self.doors.fifo.take_open_line();
        }
        self.take_arrivals();

        let mut said = Vec::new();
        for (asker, gone) in ready.clients {
            said.extend(self.clients.attend(asker, gone, now).map(|line| (asker, line)));
        }
        said.extend(self.clients.overdue(now));
        if ready.socket {
            if let Some((socket, _)) = &self.doors.socket {
                said.extend(self.clients.let_in(socket, now));
            }
        }
        for (asker, line) in said {
            self.hear(asker, &line);
        }

        let mut ended = Vec::new();
        if ready.event {
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
        self.look_at_times(now);
        self.retry = self.retry.filter(|&at| at > now);
        let retry = self.retry.is_none();
        let news = !self.from_fifo.is_empty() && retry || !self.from_others.is_empty();
        if news || !ended.is_empty() || retry && self.queue.is_behind() {
            self.commit(&ended);
        }
        self.pass_over();
        for line in self.doors.look_after(now) {
            self.log.say_sparingly(&line);
        }
        if ready.signal {
            self.begin_end(now);
        }
        self.press_end(now);
    }

    fn read_fifo(&mut self, now: Instant, closed: bool) {
        if !self.from_fifo.is_empty() {
            return;
        }
        let mut received = self.doors.fifo.receive(now);
        if closed && received.is_ok() {
            // Whoever closed it wrote before that; where one read does not reach the end, the line may go on.
            received = self.doors.fifo.receive(now);
            if let Ok(false) = received {
                self.doors.fifo.take_open_line();
            }
        }
        match received {
            Ok(_) => {}
            Err(error) => {
                self.log.say_sparingly(&format!("the FIFO can't be read: {error}"));
                // Most likely the disk is full. What is in the FIFO stays there.
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// Writes down how far the FIFO was read where the last lines need no record, so that they are not read again,
    /// and goes on with a new spool file when it is time.
    fn pass_over(&mut self) {
        if !self.from_fifo.is_empty() {
            return;
        }
        let renewed = match self.doors.fifo.renewal() {
            None if self.passed > self.queue.mark() => self.queue.set_mark(self.passed),
            None => Ok(()),
            Some(next) => next.and_then(|next| {
                self.queue.set_mark(self.doors.fifo.mark_of(&next))?;
                self.doors.fifo.renew(next);
                Ok(())
            }),
        };
        if let Err(error) = renewed {
            self.log.say_sparingly(&format!("the queue can't be written: {error}"));
        }
    }

    fn look_at_times(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        if self.network_due.is_some_and(|due| due <= now) {
            self.network_due = None;
            self.send_ourselves(TAILSCALE_DOWN);
        }
        if self.backup_due.is_some_and(|due| due <= now) {
            self.backup_due = None;
            self.send_ourselves(OVERDUE_BACKUP);
        }
    }

    pub(super) fn send_ourselves(&mut self, name: &str) {
        let message = Message { name: name.into(), text: String::new() };
        let new = New { message, action: None, door: Door::Timer, asker: None, spool: None, at: None };
        self.from_others.push(new);
    }

    fn note(&mut self, event: Event, ended: &mut Vec<u64>) {
        match event {
            Event::Said(id, said) => {
                let asker = self.queue.running_job(id).and_then(|job| job.asker);
                match said {
                    Said::Output(line) => self.clients.say(asker, &Frame::Output(line)),
                    Said::Note(note) => self.clients.say(asker, &Frame::Note(note)),
                    Said::Answer(note) => {
                        self.clients.say(asker, &Frame::Note(note.clone()));
                        self.clients.say(asker, &Frame::End(ExitCode::Done));
                        self.log.say(&format!("#{id}: {note}"));
                    }
                }
            }
            Event::Done(id, outcome) => {
                self.tell_end(id, &outcome);
                if let (Outcome::Failed(_), Some(_)) = (&outcome, self.stopping) {
                    if let Some(Job { message, door, .. }) = self.queue.running_job(id).cloned() {
                        self.undo_what_is_over(&message, door);
                    }
                }
                self.network_due = tailscale::due(&self.settings).map(|left| Instant::now() + left);
                ended.push(id);
            }
            Event::BackupDue(left) => {
                // What is due already and was just tried is not tried again at once.
                let tried = self.facts.iter().any(|(key, _)| *key == "overdue-backup");
                let least = if tried { AGAIN } else { Duration::ZERO };
                self.backup_due = left.and_then(|left| Instant::now().checked_add(left.max(least)));
                if left.is_none() {
                    self.facts.retain(|(key, _)| *key != "overdue-backup");
                }
            }
            Event::Status(facts) => {
                for (asker, json) in std::mem::take(&mut self.status_askers) {
                    for line in status::render(&facts, json) {
                        self.clients.say(Some(asker), &Frame::Output(line.into_bytes()));
                    }
                    self.clients.say(Some(asker), &Frame::End(ExitCode::Done));
                }
            }
        }
    }

    /// Tells the log, and whoever waits, how a message ended.
    fn tell_end(&mut self, id: u64, outcome: &Outcome) {
        let Some(job) = self.queue.running_job(id).cloned() else { return };
        let took = job.started.map(|at| common::units::duration(at.elapsed())).unwrap_or_default();
        let shown = short(job.message.to_string().as_bytes());
        let (code, how) = match outcome {
            Outcome::Done(None) => (ExitCode::Done, format!("done after {took}")),
            Outcome::Done(Some(what)) => (ExitCode::Done, format!("done after {took}: {what}")),
            Outcome::Failed(why) => (ExitCode::Failed, format!("failed after {took}: {why}")),
            Outcome::Unknown => (ExitCode::Unknown, "not known any more".into()),
        };
        self.log.say(&format!("#{id} {shown} ({}): {how}", job.door));
        match outcome {
            Outcome::Done(None) => {}
            Outcome::Done(Some(what)) => self.clients.say(job.asker, &Frame::Note(what.clone())),
            _ => self.clients.say(job.asker, &Frame::Note(how.clone())),
        }
        self.clients.say(job.asker, &Frame::End(code));
        let told = format!("#{id} {shown}: {how}");
        if job.message.name == OVERDUE_BACKUP {
            self.remember("overdue-backup", &how);
        }
        if job.message.name.starts_with("notify-") {
            self.remember("last-push", &told);
        } else if code == ExitCode::Done {
            self.remember("last", &told);
        } else {
            self.remember("last", &told);
            self.remember("last-failure", &told);
        }
    }

    /// Keeps something for `status`.
    pub(super) fn remember(&mut self, key: &'static str, value: &str) {
        let value = format!("{} {value}", common::units::now());
        match self.facts.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.facts.push((key, value)),
        }
    }

    /// What `status` tells without asking anybody.
    pub(super) fn facts_now(&self) -> Facts {
        use bridge::action::Lane;
        use common::text::escape_path;

        let running = self.queue.running(Lane::Actions).map(|job| {
            let since = job.started.map(|at| common::units::duration(at.elapsed())).unwrap_or_default();
            format!("#{} {} for {since}", job.id, short(job.message.to_string().as_bytes()))
        });
        let state = |door: &Option<String>| {
            let trouble = self.doors.folder_trouble.as_ref().or(door.as_ref());
            trouble.cloned().unwrap_or_else(|| "ok".into())
        };
        let in_time = |due: Option<Instant>| {
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            left.map_or("no".into(), |left| format!("in {}", common::units::duration(left)))
        };
        let mut facts: Facts = vec![
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("process", std::process::id().to_string()),
            ("since", self.since.clone()),
            ("bridge", escape_path(self.doors.folder.path())),
            ("pipe", state(&self.doors.fifo_trouble)),
            ("socket", state(&self.doors.socket_trouble)),
            ("running", running.unwrap_or_else(|| "none".into())),
            ("waiting", self.queue.waiting().to_string()),
            ("push-address", if notify::has_address(&self.settings) { "set" } else { "not set" }.into()),
            ("after-steps-due", in_time(self.backup_due)),
            ("tailscale-down-due", in_time(self.network_due)),
            ("log", escape_path(self.settings.logs_dir().join("listener.log"))),
        ];
        facts.extend(self.facts.iter().cloned());
        facts
    }
}
