//! What follows from the end of a message around a backup: undoing a preparation, and pushing what no hook would.
//!
//! Before Backrest 1.11 a start hook that fails fires no other hook, and one that was killed fires none in any version.
//! So the listener pushes every preparation that failed or whose end no client heard. What a reader would get wrong: a
//! preparation is undone early only if its message is marked: its failure cancels the backup. Any other backup may go on
//! and needs what was prepared.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bridge::action::{BuiltIn, Lane};
use bridge::frame::Frame;
use bridge::message::{Message, line_of};
use bridge::request::{Notification, Preparation};
use common::contract::push::State;
use common::contract::trouble::Trouble;
use common::moment::unix_now;
use common::settings::Settings;

use super::Listener;
use super::timers::RESTART;
use crate::dispatch::OwnMessage;
use crate::door::Origin;
use crate::log::short;
use crate::queue::{Job, New};
use crate::reply::Gone;
use crate::run::{Outcome, container};

/// Hooks of one event that both send `post-backups` do so within this time.
const TOGETHER: Duration = Duration::from_secs(15);

/// What is known about preparations.
#[derive(Debug, Default)]
pub(super) struct Backups {
    /// Messages whose client went away while they waited or ran.
    unheard: BTreeSet<u64>,
    /// The last preparation of each key, "" for none, unless it failed: when it was undone, and by which message. `None`
    /// while its backup may be running.
    preparations: BTreeMap<String, Option<(Instant, u64)>>,
    /// When the last of what is prepared now was prepared, in seconds since 1970.
    pub(super) since: Option<i64>,
    /// Services that are stopped because their after step failed.
    down: BTreeSet<String>,
}

impl Backups {
    /// What an earlier listener left.
    pub(super) fn load(settings: &Settings) -> Backups {
        // If it can't be read, each push reports that.
        let trouble = Trouble::load(&settings.layout().actions_trouble()).unwrap_or_default();
        Backups { down: down(&trouble), ..Backups::default() }
    }
}

fn down(trouble: &Trouble) -> BTreeSet<String> {
    trouble.down.iter().map(|down| down.service.clone()).collect()
}

/// What a message asks to be prepared or undone; `None` for any other message.
fn request_of(message: &Message) -> Option<(BuiltIn, Preparation)> {
    let action = message.built_in()?;
    matches!(action, BuiltIn::PreBackups | BuiltIn::PostBackups)
        .then(|| (action, Preparation::parse(&message.text).unwrap_or_default()))
}

/// Whether the backup of `message` is cancelled if it fails.
pub(super) fn failure_cancels(message: &Message, door: Origin) -> bool {
    let request = request_of(message).filter(|(action, _)| *action == BuiltIn::PreBackups);
    door == Origin::Socket && request.is_some_and(|(_, request)| request.failure_cancels)
}

impl Listener {
    /// A client that waited for its message has closed the connection. Returns the message if it is over by that.
    pub(super) fn client_gone(&mut self, gone: Gone) -> Option<u64> {
        let (id, is_running, message, door) = {
            let job = self.queue.job_of(gone.client)?;
            (job.id, job.started.is_some(), job.message.clone(), job.door)
        };
        let (action, _) = request_of(&message)?;
        let cancels = failure_cancels(&message, door);
        if action != BuiltIn::PreBackups || !cancels && !gone.waited {
            return None;
        }
        self.backups.unheard.insert(id);
        let shown = short(message.to_string().as_bytes());
        if !cancels {
            self.log.event(&format!("#{id} {shown}: its client went away; its backup may go on"));
            return None;
        }
        if is_running {
            self.log.event(&format!("#{id} {shown}: its client went away: it is stopped and undone"));
            if let Some(cancel) = self.running.get(&id) {
                cancel.cancel();
            }
            return None;
        }
        self.log.event(&format!("#{id} {shown}: its client went away before it ran: it is not run"));
        self.push_failed_preparation(&message, "Backrest went away before it ran");
        self.backups.unheard.remove(&id);
        Some(id)
    }

