//! What the listener remembers of what it did, for `status`.

use std::time::Instant;

use common::text::escape_path;
use common::units;

use super::Listener;
use crate::log::short;
use crate::run::notify;
use crate::status::ListenerStatus;
use bridge::action::Lane;

/// The last events of each kind, each with its time ([`dated`]).
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The last finished message, and its result.
    pub(super) last: Option<String>,
    /// The last message that failed.
    pub(super) last_failure: Option<String>,
    /// The last message that did not run because the listener was away.
    pub(super) last_lost: Option<String>,
    /// The last push.
    pub(super) last_push: Option<String>,
    /// The result of the after steps of a backup that never reported back.
    pub(super) overdue_backup: Option<String>,
}

/// An event with its time.
pub(super) fn dated(event: &str) -> Option<String> {
    Some(format!("{} {event}", units::now()))
}

impl Listener {
    /// What `status` reports without asking any other program.
    pub(super) fn status_now(&self) -> ListenerStatus {
        let running = self.queue.running(Lane::Actions).map(|job| {
            let since = job.started.map(|at| units::duration(at.elapsed())).unwrap_or_default();
            format!("#{} {} for {since}", job.id, short(job.message.to_string().as_bytes()))
        });
        let door = |trouble: &Option<String>| {
            let trouble = self.doors.folder_trouble.as_ref().or(trouble.as_ref());
            trouble.cloned().unwrap_or("ok".into())
        };
        let in_time = |at: Option<Instant>| {
            let left = at.map(|at| at.saturating_duration_since(Instant::now()));
            left.map_or("no".into(), |left| format!("in {}", units::duration(left)))
        };
        let arriving = self.from_fifo.len() + self.from_others.len();
        let has_address = notify::has_address(&self.settings);
        let pairs = [
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("process", std::process::id().to_string()),
            ("since", self.since.clone()),
            ("bridge", escape_path(self.doors.folder.path())),
            ("pipe", door(&self.doors.fifo_trouble)),
            ("socket", door(&self.doors.socket_trouble)),
            ("running", running.unwrap_or_else(|| "none".into())),
            ("waiting", (self.queue.waiting() + arriving).to_string()),
            ("push-address", if has_address { "set".into() } else { "not set".into() }),
            ("after-steps-due", in_time(self.timers.backup)),
            ("tailscale-down-due", in_time(self.timers.network)),
            ("log", escape_path(self.settings.layout().listener_log())),
        ];
        let Facts { last, last_failure, last_lost, last_push, overdue_backup } = &self.facts;
        let events = [
            ("last", last),
            ("last-failure", last_failure),
            ("last-lost", last_lost),
            ("last-push", last_push),
            ("overdue-backup", overdue_backup),
        ];
        let events = events.into_iter().filter_map(|(name, event)| Some((name, event.clone()?)));
        pairs.into_iter().chain(events).map(|(name, text)| (name.to_string(), text.into())).collect()
    }
}
