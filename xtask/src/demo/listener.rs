//! The listener of the demo: it runs while this value lives, and is ended with all it started when it is dropped.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::process::{self, Finished, Limits};
use common::text::escape;

use super::home::Place;

/// How long it may take until it answers.
const UNTIL_READY: Duration = Duration::from_secs(20);

/// A listener that runs.
pub(super) struct Listener {
    stop: Cancel,
    said: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<Result<Finished>>>,
}

impl Listener {
    /// Starts it and waits until it answers a `ping` through `client`.
    pub(super) fn start(place: &Place, client: &str, cancel: &Cancel) -> Result<Listener> {
        let stop = Cancel::new().context("make a flag")?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let mut command = place.command(place.at(".local/bin/pipe-listener"));
        let (own_stop, own_said) = (stop.clone(), Arc::clone(&said));
        let thread = thread::spawn(move || {
            process::run(
                &mut command,
                Limits::within(Duration::from_secs(600)),
                Some(&own_stop),
                &mut |line| {
                    own_said.lock().unwrap_or_else(PoisonError::into_inner).push(escape(line));
                },
            )
        });
        let listener = Listener { stop, said, thread: Some(thread) };
        let end = Instant::now() + UNTIL_READY;
        loop {
            let limits = Limits::within(Duration::from_secs(10));
            let answer = process::capture(place.command(client).arg("ping"), b"", limits, Some(cancel))?;
            if answer.end.is_success() {
                return Ok(listener);
            }
            if cancel.is_cancelled() {
                bail!("interrupted");
            }
            let is_over = listener.thread.as_ref().is_none_or(JoinHandle::is_finished);
            if is_over || Instant::now() > end {
                let said = listener.said.lock().unwrap_or_else(PoisonError::into_inner).join("; ");
                bail!("start the listener: it does not answer: {said}");
            }
            // 69, nobody listens yet, comes at once.
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // How it ended is of no interest any more.
            let _ = thread.join();
        }
    }
}
