//! What follows from the end of a message around a backup: undoing a preparation, and pushing what no hook would.
//!
//! Before Backrest 1.11 a start hook that fails fires no other hook, and one that was killed fires none in any version.
//! So the listener pushes every preparation that failed or whose end no client heard. What a reader would get wrong: a
//! preparation is undone early only if its message is marked: its failure cancels the backup. Any other backup may go on
//! and needs what was prepared.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bridge::action::BuiltIn;
use bridge::message::{Message, line_of};
use bridge::request::{Notification, Preparation};
use common::contract::push::State;
use common::contract::trouble::Trouble;
use common::moment::unix_now;
use common::settings::Settings;

use crate::dispatch::OwnMessage;
use crate::door::Origin;
use crate::log::{Log, short};
use crate::queue::Job;
use crate::run::{Outcome, alarm, prepare};

/// Hooks of one event that both send `post-backups` do so within this time.
const TOGETHER: Duration = Duration::from_secs(15);
/// Two messages about one failure come within this time.
pub(super) const ONE_FAILURE: Duration = Duration::from_secs(120);

/// What is known about preparations, and what the listener has to send to itself because of them.
#[derive(Debug)]
pub(super) struct Backups {
    settings: Settings,
    /// Messages whose client went away while they waited or ran.
    unheard: BTreeSet<u64>,
    /// The last preparation of each key, "" for none, unless it failed: when it was undone, and by which message. `None`
    /// while its backup may be running.
    preparations: BTreeMap<String, Option<(Instant, u64)>>,
    /// When the last of what is prepared now was prepared, in seconds since 1970.
    since: Option<i64>,
    /// Why it can't be found out what is prepared now.
    unknown: Option<String>,
    /// Services that are stopped because their after step failed.
    down: BTreeSet<String>,
    /// Of each plan, and of what has none, the preparation that was named in a push: when it ended, and when it was named.
    named: BTreeMap<Option<String>, (i64, Instant)>,
    messages: Vec<Message>,
}

/// What a message asks to be prepared or undone; `None` for any other message.
fn request_of(message: &Message) -> Option<(BuiltIn, Preparation)> {
    let action = message.built_in()?;
    matches!(action, BuiltIn::PreBackups | BuiltIn::PostBackups)
        .then(|| (action, Preparation::parse(&message.text).unwrap_or_default()))
}

/// Whether a message prepares or undoes something.
pub(super) fn is_about_preparation(message: &Message) -> bool {
    request_of(message).is_some()
}

/// Whether the backup of `message` is cancelled if it fails.
pub(super) fn failure_cancels(message: &Message, door: Origin) -> bool {
    let request = request_of(message).filter(|(action, _)| *action == BuiltIn::PreBackups);
    door == Origin::Socket && request.is_some_and(|(_, request)| request.failure_cancels)
}

impl Backups {
    /// What an earlier listener left.
    pub(super) fn load(settings: &Settings) -> Backups {
        let mut backups = Backups {
            settings: settings.clone(),
            unheard: BTreeSet::new(),
            preparations: BTreeMap::new(),
            since: None,
            unknown: None,
            down: BTreeSet::new(),
            named: BTreeMap::new(),
            messages: Vec::new(),
        };
        // If it can't be read, each push reports that.
        backups.down = down(&backups.trouble().unwrap_or_default());
        backups
    }

    pub(super) fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    pub(super) fn since(&self) -> Option<i64> {
        self.since
    }

    fn trouble(&self) -> anyhow::Result<Trouble> {
        Trouble::load(&self.settings.layout().actions_trouble())
    }

    pub(super) fn set_prepared(&mut self, open: Option<prepare::Open>, log: &mut Log) {
        let (since, unknown) = open.map(|open| (open.since, open.unknown)).unwrap_or_default();
        if let Some(why) = unknown.as_ref().filter(|_| self.unknown != unknown) {
            log.event(why);
        }
        (self.since, self.unknown) = (since, unknown);
    }

