//! From a line to the queue: what is answered at once, what is refused, what is written down and then run.
//!
//! No message is acknowledged before it is on disk.

use std::thread;
use std::time::Duration;

use bridge::action::BuiltIn;
use bridge::exit_code::ExitCode;
use bridge::frame::Frame;
use bridge::message::{Malformed, Message};
use bridge::request::Notification;

use super::Listener;
use super::events::Event;
use super::facts::Fact;
use super::timers::Timer;
use crate::dispatch::{Action, Refusal, known_names, look_up};
use crate::door::fifo::Taken;
use crate::door::{ClientId, Origin};
use crate::log::{Topic, short};
use crate::queue::{Job, STALE};
use crate::run::{Outcome, notify};
use crate::status::{self, ListenerStatus};
use crate::tally::Ending;
use bridge::action::Lane;
use common::moment::{Moment, unix_now};
use common::text::escape_path;
use common::units;

/// What could not be written is tried again after this time.
const DISK_PAUSE: Duration = Duration::from_secs(5);

impl Listener {
    pub(super) fn hear(&mut self, client: ClientId, line: &[u8]) {
        if self.timers.is_set(Timer::Stop) {
            self.clients.finish(Some(client), ExitCode::Later, "the listener stops");
            return;
        }
        match Message::parse(line) {
            Ok(message) => self.consider(Job { client: Some(client), ..Job::new(message, Origin::Socket) }),
            Err(why) => {
                self.report_malformed(Origin::Socket, why, line);
                self.clients.finish(Some(client), ExitCode::Unknown, &format!("not a message: {why}"));
            }
        }
    }

    pub(super) fn take_arrivals(&mut self) {
        for arrival in self.doors.fifo.take() {
            self.queue.pass(arrival.mark);
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
            let age = at.as_ref().map(|at| at.age(&Moment::now()));
            let is_old = age.is_some_and(|age| age.is_none_or(|age| age > STALE))
                && message.built_in() != Some(BuiltIn::PostBackups);
            if is_old || is_stale_up(&message) {
                self.report_dropped(&message, "it is older than 10 min");
                continue;
            }
            self.consider(Job { spool: Some(arrival.mark), at, ..Job::new(message, Origin::Fifo) });
        }
    }

    /// Answers or refuses a message at once, or takes it to be queued.
    fn consider(&mut self, job: Job) {
        let (door, client, message) = (job.door, job.client, &job.message);
        let shown = short(message.to_string().as_bytes());
        match look_up(message, door, &self.runner.actions(), || self.runner.trust()) {
            Ok(Action::BuiltIn(BuiltIn::Ping)) => {
                if door == Origin::Fifo {
                    self.log.sparingly(Topic::Message(message.name.clone()), "ping (pipe)");
                }
                let pong = format!("pong {}", env!("CARGO_PKG_VERSION")).into_bytes();
                self.clients.send(client, &Frame::Output(pong));
                self.clients.finish(client, ExitCode::Done, "");
            }
            Ok(Action::BuiltIn(BuiltIn::Status)) => {
                if let Some(client) = client {
                    self.ask_status(client, message.text == "json");
                }
            }
            Ok(action) => {
                if !self.queue.add(Job { action: Some(action), ..job }) {
                    let event = format!("refused, too many messages wait: {shown} ({door})");
                    self.log.sparingly(Topic::Refused, &event);
                    self.clients.finish(client, ExitCode::Later, "too many messages wait already");
                }
            }
            Err(Refusal::Unknown) => {
                let event = format!("unknown message: {shown} ({door})");
                self.log.count("unknown-name", Ending::Refused, Topic::UnknownName, &event);
                // No client waits at the FIFO, and a flood must not have the folder read for each of its lines.
                if client.is_some() {
                    let known = known_names(&self.runner.actions()).join(", ");
                    let why = format!("no action has the name {}; known are: {known}", message.name);
                    self.clients.finish(client, ExitCode::Unknown, &why);
                }
            }
            Err(Refusal::Unsafe(why)) => {
                let event = format!("refused: {shown} ({door}): {why}");
                self.log.count(&message.name, Ending::Refused, Topic::Refused, &event);
                self.clients.finish(client, ExitCode::Failed, &format!("not run: {why}"));
            }
        }
    }

    /// Takes what the listener has to send to itself.
    pub(super) fn take_own(&mut self) {
        for message in self.backups.take_messages() {
            self.queue.add(Job::new(message, Origin::Timer));
        }
    }

