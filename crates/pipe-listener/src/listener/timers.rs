//! When the loop has to go round next.

use std::time::{Duration, Instant};

/// A backup whose after steps failed is tried again after this time.
const AGAIN: Duration = Duration::from_secs(600);
/// How often to look whether Backrest was restarted, while something is prepared.
pub(super) const RESTART: Duration = Duration::from_secs(600);
/// What could not be written is tried again after this time.
pub(super) const DISK_PAUSE: Duration = Duration::from_secs(5);
/// A FIFO that could not be read is tried again after this time.
pub(super) const FIFO_PAUSE: Duration = Duration::from_millis(500);

/// What is due, and when.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// When writing is tried again after it failed.
    pub(super) disk: Option<Instant>,
    /// When the FIFO is read again after that failed.
    pub(super) fifo: Option<Instant>,
    /// When the network is to be taken down.
    pub(super) network: Option<Instant>,
    /// When the after steps of a backup that has not come back are to run.
    pub(super) backup: Option<Instant>,
    /// When to look whether Backrest was restarted.
    pub(super) restart: Option<Instant>,
    /// When the running action is stopped because the listener stops.
    pub(super) stopping: Option<Instant>,
}

impl Timers {
    /// When the next is due. What is due and not attended to would let the loop spin; so a listener that stops looks
    /// at fewer of them.
    pub(super) fn next(&self) -> Option<Instant> {
        let times = match self.stopping {
            Some(_) => [self.disk, self.fifo, self.stopping, None, None],
            None => [self.disk, self.fifo, self.network, self.backup, self.restart],
        };
        times.into_iter().flatten().min()
    }

    /// The network is to be taken down after this time, or not at all.
    pub(super) fn set_network(&mut self, left: Option<Duration>) {
        self.network = left.map(|left| Instant::now() + left);
    }

    /// The after steps are due after this time, or not at all. If they were just tried they are not tried at once.
    pub(super) fn set_backup(&mut self, left: Option<Duration>, was_tried: bool) {
        let least = if was_tried { AGAIN } else { Duration::ZERO };
        self.backup = left.and_then(|left| Instant::now().checked_add(left.max(least)));
    }

    /// Whether the listener stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }
}

/// Whether it is time; a timer reports that once.
pub(super) fn take(timer: &mut Option<Instant>, now: Instant) -> bool {
    timer.take_if(|at| *at <= now).is_some()
}
