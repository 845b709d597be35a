//! How many names a long walk has seen, for the person at the terminal.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many names this process has seen.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Counts names that a walk has seen.
pub(crate) fn add(names: usize) {
    SEEN.fetch_add(names as u64, Ordering::Relaxed);
}

/// Does `work`, and shows the count if that takes longer than a second.
pub(crate) fn during<T>(work: impl FnOnce() -> T) -> T {
    common::progress::during(|| format!("{} paths", SEEN.load(Ordering::Relaxed)), work)
}
