//! When the loop has to go round next.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Writing is tried again after it failed.
    Disk,
    /// The FIFO is read again after that failed.
    Fifo,
    /// The running action is stopped because the listener stops.
    Stop,
    /// The network is to be taken down.
    Network,
    /// The after steps of a backup that has not come back are to run.
    Backup,
    /// Look whether Backrest was restarted.
    Restart,
}

/// A century: what is longer overflows the clock.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86400);

#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; 6]);

impl Timers {
    /// When the next is due. What is due and not attended to would let the loop spin; so a listener that stops looks
    /// at fewer of them.
    pub(super) fn next(&self) -> Option<Instant> {
        let attended = if self.is_set(Timer::Stop) { 3 } else { 6 };
        self.0[..attended].iter().flatten().min().copied()
    }

    /// It is due after this time, or not at all.
    pub(super) fn set(&mut self, timer: Timer, left: Option<Duration>) {
        self.0[timer as usize] = left.map(|left| Instant::now() + left.min(LONGEST));
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    /// How long until it is due.
    pub(super) fn left(&self, timer: Timer) -> Option<Duration> {
        self.0[timer as usize].map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it is time; that is reported once.
    pub(super) fn take(&mut self, timer: Timer, now: Instant) -> bool {
        self.0[timer as usize].take_if(|at| *at <= now).is_some()
    }
}