    /// A client that waited for this message has closed the connection; it wanted to know the end if it `waited`.
    /// `stop` stops its action. Returns whether the message is over by that.
    pub(super) fn client_gone(&mut self, job: &Job, waited: bool, stop: impl Fn(), log: &mut Log) -> bool {
        let is_preparation = job.message.built_in() == Some(BuiltIn::PreBackups);
        let cancels = failure_cancels(&job.message, job.door);
        if !is_preparation || !cancels && !waited {
            return false;
        }
        let is_over = cancels && job.started.is_none();
        let what = match cancels {
            false => "; its backup may go on",
            true if is_over => " before it ran: it is not run",
            true => ": it is stopped and undone",
        };
        let shown = short(job.message.to_string().as_bytes());
        log.event(&format!("#{} {shown}: its client went away{what}", job.id));
        if is_over {
            self.push_failed_preparation(&job.message, "Backrest went away before it ran");
            return true;
        }
        self.unheard.insert(job.id);
        if cancels {
            stop();
        }
        false
    }

    /// A message ended: undoes and pushes what has to be. Returns a note for its client.
    pub(super) fn after_end(
        &mut self,
        job: &Job,
        outcome: &Outcome,
        is_stopping: bool,
        log: &mut Log,
    ) -> Option<String> {
        let is_unheard = self.unheard.remove(&job.id);
        let why = match outcome {
            Outcome::Failed(failure) => Some(failure.why.as_str()),
            Outcome::Done(_) | Outcome::Unknown => None,
        };
        let mut note = None;
        match (request_of(&job.message), why) {
            (Some((BuiltIn::PreBackups, request)), _) => self.prepared(job, request, why, is_unheard),
            (Some((_, request)), Some(_)) if is_stopping => self.undo(request.key),
            (Some((_, request)), None) => note = self.undone(job, &request, log),
            _ => {}
        }
        let is_network = job.message.built_in() == Some(BuiltIn::StartTailscale);
        if let Some(why) = why.filter(|_| is_network && job.door == Origin::Socket) {
            // A start hook that fails here may fire no other hook.
            self.push_failure_to_prepare(None, format!("start-tailscale failed: {why}"));
        }
        if OwnMessage::of(&job.message, job.door) == Some(OwnMessage::OverdueBackup) {
            let how = why.map_or("they ran now".to_string(), |why| format!("they failed: {why}"));
            self.push(
                State::Down,
                None,
                format!("no post-backups came, so the after steps were overdue: {how}"),
            );
        }
        self.compare_down(log);
        note
    }

    fn prepared(&mut self, job: &Job, request: Preparation, why: Option<&str>, is_unheard: bool) {
        let undoes = (why.is_some() || is_unheard) && failure_cancels(&job.message, job.door);
        let key = request.key.clone().unwrap_or_default();
        if undoes {
            self.preparations.remove(&key);
        } else {
            self.preparations.insert(key, None);
        }
        let why = match why {
            Some(_) if is_unheard && undoes => Some("Backrest went away while it ran"),
            None if is_unheard => Some("it is done, but Backrest went away while it ran"),
            why => why,
        };
        if let Some(why) = why {
            self.push_failed_preparation(&job.message, why);
        }
        if undoes {
            // It is named in the push of its failure.
            self.names_preparation(request.plan(), Instant::now());
            self.undo(request.key);
        }
    }

