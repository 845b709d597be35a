//! Which notifications are pushed, and when: every `down`, and of the `up`s the newest.
//!
//! The other end can send notifications without end. An `up` that is followed by a newer message to the same monitor is
//! not pushed, and no more than [`MOST_UPS`] are pushed a minute. A failure that was pushed already is not pushed twice,
//! and no `up` follows it before another backup is prepared.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bridge::action::{BuiltIn, Lane};
use bridge::message::Message;
use bridge::request::Notification;
use common::cancel::Cancel;
use common::settings::Settings;

use super::backups::{Backups, ONE_FAILURE};
use crate::door::Origin;
use crate::queue::{Job, Queue};
use crate::run::notify::FOLLOWED;

/// How many `up`s are pushed in a [`SPAN`].
const MOST_UPS: usize = 6;
const SPAN: Duration = Duration::from_secs(60);
/// The hooks of one backup's end fire within this time of each other. A push takes ten seconds at most until a hook goes on.
const ONE_END: Duration = Duration::from_secs(30);
/// At most this number of failures is remembered: the other end can report failures without end.
const MOST_FAILURES: usize = 100;

/// What becomes of a notification.
#[derive(Debug)]
pub(super) enum Notice {
    /// It is pushed now.
    Now,
    /// It is pushed at that time, or earlier if the flag is up, or not if its action is stopped.
    At(Instant, Cancel),
    /// It is not pushed, because of this.
    Not(&'static str),
}

#[derive(Debug, Default)]
pub(super) struct Notices {
    ups: VecDeque<Instant>,
    failures: Vec<ReportedFailure>,
    /// The last `pre-backups`: what was reported before it is about another backup.
    preparation: u64,
    delayed: Option<Delayed>,
}

/// The `up` that waits for its time.
#[derive(Debug)]
struct Delayed {
    /// The number of its message.
    id: u64,
    monitor: String,
    until: Instant,
    /// Ends the wait.
    hurry: Cancel,
}

#[derive(Debug)]
struct ReportedFailure {
    /// The message that reported it.
    id: u64,
    plan: Option<String>,
    /// `None` for a failed preparation: the next report about its backup is the same failure.
    text: Option<String>,
    at: Instant,
}

/// The state that a message reports; `None` if it is not a notification.
fn reports_up(message: &Message) -> Option<bool> {
    match message.built_in()? {
        BuiltIn::NotifyUp => Some(true),
        BuiltIn::NotifyDown => Some(false),
        _ => None,
    }
}

/// Which monitor a notification is for: the name of the setting with its address.
fn monitor(settings: &Settings, request: &Notification) -> String {
    settings.push_address(request.plan().as_deref()).map(|(name, _)| name).unwrap_or_default()
}

/// Whether a newer notification for this monitor waits.
fn is_followed(queue: &Queue, settings: &Settings, own: &str) -> bool {
    queue.waiting_in(Lane::Notifications).any(|next| {
        reports_up(&next.message).is_some()
            && monitor(settings, &Notification::parse(&next.message.text)) == own
    })
}

impl Notices {
    /// What becomes of a message that was just started.
    pub(super) fn notice(
        &mut self,
        job: &mut Job,
        queue: &Queue,
        backups: &mut Backups,
        settings: &Settings,
    ) -> Notice {
        if job.message.built_in() == Some(BuiltIn::PreBackups) {
            self.preparation = self.preparation.max(job.id);
        }
        let Some(is_up) = reports_up(&job.message) else { return Notice::Now };
        let Ok(settings) = settings.again() else { return Notice::Now };
        let request = Notification::parse(&job.message.text);
        let own = monitor(&settings, &request);
        let now = Instant::now();
        if is_up {
            if job.door != Origin::Timer && self.contradicts(&request, now) {
                return Notice::Not("not pushed: this backup was reported as failed");
            }
            // A monitor that is up again has to see the next failure, whatever its words.
            self.failures.clear();
            if is_followed(queue, &settings, &own) {
                return Notice::Not(FOLLOWED);
            }
            if let Some(at) = self.next_up(now) {
                if let Ok(hurry) = Cancel::new() {
                    let delayed = Delayed { id: job.id, monitor: own, until: at, hurry: hurry.clone() };
                    self.delayed = Some(delayed);
                    return Notice::At(at, hurry);
                }
            }
        } else {
            let is_common = own == monitor(&settings, &Notification::default());
            if !self.is_new_failure(&request, job, is_common, now) {
                return Notice::Not("not pushed again: the same failure was pushed already");
            }
        }
        let is_report = job.door != Origin::Timer && !request.preparation_failed;
        job.with_preparation = is_report && backups.names_preparation(request.plan(), now);
        Notice::Now
    }

