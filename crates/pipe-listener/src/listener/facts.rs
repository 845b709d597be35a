//! What the listener remembers of what it did, for `status`.

use common::text::escape_path;
use common::units;

use super::Listener;
use crate::log::short;
use crate::run::notify;
use crate::status::ListenerStatus;
use bridge::action::Lane;

/// The last events of each kind, each with its time.
#[derive(Debug, Default)]
pub(super) struct Facts {
    last: Option<String>,
    last_failure: Option<String>,
    last_lost: Option<String>,
    last_push: Option<String>,
    overdue_backup: Option<String>,
}

impl Facts {
    /// A message ended.
    pub(super) fn message_ended(&mut self, event: &str, is_done: bool) {
        self.last = dated(event);
        if !is_done {
            self.last_failure = dated(event);
        }
    }

    /// A push ended.
    pub(super) fn push_ended(&mut self, event: &str) {
        self.last_push = dated(event);
    }

    /// A message will not run.
    pub(super) fn message_lost(&mut self, event: &str) {
        self.last_lost = dated(event);
    }

    /// The after steps of an overdue backup ended.
    pub(super) fn overdue_backup_ended(&mut self, how: &str) {
        self.overdue_backup = dated(how);
    }

    /// Nothing is overdue any more.
    pub(super) fn nothing_overdue(&mut self) {
        self.overdue_backup = None;
    }

    /// Whether the after steps of an overdue backup were tried.
    pub(super) fn overdue_was_tried(&self) -> bool {
        self.overdue_backup.is_some()
    }
}

fn dated(event: &str) -> Option<String> {
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
        let in_time = |left: Option<std::time::Duration>| {
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
            after_steps_due: in_time(self.timers.until_backup()),
            tailscale_down_due: in_time(self.timers.until_network()),
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