    /// A `post-backups` is done. If another one came before it, that one may have come in the middle of the backup.
    fn undone(&mut self, job: &Job, request: &Preparation, log: &mut Log) -> Option<String> {
        let mut early = None;
        for (known, undone) in &mut self.preparations {
            match undone {
                _ if request.key.as_ref().is_some_and(|key| key != known) => {}
                None => *undone = Some((Instant::now(), job.id)),
                Some((at, by)) if job.door != Origin::Timer && at.elapsed() > TOGETHER => {
                    early = Some((*by, at.elapsed()));
                    *at = Instant::now();
                }
                Some(_) => {}
            }
        }
        let (by, ago) = early?;
        let note = format!(
            "#{by} undid this preparation {} ago: if the backup was still running then, it holds files of services \
             that were running",
            common::units::duration(ago)
        );
        log.event(&format!("#{} post-backups: {note}", job.id));
        self.push(State::Down, request.plan(), format!("post-backups came twice: {note}"));
        Some(note)
    }

    /// Backrest was restarted, so no backup is running any more.
    pub(super) fn restarted(&mut self, log: &mut Log) {
        if self.since.take().is_some() {
            log.event("Backrest was restarted since the last preparation: it is undone");
            self.push(State::Down, None, "Backrest was restarted before its backup was over".into());
            self.undo(None);
        }
    }

    /// Runs the after steps of the preparation with this key, or all.
    pub(super) fn undo(&mut self, key: Option<String>) {
        let text = Preparation { key, ..Preparation::default() }.to_text();
        self.messages.push(Message { name: BuiltIn::PostBackups.name().into(), text });
    }

    /// Whether the plan's last preparation was that of the backup that is reported. Some tasks are reported that had none: so
    /// it is named once, and again in what is reported together with that. A message without a plan may be about
    /// anything.
    pub(super) fn names_preparation(&mut self, plan: Option<String>, now: Instant) -> bool {
        let trouble = self.trouble().unwrap_or_default();
        let Some(preparation) = alarm::of_preparation(&trouble, plan.as_deref()) else { return false };
        match self.named.get(&plan) {
            Some((known, named)) if *known == preparation.at => {
                plan.is_some() && now.saturating_duration_since(*named) < ONE_FAILURE
            }
            _ => {
                self.named.insert(plan, (preparation.at, now));
                true
            }
        }
    }

    /// Pushes that a `pre-backups` failed, because of `why` or what its services report.
    pub(super) fn push_failed_preparation(&mut self, message: &Message, why: &str) {
        let request = request_of(message).map(|(_, request)| request).unwrap_or_default();
        let trouble = self.trouble().unwrap_or_default();
        let failed = trouble.preparations.get(request.key.as_deref().unwrap_or_default());
        // It belongs to a message that ended just now.
        let failed = failed.filter(|failed| failed.is_failure && unix_now().abs_diff(failed.at) < 60);
        let why = failed.map_or(why, |failed| failed.summary.as_str());
        self.push_failure_to_prepare(request.plan(), format!("preparing the backup failed: {why}"));
    }

    /// Pushes each service that is stopped because its after step failed, at once, and its return.
    fn compare_down(&mut self, log: &mut Log) {
        let now = match self.trouble() {
            Ok(trouble) => down(&trouble),
            Err(error) => return log.event(&common::exit::one_line(&error)),
        };
        let before = std::mem::replace(&mut self.down, now);
        let back: Vec<_> = before.difference(&self.down).map(String::as_str).collect();
        if !self.down.is_subset(&before) {
            // Which services are stopped is added to every push.
            self.push(State::Down, None, String::new());
        } else if !back.is_empty() {
            self.push(State::Up, None, format!("brought back: {}", back.join(", ")));
        }
    }

    fn push_failure_to_prepare(&mut self, plan: Option<String>, text: String) {
        let request = Notification { preparation_failed: true, text, ..Notification::default() };
        self.push_to_monitors(State::Down, plan, &request);
    }

    fn push(&mut self, state: State, plan: Option<String>, text: String) {
        self.push_to_monitors(state, plan, &Notification { text, ..Notification::default() });
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
            self.messages.push(Message { name: name.into(), text });
        }
    }
}

fn down(trouble: &Trouble) -> BTreeSet<String> {
    trouble.down.iter().map(|down| down.service.clone()).collect()
}
