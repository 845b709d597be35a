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
    pub(super) last: Option<String>,
    pub(super) last_failure: Option<String>,
    pub(super) last_lost: Option<String>,
    pub(super) last_push: Option<String>,
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
        ListenerStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            process: std::process::id().to_string(),
            since: self.since.clone(),
            bridge: escape_path(self.doors.folder.path()),
            pipe: door(&self.doors.fifo_trouble),
            socket: door(&self.doors.socket_trouble),
            running: running.unwrap_or_else(|| "none".into()),
            waiting: (self.queue.waiting() + arriving).to_string(),
            push_address: if has_address { "set" } else { "not set" },
            after_steps_due: in_time(self.timers.backup),
            tailscale_down_due: in_time(self.timers.network),
            log: escape_path(self.settings.layout().listener_log()),
            last: self.facts.last.clone(),
            last_failure: self.facts.last_failure.clone(),
            last_lost: self.facts.last_lost.clone(),
            last_push: self.facts.last_push.clone(),
            overdue_backup: self.facts.overdue_backup.clone(),
            tailscale: None,
            tailscale_rights: None,
        }
    }
}