    /// Records what is new and what has ended, acknowledges what is accepted, and starts what comes next. What has
    /// `finished` is reported then.
    pub(super) fn commit(&mut self, ended: &[u64], finished: Vec<(Job, Outcome)>) {
        self.take_own();
        let advanced = self.queue.advance(ended);
        // A client that has its answer may kill this process: what it was answered is in the record by then.
        for (job, outcome) in finished {
            self.report_end(&job, &outcome);
        }
        let advanced = match advanced {
            Ok(advanced) => advanced,
            Err((error, refused)) => {
                self.log.found(&format!("the queue can't be written: {error}"));
                self.timers.set(Timer::Disk, Some(DISK_PAUSE));
                for client in refused {
                    let why = format!("not accepted, it can't be written down: {error}");
                    self.clients.finish(Some(client), ExitCode::Later, &why);
                }
                return;
            }
        };
        self.timers.set(Timer::Disk, None);
        for mut job in advanced.started {
            let settings = &self.runner.settings;
            let notice = self.notices.notice(&mut job, &self.queue, &mut self.backups, settings);
            self.lanes.start(job, notice, &self.runner.cancel);
        }
        if let Some(superseded) = self.notices.reconsider(&self.queue, &self.runner.settings) {
            self.lanes.stop(superseded);
        }
        // While the first of them starts, the disk gets what those who asked are about to be promised.
        if let Err(error) = self.queue.flush() {
            self.log.found(&format!("the queue may not survive a stop of the machine: {error}"));
        }
        for job in advanced.accepted.into_iter().filter_map(|id| self.queue.job(id)) {
            self.clients.send(job.client, &Frame::Accepted(job.id));
            let lane = job.lane();
            let running = self.queue.running(lane).map_or("another message", |job| &job.message.name);
            let note = match self.queue.ahead(job) {
                0 => continue,
                _ if lane == Lane::Notifications => {
                    self.clients.finish(job.client, ExitCode::Done, "pushed after the one before it");
                    continue;
                }
                1 => format!("waits for its turn: {running} runs"),
                ahead => format!("waits for its turn: {running} runs, {} more before it", ahead - 1),
            };
            self.clients.send(job.client, &Frame::Note(note));
        }
    }

    fn report_malformed(&mut self, door: Origin, why: Malformed, line: &[u8]) {
        let shown = short(line);
        let colon = if shown.is_empty() { "" } else { ": " };
        let event = format!("not a message ({door}): {why}{colon}{shown}");
        self.log.count("not-a-message", Ending::Refused, Topic::NotAMessage, &event);
    }

    /// What an earlier listener took from the FIFO and will not run.
    fn report_dropped(&mut self, message: &Message, why: &str) {
        let shown = short(message.to_string().as_bytes());
        self.log.event(&format!("{shown} (pipe): dropped: {why}"));
        self.facts.note(Fact::LastLost, &format!("{shown}: dropped: {why}"));
    }

    fn ask_status(&mut self, client: ClientId, json: bool) {
        if self.facts.ask(client, json, &self.clients) {
            let (runner, events, status) = (self.runner.clone(), self.inbox.events(), self.status_now());
            let known = status.clone();
            let started = thread::Builder::new().spawn(move || {
                events.send(Event::Status(Box::new(status::complete(&runner, status))));
            });
            if started.is_err() {
                self.inbox.events().send(Event::Status(Box::new(known)));
            }
        }
    }

    /// What `status` reports without asking any other program.
    fn status_now(&self) -> ListenerStatus {
        let running = self.queue.running(Lane::Actions).map(|job| {
            let since = job.started.map(|at| units::duration(at.elapsed())).unwrap_or_default();
            format!("#{} {} for {since}", job.id, short(job.message.to_string().as_bytes()))
        });
        let in_time = |timer| {
            let left = self.timers.left(timer);
            left.map_or("no".into(), |left| format!("in {}", units::duration(left)))
        };
        let [pipe, socket] = self.doors.states();
        let settings = &self.runner.settings;
        let pairs = [
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("process", std::process::id().to_string()),
            ("since", self.facts.since().into()),
            ("bridge", escape_path(self.doors.path())),
            ("pipe", pipe),
            ("socket", socket),
            ("running", running.unwrap_or_else(|| "none".into())),
            ("waiting", self.queue.waiting().to_string()),
            ("push-address", if notify::has_address(settings) { "set".into() } else { "not set".into() }),
            ("after-steps-due", in_time(Timer::Backup)),
            ("tailscale-down-due", in_time(Timer::Network)),
            ("log", escape_path(settings.layout().listener_log())),
        ];
        let all = pairs.into_iter().chain(self.facts.pairs());
        all.map(|(name, text)| (name.to_string(), text.into())).collect()
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