    /// A message ended: undoes and pushes what has to be.
    pub(super) fn after_end(&mut self, job: &Job, outcome: &Outcome) {
        let is_unheard = self.backups.unheard.remove(&job.id);
        let why = match outcome {
            Outcome::Failed(failure) => Some(failure.why.as_str()),
            Outcome::Done(_) | Outcome::Unknown => None,
        };
        if let Some((action, request)) = request_of(&job.message) {
            let key = request.key.clone().unwrap_or_default();
            match action {
                BuiltIn::PreBackups => self.preparation_ended(job, &key, why, is_unheard),
                _ if why.is_some() && self.timers.is_stopping() => self.undo(request.key),
                _ if why.is_none() => self.undone(job, &key),
                _ => {}
            }
        }
        let is_network = job.message.built_in() == Some(BuiltIn::StartTailscale);
        if let Some(why) = why.filter(|_| is_network && job.door == Origin::Socket) {
            // A start hook that fails here may fire no other hook.
            self.push_failure_to_prepare(None, &format!("start-tailscale failed: {why}"));
        }
        if OwnMessage::of(&job.message, job.door) == Some(OwnMessage::OverdueBackup) {
            let how = why.map_or("they ran now".to_string(), |why| format!("they failed: {why}"));
            self.push(
                State::Down,
                None,
                &format!("no post-backups came, so the after steps were overdue: {how}"),
            );
        }
        self.compare_down();
    }

    fn preparation_ended(&mut self, job: &Job, key: &str, why: Option<&str>, is_unheard: bool) {
        let undoes = (why.is_some() || is_unheard) && failure_cancels(&job.message, job.door);
        if undoes {
            self.backups.preparations.remove(key);
        } else {
            self.backups.preparations.insert(key.to_string(), None);
        }
        match why {
            Some(_) if is_unheard && undoes => {
                self.push_failed_preparation(&job.message, "Backrest went away while it ran");
            }
            Some(why) => self.push_failed_preparation(&job.message, why),
            None if is_unheard => {
                self.push_failed_preparation(&job.message, "it is done, but Backrest went away while it ran");
            }
            None => {}
        }
        if undoes {
            // It is named in the push of its failure.
            self.names_preparation(
                request_of(&job.message).and_then(|(_, request)| request.plan()),
                Instant::now(),
            );
            self.undo(request_of(&job.message).and_then(|(_, request)| request.key));
        }
    }

    /// A `post-backups` is done. If another one came before it, that one may have come in the middle of the backup.
    fn undone(&mut self, job: &Job, key: &str) {
        let is_of_key = |known: &str| key.is_empty() || known == key;
        let mut early = None;
        for (_, undone) in self.backups.preparations.iter_mut().filter(|(known, _)| is_of_key(known)) {
            match undone {
                None => *undone = Some((Instant::now(), job.id)),
                Some((at, by)) if job.door != Origin::Timer && at.elapsed() > TOGETHER => {
                    early = Some((*by, at.elapsed()));
                    *at = Instant::now();
                }
                Some(_) => {}
            }
        }
        if let Some((by, ago)) = early {
            let ago = common::units::duration(ago);
            let note = format!(
                "#{by} undid this preparation {ago} ago: if the backup was still running then, it holds files of \
                 services that were running"
            );
            self.log.event(&format!("#{} post-backups: {note}", job.id));
            self.clients.send(job.client, &Frame::Note(note.clone()));
            let plan = request_of(&job.message).and_then(|(_, request)| request.plan());
            self.push(State::Down, plan, &format!("post-backups came twice: {note}"));
        }
    }

    /// Looks whether Backrest was restarted since the last preparation, now and again after a while. On a thread of its
    /// own: Docker may take its time.
    pub(super) fn look_for_restart(&mut self) {
        self.timers.restart = self.backups.since.map(|_| Instant::now() + RESTART);
        let is_busy = self.queue.running(Lane::Actions).is_some_and(|job| request_of(&job.message).is_some());
        let Some(since) = self.backups.since.filter(|_| !is_busy) else { return };
        let (runner, events) = (self.runner.clone(), self.events.clone());
        std::thread::spawn(move || {
            if container::restarted_since(&runner, since) {
                events.send(super::Event::Restarted);
            }
        });
    }

