//! From a line to the queue: what is answered at once, what is refused, what is written down and then run.
//!
//! No message is acknowledged before it is on disk.

use bridge::action::BuiltIn;
use bridge::exit_code::ExitCode;
use bridge::frame::Frame;
use bridge::message::{Malformed, Message};
use bridge::request::Notification;

use super::Listener;
use super::events::Start;
use super::facts::dated;
use super::timers::DISK_PAUSE;
use crate::dispatch::{Action, Refusal, look_up};
use crate::door::fifo::Taken;
use crate::door::{ClientId, Origin};
use crate::log::{Topic, short};
use crate::queue::STALE;
use crate::queue::{New, lane_of};
use crate::status;
use crate::tally::Ending;
use bridge::action::Lane;
use common::cancel::Cancel;
use common::moment::{Moment, unix_now};

impl Listener {
    /// A client has sent its line.
    pub(super) fn hear(&mut self, client: ClientId, line: &[u8]) {
        if self.timers.is_stopping() {
            self.refuse(Some(client), ExitCode::Later, "the listener stops".into());
            return;
        }
        match Message::parse(line) {
            Ok(message) => {
                let new = self.consider(message, Origin::Socket, Some(client));
                self.from_others.extend(new);
            }
            Err(why) => {
                self.report_malformed(Origin::Socket, why, line);
                self.refuse(Some(client), ExitCode::Unknown, format!("not a message: {why}"));
            }
        }
    }

    /// Looks at what came through the FIFO.
    pub(super) fn take_arrivals(&mut self) {
        for arrival in self.doors.fifo.take() {
            self.passed = self.passed.max(arrival.mark);
            let message = match arrival.line {
                Ok(message) => message,
                Err(why) => {
                    self.report_malformed(Origin::Fifo, why, &arrival.bytes);
                    continue;
                }
            };
            let at = match arrival.taken {
                Taken::Now => None,
                Taken::Before(time) => Some(Moment::at(time)),
                // A backup that is over stays over, and what is done then bears a second run.
                Taken::Unknown if message.built_in() == Some(BuiltIn::PostBackups) => None,
                Taken::Unknown => {
                    self.report_dropped(&message, "the queue is damaged, it may have run already");
                    continue;
                }
            };
            let is_old = at.as_ref().is_some_and(|at| at.age(&Moment::now()).is_none_or(|age| age > STALE));
            if is_old && message.built_in() != Some(BuiltIn::PostBackups) {
                self.report_dropped(&message, "it is older than 10 min");
                continue;
            }
            if is_stale_up(&message) {
                self.report_dropped(&message, "it is older than 10 min");
                continue;
            }
            if let Some(new) = self.consider(message, Origin::Fifo, None) {
                self.from_fifo.push(New { spool: Some(arrival.mark), at, ..new });
            }
        }
    }

    /// Returns what is to be queued, if the message is.
    fn consider(&mut self, message: Message, door: Origin, client: Option<ClientId>) -> Option<New> {
        let shown = short(message.to_string().as_bytes());
        match look_up(&message, door, &self.runner.actions(), || self.runner.trust()) {
            Ok(Action::BuiltIn(BuiltIn::Ping)) => {
                if door == Origin::Fifo {
                    self.log.sparingly(Topic::Ping, "ping (pipe)");
                }
                let pong = format!("pong {}", env!("CARGO_PKG_VERSION")).into_bytes();
                self.clients.send(client, &Frame::Output(pong));
                self.clients.send(client, &Frame::End(ExitCode::Done));
                None
            }
            Ok(Action::BuiltIn(BuiltIn::Status)) => {
                if let Some(client) = client {
                    self.ask_status(client, message.text == "json");
                }
                None
            }
            Ok(action) => {
                let waiting = self.from_fifo.iter().chain(&self.from_others);
                let coming = waiting.filter(|new| lane_of(&new.message) == lane_of(&message)).count();
                if self.queue.room(lane_of(&message)) > coming {
                    return Some(New { message, action: Some(action), door, client, spool: None, at: None });
                }
                self.log
                    .sparingly(Topic::Refused, &format!("refused, too many messages wait: {shown} ({door})"));
                self.refuse(client, ExitCode::Later, "too many messages wait already".into());
                None
            }
            Err(Refusal::Unknown) => {
                self.tally.count("unknown-name", Ending::Refused);
                self.log.sparingly(Topic::UnknownName, &format!("unknown message: {shown} ({door})"));
                // No client waits at the FIFO, and a flood must not have the folder read for each of its lines.
                if client.is_some() {
                    let known = self.known_names().join(", ");
                    let why = format!("no action has the name {}; known are: {known}", message.name);
                    self.refuse(client, ExitCode::Unknown, why);
                }
                None
            }
            Err(Refusal::Unsafe(why)) => {
                self.tally.count(&message.name, Ending::Refused);
                self.log.sparingly(Topic::Refused, &format!("refused: {shown} ({door}): {why}"));
                self.refuse(client, ExitCode::Failed, format!("not run: {why}"));
                None
            }
        }
    }

