//! How far long work has come: one line on a terminal that goes away again. In a pipe there is none.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Shorter work shows nothing.
const SILENT: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(200);

/// Does `work`, and shows `line` on standard error if that takes longer than a second and there is a terminal.
pub fn during<T>(line: impl Fn() -> String + Send, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        // Without it the work shows nothing.
        let _ = thread::Builder::new().spawn_scoped(scope, move || show(&line, &is_done));
        let result = work();
        drop(done);
        result
    })
}

/// Shows the line until the other end of `is_done` is dropped. A terminal that can't be written to is no reason to stop.
fn show(line: &impl Fn() -> String, is_done: &mpsc::Receiver<()>) {
    let mut wait = SILENT;
    let mut stderr = io::stderr();
    while is_done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        wait = TICK;
        // \x1b[K: what is left of a longer line goes.
        let shown = write!(stderr, "\r{}\x1b[K", line()).and_then(|()| stderr.flush());
        if shown.is_err() {
            return;
        }
    }
    if wait == TICK {
        drop(write!(stderr, "\r\x1b[K"));
    }
}
