//! How far a long walk has come: one line on a terminal that goes away again. In a pipe there is none.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// A shorter walk shows nothing.
const SILENT: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(200);

/// How many names this process has seen.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Counts names that a walk has seen.
pub(crate) fn add(names: usize) {
    SEEN.fetch_add(names as u64, Ordering::Relaxed);
}

/// Does `work`, and shows the count if that takes longer than a second.
pub(crate) fn during<T>(work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        scope.spawn(move || show(&is_done));
        let result = work();
        drop(done);
        result
    })
}

/// Shows the count until the other end of `is_done` is dropped. A terminal that can't be written to is no reason to stop.
fn show(is_done: &mpsc::Receiver<()>) {
    let mut wait = SILENT;
    let mut stderr = io::stderr();
    while is_done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        wait = TICK;
        // \x1b[K: what is left of a longer line goes.
        let shown =
            write!(stderr, "\r{} paths\x1b[K", SEEN.load(Ordering::Relaxed)).and_then(|()| stderr.flush());
        if shown.is_err() {
            return;
        }
    }
    if wait == TICK {
        drop(write!(stderr, "\r\x1b[K"));
    }
}