    /// Looks whether the `up` that waits for its time still has to. Returns its message if it is not to be pushed.
    pub(super) fn reconsider(&mut self, queue: &Queue, settings: &Settings) -> Option<u64> {
        let running = queue.running(Lane::Notifications)?.id;
        // One whose push was started is pushed to its end.
        let still_waits = |delayed: &Delayed| delayed.id == running && Instant::now() < delayed.until;
        let delayed = self.delayed.take().filter(still_waits)?;
        let Some(settings) = queue.waiting_in(Lane::Notifications).next().and_then(|_| settings.again().ok())
        else {
            self.delayed = Some(delayed);
            return None;
        };
        // What is not pushed at its time leaves its place to another.
        if is_followed(queue, &settings, &delayed.monitor) {
            self.ups.pop_back();
            return Some(running);
        }
        let mut waiting = queue.waiting_in(Lane::Notifications);
        if waiting.any(|next| reports_up(&next.message) == Some(false)) {
            delayed.hurry.cancel();
            self.ups.pop_back();
            self.ups.push_back(Instant::now());
        } else {
            self.delayed = Some(delayed);
        }
        None
    }

    /// When the next `up` may be pushed, if that is not now.
    fn next_up(&mut self, now: Instant) -> Option<Instant> {
        while self.ups.front().is_some_and(|&at| now.saturating_duration_since(at) >= SPAN) {
            self.ups.pop_front();
        }
        let at = (self.ups.len() >= MOST_UPS).then(|| self.ups[self.ups.len() - MOST_UPS] + SPAN);
        self.ups.push_back(at.unwrap_or(now));
        at
    }

    /// Leaves out failures of other backups, and those that no hook reports any more.
    fn forget_failures(&mut self, now: Instant) {
        let is_young = |failure: &ReportedFailure| now.saturating_duration_since(failure.at) < ONE_FAILURE;
        let preparation = self.preparation;
        self.failures.retain(|failure| failure.id > preparation && is_young(failure));
        self.failures.drain(..self.failures.len().saturating_sub(MOST_FAILURES - 1));
    }

    /// Whether this `up` is about a backup that a hook has reported as failed. Before Backrest 1.9 a backup in which some
    /// files could not be read is reported twice: first with a warning, then as a success.
    fn contradicts(&mut self, request: &Notification, now: Instant) -> bool {
        self.forget_failures(now);
        let plan = request.plan();
        let is_end = |failure: &ReportedFailure| now.saturating_duration_since(failure.at) < ONE_END;
        let mut of_plan =
            self.failures.iter().filter(|failure| failure.plan == plan && failure.text.is_some());
        plan.is_some() && of_plan.any(is_end)
    }