    /// Backrest was restarted, so no backup is running any more.
    pub(super) fn backrest_restarted(&mut self) {
        if self.backups.since.take().is_none() {
            return;
        }
        self.log.event("Backrest was restarted since the last preparation: it is undone");
        self.push(State::Down, None, "Backrest was restarted before its backup was over");
        self.undo(None);
    }

    /// Runs the after steps of the preparation with this key, or all.
    pub(super) fn undo(&mut self, key: Option<String>) {
        let request = Preparation { key, ..Preparation::default() };
        self.send_ourselves(BuiltIn::PostBackups.name(), &request.to_text());
    }

    /// Pushes that a `pre-backups` failed, because of `why` or what its services report.
    pub(super) fn push_failed_preparation(&mut self, message: &Message, why: &str) {
        let request = request_of(message).map(|(_, request)| request).unwrap_or_default();
        let trouble = Trouble::load(&self.settings.layout().actions_trouble()).unwrap_or_default();
        let failed = trouble.preparations.get(request.key.as_deref().unwrap_or_default());
        let failed = failed.filter(|failed| failed.is_failure && self.backups.is_new(failed.at));
        let why = failed.map_or(why, |failed| failed.summary.as_str());
        self.push_failure_to_prepare(request.plan(), &format!("preparing the backup failed: {why}"));
    }

    fn push_failure_to_prepare(&mut self, plan: Option<String>, text: &str) {
        let text = text.to_string();
        let request = Notification { preparation_failed: true, text, ..Notification::default() };
        self.push_to_monitors(State::Down, plan, &request);
    }

    /// Pushes each service that is stopped because its after step failed, at once, and its return.
    fn compare_down(&mut self) {
        let now = match Trouble::load(&self.settings.layout().actions_trouble()) {
            Ok(trouble) => down(&trouble),
            Err(error) => {
                self.log.event(&common::exit::one_line(&error));
                return;
            }
        };
        let before = std::mem::replace(&mut self.backups.down, now.clone());
        let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
        let (new, back) =
            (names(now.difference(&before).collect()), names(before.difference(&now).collect()));
        if !new.is_empty() {
            // Which services are stopped is added to every push.
            self.push(State::Down, None, "");
        } else if !back.is_empty() {
            self.push(State::Up, None, &format!("brought back: {back}"));
        }
    }

    fn push(&mut self, state: State, plan: Option<String>, text: &str) {
        let request = Notification { text: text.to_string(), ..Notification::default() };
        self.push_to_monitors(state, plan, &request);
    }

    /// Pushes to the monitor of `plan`, or to the common one, or if there is none to those of all plans.
    fn push_to_monitors(&mut self, state: State, plan: Option<String>, request: &Notification) {
        let Ok(settings) = self.settings.again() else { return };
        let name = match state {
            State::Up => BuiltIn::NotifyUp.name(),
            State::Down => BuiltIn::NotifyDown.name(),
        };
        let plans = match settings.push_address(plan.as_deref()) {
            Some(_) => vec![plan],
            None => settings.push_settings().iter().map(|name| common::settings::plan_of(name)).collect(),
        };
        for plan in plans {
            let plan = plan.as_deref().map(bridge::request::encode);
            let request = Notification { plan, ..request.clone() };
            let line = line_of(name, &request.to_text());
            let text = line.strip_prefix(name).unwrap_or_default().trim().to_string();
            self.send_ourselves(name, &text);
        }
    }

    /// Queues a message of the listener's own.
    pub(super) fn send_ourselves(&mut self, name: &str, text: &str) {
        let message = Message { name: name.into(), text: text.into() };
        let new = New { message, action: None, door: Origin::Timer, client: None, spool: None, at: None };
        self.from_others.push(new);
    }
}

impl Backups {
    /// Whether something that ended at `at` belongs to a message that ended just now.
    fn is_new(&self, at: i64) -> bool {
        unix_now().abs_diff(at) < 60
    }
}