    /// Records what is new and what has ended, acknowledges what is accepted, and starts what comes next.
    pub(super) fn commit(&mut self, ended: &[u64]) {
        let fifo = self.from_fifo.len();
        let mut new = std::mem::take(&mut self.from_fifo);
        new.append(&mut self.from_others);
        let waiting_clients: Vec<_> = new.iter().map(|new| (new.client, lane_of(&new.message))).collect();
        let advanced = self.queue.advance(&mut new, ended);
        // A client that has its answer may kill this process: what it was answered is in the record by then.
        for (job, outcome) in std::mem::take(&mut self.finished) {
            self.report_end(&job, &outcome);
        }
        let advanced = match advanced {
            Ok(advanced) => advanced,
            Err(error) => {
                self.log.sparingly(Topic::Found, &format!("the queue can't be written: {error}"));
                self.timers.disk = Some(std::time::Instant::now() + DISK_PAUSE);
                // No client waits at the FIFO: what came from there is kept. A client at the socket is refused.
                let others = new.split_off(fifo);
                self.from_fifo = new;
                for client in others.into_iter().filter_map(|new| new.client) {
                    self.refuse(
                        Some(client),
                        ExitCode::Later,
                        format!("not accepted, it can't be written down: {error}"),
                    );
                }
                return;
            }
        };
        self.timers.disk = None;
        for job in advanced.started {
            let notice = self.notice(&job);
            let cancel = Cancel::new().unwrap_or_else(|_| self.runner.cancel.clone());
            self.running.insert(job.id, cancel.clone());
            // The lanes' threads live as long as the loop.
            let _ = self.lanes[job.lane() as usize].send(Start { job, cancel, notice });
        }
        self.reconsider_notices();
        // While the first of them starts, the disk gets what those who asked are about to be promised.
        if let Err(error) = self.queue.flush() {
            self.log.sparingly(
                Topic::Found,
                &format!("the queue may not survive a stop of the machine: {error}"),
            );
        }
        for ((id, ahead), (client, lane)) in advanced.accepted.into_iter().zip(waiting_clients) {
            self.clients.send(client, &Frame::Accepted(id));
            if ahead > 0 {
                self.report_waiting(client, lane, ahead);
            }
        }
    }

    fn report_waiting(&mut self, client: Option<ClientId>, lane: Lane, ahead: usize) {
        if lane == Lane::Notifications {
            self.clients.send(client, &Frame::Note("pushed after the one before it".into()));
            self.clients.send(client, &Frame::End(ExitCode::Done));
            return;
        }
        let running = self.queue.running(lane).map_or("another message", |job| job.message.name.as_str());
        let note = match ahead {
            1 => format!("waits for its turn: {running} runs"),
            _ => format!("waits for its turn: {running} runs, {} more before it", ahead - 1),
        };
        self.clients.send(client, &Frame::Note(note));
    }

    pub(super) fn refuse(&mut self, client: Option<ClientId>, code: ExitCode, why: String) {
        self.clients.send(client, &Frame::Note(why));
        self.clients.send(client, &Frame::End(code));
    }

    fn report_malformed(&mut self, door: Origin, why: Malformed, line: &[u8]) {
        let shown = short(line);
        let colon = if shown.is_empty() { "" } else { ": " };
        self.tally.count("not-a-message", Ending::Refused);
        self.log.sparingly(Topic::NotAMessage, &format!("not a message ({door}): {why}{colon}{shown}"));
    }

    /// What an earlier listener took from the FIFO and will not run.
    fn report_dropped(&mut self, message: &Message, why: &str) {
        let shown = short(message.to_string().as_bytes());
        self.log.event(&format!("{shown} (pipe): dropped: {why}"));
        self.facts.last_lost = dated(&format!("{shown}: dropped: {why}"));
    }

    fn known_names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.runner.actions())
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| bridge::message::is_name(name) && BuiltIn::named(name).is_none())
            .take(50)
            .collect();
        names.sort();
        BuiltIn::ALL.into_iter().map(|action| action.name().to_string()).chain(names).collect()
    }

    fn ask_status(&mut self, client: ClientId, json: bool) {
        self.status_clients.push((client, json));
        if self.status_clients.len() > 1 {
            // It is under way. Who has left meanwhile needs no place.
            let clients = &self.clients;
            self.status_clients.retain(|&(client, _)| clients.is_there(client));
            return;
        }
        let (runner, events, facts) = (self.runner.clone(), self.events.clone(), self.status_now());
        std::thread::spawn(move || {
            events.send(super::Event::Status(Box::new(status::complete(&runner, facts))));
        });
    }
}

/// Whether it is a `notify-up` that was left in the FIFO so early that another backup may be due by now. A FIFO does
/// not record when it was written to, and the keeper's ten minutes pass only while the machine is awake.
fn is_stale_up(message: &Message) -> bool {
    let sent =
        (message.built_in() == Some(BuiltIn::NotifyUp)).then(|| Notification::parse(&message.text).sent);
    let now = u64::try_from(unix_now()).unwrap_or_default();
    sent.flatten().is_some_and(|sent| now.saturating_sub(sent) > STALE.as_secs())
}