    /// Whether this failure was not pushed already. The listener's own pushes are all different. Old hooks don't name
    /// the plan of a preparation: its failure is that of any plan whose reports go to the same, common monitor.
    fn is_new_failure(&mut self, request: &Notification, job: &Job, is_common: bool, now: Instant) -> bool {
        self.forget_failures(now);
        let plan = request.plan();
        let is_known = |failure: &ReportedFailure| match &failure.text {
            Some(text) => failure.plan == plan && *text == request.text,
            None => failure.plan == plan || failure.plan.is_none() && is_common,
        };
        let is_own = job.door == Origin::Timer;
        let known = self.failures.iter().position(is_known).filter(|_| !is_own);
        if let Some(known) = known {
            self.failures.remove(known);
        }
        let is_preparation = known.is_none() && request.preparation_failed;
        if is_preparation || !is_own {
            let text = (!is_preparation).then(|| request.text.clone());
            self.failures.push(ReportedFailure { id: job.id, plan, text, at: now });
        }
        known.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Notification {
        Notification::parse(text)
    }

    #[test]
    fn six_ups_a_minute_and_then_each_when_the_oldest_is_a_minute_old() {
        let mut notices = Notices::default();
        let start = Instant::now();
        for _ in 0..MOST_UPS {
            assert_eq!(notices.next_up(start), None);
        }
        assert_eq!(notices.next_up(start + Duration::from_secs(10)), Some(start + SPAN));
        assert_eq!(notices.next_up(start + 2 * SPAN + Duration::from_secs(1)), None);
    }

    fn job(id: u64, door: Origin) -> Job {
        let message = Message { name: BuiltIn::NotifyDown.name().into(), text: String::new() };
        Job { id, ..Job::new(message, door) }
    }

    #[test]
    fn one_failure_is_pushed_once() {
        let mut notices = Notices::default();
        let start = Instant::now();
        let (mut now, mut id) = (start, 0);
        let mut is_new = |notices: &mut Notices, text: &str, door| {
            id += 1;
            notices.is_new_failure(&request(text), &job(id, door), true, now)
        };
        assert!(is_new(&mut notices, "--plan a --preparation-failed no room", Origin::Timer));
        assert!(!is_new(&mut notices, "--plan a task cancelled", Origin::Socket));
        assert!(!is_new(&mut notices, "--plan a task cancelled", Origin::Fifo));
        assert!(is_new(&mut notices, "--plan a Fatal: wrong password", Origin::Socket), "the next task");
        assert!(is_new(&mut notices, "--plan b task cancelled", Origin::Socket));
        assert!(!is_new(&mut notices, "--plan b task cancelled", Origin::Fifo));
        assert!(is_new(&mut notices, "--plan b another reason", Origin::Fifo));
        notices.preparation = 8;
        assert!(is_new(&mut notices, "--plan b another reason", Origin::Fifo), "the next backup");
        now = start + 2 * ONE_FAILURE;
        let is_new = |notices: &mut Notices, text: &str| {
            notices.is_new_failure(&request(text), &job(20, Origin::Socket), true, now)
        };
        assert!(is_new(&mut notices, "--plan a task cancelled"));
        let mut is_new_to = |text: &str, door, is_common| {
            notices.is_new_failure(&request(text), &job(30, door), is_common, now)
        };
        assert!(is_new_to("--preparation-failed shop failed", Origin::Timer, true));
        assert!(is_new_to("--plan c task cancelled", Origin::Socket, false), "it has its own monitor");
        assert!(!is_new_to("--plan d task cancelled", Origin::Socket, true));
    }

    #[test]
    fn a_flood_of_failures_is_not_remembered() {
        let mut notices = Notices::default();
        let now = Instant::now();
        for number in 0..1000 {
            let text = format!("failure {number}");
            assert!(notices.is_new_failure(&request(&text), &job(number + 1, Origin::Socket), true, now));
        }
        assert_eq!(notices.failures.len(), MOST_FAILURES);
    }

    #[test]
    fn an_up_after_the_down_of_the_same_backup_is_not_pushed() {
        let mut notices = Notices::default();
        let now = Instant::now();
        assert!(!notices.contradicts(&request("--plan a 5 files"), now));
        notices.is_new_failure(&request("--plan a partial backup"), &job(5, Origin::Socket), true, now);
        notices.is_new_failure(&request("disk nearly full"), &job(6, Origin::Socket), true, now);
        assert!(notices.contradicts(&request("--plan a 5 files"), now));
        assert!(!notices.contradicts(&request("--plan b 5 files"), now));
        assert!(!notices.contradicts(&request("5 files"), now), "a message by hand");
        assert!(!notices.contradicts(&request("--plan a 5 files"), now + ONE_END));
        notices.is_new_failure(&request("--plan a partial backup"), &job(7, Origin::Socket), true, now);
        notices.preparation = 8;
        assert!(!notices.contradicts(&request("--plan a 5 files"), now), "another backup");
    }

    #[test]
    fn only_the_up_that_waits_for_its_time_is_superseded() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(folder.path().join(name));
        let (container_root, data_root) = (path("containers"), path("data"));
        let flags = common::settings::Flags { container_root, data_root, ..Default::default() };
        let settings = Settings::load(&flags, None, None).unwrap();
        let mut queue = Queue::open(folder.path()).unwrap().0;
        let mut advance = |lines: &[&str], ended: &[u64]| {
            for line in lines {
                let message = Message::parse(line.as_bytes()).unwrap();
                assert!(queue.add(Job::new(message, Origin::Socket)));
            }
            let started = queue.advance(ended).unwrap().started;
            let mut notices = Notices::default();
            let hurry = Cancel::new().unwrap();
            let mut reconsidered = |id, until| {
                let monitor = monitor(&settings, &request(""));
                notices.delayed = Some(Delayed { id, monitor, until, hurry: hurry.clone() });
                (notices.reconsider(&queue, &settings), notices.delayed.is_some())
            };
            let now = Instant::now();
            (started[0].id, reconsidered(1, now + SPAN), reconsidered(1, now))
        };
        let (superseded, untouched) = ((Some(1), false), (None, false));
        assert_eq!(advance(&["notify-up x", "notify-down y"], &[]), (1, superseded, untouched));
        assert_eq!(advance(&["notify-down z"], &[1]), (2, untouched, untouched), "another one runs");
    }
}
