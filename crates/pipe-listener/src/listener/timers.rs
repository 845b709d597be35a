//! When the loop has to go round next.

use std::time::{Duration, Instant};

/// A backup whose after steps failed is tried again after this time.
const AGAIN: Duration = Duration::from_secs(600);
/// How often to look whether Backrest was restarted, while something is prepared.
const RESTART: Duration = Duration::from_secs(600);
/// What could not be written is tried again after this time.
const DISK_PAUSE: Duration = Duration::from_secs(5);
/// A FIFO that could not be read is tried again after this time.
const FIFO_PAUSE: Duration = Duration::from_millis(500);

/// What is due, and when.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// When writing is tried again after it failed.
    disk: Option<Instant>,
    /// When the FIFO is read again after that failed.
    fifo: Option<Instant>,
    /// When the network is to be taken down.
    network: Option<Instant>,
    /// When the after steps of a backup that has not come back are to run.
    backup: Option<Instant>,
    /// When to look whether Backrest was restarted.
    restart: Option<Instant>,
    /// When the running action is stopped because the listener stops.
    stopping: Option<Instant>,
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

    /// Something could not be written at `now`.
    pub(super) fn disk_failed(&mut self, now: Instant) {
        self.disk = Some(now + DISK_PAUSE);
    }

    /// Something was written.
    pub(super) fn disk_worked(&mut self) {
        self.disk = None;
    }

    /// Whether writing may be tried at `now`.
    pub(super) fn may_write(&mut self, now: Instant) -> bool {
        self.disk = self.disk.filter(|&at| at > now);
        self.disk.is_none()
    }

    /// The FIFO could not be read at `now`.
    pub(super) fn fifo_failed(&mut self, now: Instant) {
        self.fifo = Some(now + FIFO_PAUSE);
    }

    /// Whether the FIFO is to be read.
    pub(super) fn may_read_fifo(&self) -> bool {
        self.fifo.is_none()
    }

    /// Reads the FIFO again if it is time.
    pub(super) fn take_fifo(&mut self, now: Instant) {
        self.fifo = self.fifo.filter(|&at| at > now);
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

    /// Whether Backrest was restarted is looked at again after a while, if something `is_prepared`.
    pub(super) fn set_restart(&mut self, is_prepared: bool) {
        self.restart = is_prepared.then(|| Instant::now() + RESTART);
    }

    /// Whether to look for a restart now; returns that once.
    pub(super) fn take_restart(&mut self, now: Instant) -> bool {
        self.stopping.is_none() && self.restart.take_if(|at| *at <= now).is_some()
    }

    /// How long until the network is taken down.
    pub(super) fn until_network(&self) -> Option<Duration> {
        self.network.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// How long until the after steps run.
    pub(super) fn until_backup(&self) -> Option<Duration> {
        self.backup.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether the network is to be taken down now; returns that once.
    pub(super) fn take_network(&mut self, now: Instant) -> bool {
        self.stopping.is_none() && self.network.take_if(|at| *at <= now).is_some()
    }

    /// Whether the after steps are to run now; returns that once.
    pub(super) fn take_backup(&mut self, now: Instant) -> bool {
        self.stopping.is_none() && self.backup.take_if(|at| *at <= now).is_some()
    }

    /// The listener stops; what runs then is stopped at `at`.
    pub(super) fn stop_at(&mut self, at: Instant) {
        self.stopping = Some(at);
    }

    /// Whether the listener stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whether what still runs has to be stopped now.
    pub(super) fn must_stop(&self, now: Instant) -> bool {
        self.stopping.is_some_and(|at| at <= now)
    }
}
