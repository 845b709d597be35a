//! What checking a dump may take. A dump may be a stranger's file, made to keep its reader busy.

use std::io;
use std::time::{Duration, Instant};

use common::cancel::Cancel;

/// The time and the cancel flag of all checks of one service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget<'a> {
    until: Instant,
    /// The script's own limit, for words.
    pub(super) limit: Duration,
    pub(super) cancel: &'a Cancel,
}

/// More than a decoder needs for any file that the usual programs write: the window limit of zstd and twice the largest
/// dictionary of xz.
pub(super) const WINDOW: u64 = 128 << 20;
/// JSON that is nested deeper is not data but an attack.
pub(super) const JSON_DEPTH: usize = 10_000;

impl<'a> Budget<'a> {
    /// Of a script that started at `started`, took `took`, and may take `limit`: what is left of that, but at least as
    /// long as the script itself took. No honest dump takes longer to read than to make.
    pub(crate) fn after(started: Instant, took: Duration, limit: Duration, cancel: &'a Cancel) -> Budget<'a> {
        let own = Instant::now() + took;
        let until = started.checked_add(limit).map_or(own, |until| until.max(own));
        Budget { until, limit, cancel }
    }

    /// Fails once the time is over or we were asked to stop.
    pub(super) fn go_on(&self) -> io::Result<()> {
        let is_over = self.cancel.is_cancelled() || self.left().is_zero();
        if is_over { Err(io::Error::other("stopped")) } else { Ok(()) }
    }

    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}
