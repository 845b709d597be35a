//! A program that runs while a value lives: the demo's listener, the Docker engine of the scenarios.
//!
//! In come its command and a check that it is ready; dropping the value stops it with everything that it started. And
//! the one way in which this crate runs a program for its output, and waits for something that happens by itself.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::process::{self, Finished, Limits};
use common::text::escape;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Background {
    stop: Cancel,
    lines: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<Result<Finished>>>,
}

impl Background {
    /// Starts `command` and waits until `is_ready`. Fails, with its last lines, if it finishes before that.
    pub(crate) fn start(
        mut command: Command,
        limits: Limits,
        cancel: &Cancel,
        mut is_ready: impl FnMut() -> Result<bool>,
    ) -> Result<Background> {
        let name = escape(command.get_program().as_encoded_bytes());
        let stop = Cancel::new().context("make a flag")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (own_stop, own_lines) = (stop.clone(), Arc::clone(&lines));
        let thread = thread::spawn(move || {
            process::run(&mut command, limits, Some(&own_stop), &mut |line| {
                own_lines.lock().unwrap_or_else(PoisonError::into_inner).push(escape(line));
            })
        });
        let program = Background { stop, lines, thread: Some(thread) };
        let mut is_over = false;
        let waited = wait_for("it answers", cancel, || {
            is_over = program.thread.as_ref().is_none_or(JoinHandle::is_finished);
            Ok(is_ready()? || is_over)
        });
        let lines = program.last_lines();
        waited.with_context(|| format!("start {name}: {lines}"))?;
        if is_over {
            bail!("start {name}: it has stopped: {lines}");
        }
        Ok(program)
    }

    fn last_lines(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines[lines.len().saturating_sub(5)..].join("; ")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // Its result is of no interest any more.
            let _ = thread.join();
        }
    }
}

/// Runs `command` to its end and returns its output; fails if it does, or after a time that nothing takes.
pub(crate) fn output_of(command: &mut Command, input: &[u8], cancel: Option<&Cancel>) -> Result<String> {
    let limits = Limits { grace: Duration::from_secs(60), ..Limits::within(Duration::from_secs(3600)) };
    let output = process::capture(command, input, limits, cancel)?.success()?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// Waits until `is_so`; fails with `what` after a time that nothing takes.
pub(crate) fn wait_for(what: &str, cancel: &Cancel, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is_so()? {
        if cancel.is_cancelled() {
            bail!("interrupted");
        }
        if Instant::now() > end {
            bail!("not within {} s: {what}", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The process id of the listener that runs in `home`, as its lock names it.
pub(crate) fn listener_of(home: &Path) -> Result<i32> {
    let lock =
        fs::read_to_string(home.join("containers/backrest/state/listener.lock")).context("read a lock")?;
    lock.split(' ').nth(1).and_then(|word| word.parse().ok()).context("the listener's process")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_stops_before_it_is_ready_is_an_error_with_its_last_line() {
        let cancel = Cancel::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no port left >&2; exit 3"]);
        let started =
            Background::start(command, Limits::within(Duration::from_secs(60)), &cancel, || Ok(false));
        assert_eq!(started.err().unwrap().to_string(), "start sh: it has stopped: no port left");
    }
}
