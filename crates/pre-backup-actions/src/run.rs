//! Runs one script: its environment, its time, its output as it comes, and how it ended in a few words.
//!
//! Output goes line by line, escaped, to the service's log and to the watcher. What a script prints beyond [`SHOWN`] is
//! in the log only, so that one chatty script does not bury the others.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use common::cancel::Cancel;
use common::exit::{is_caused_by, one_line};
use common::process::{self, End, Finished, LeftBehind, Limits};
use common::rotating_log::RotatingLog;
use common::settings::Settings;
use common::text::{escape, escape_path};
use common::units;

use crate::discover::{self, Script};
use crate::name;
use crate::outcome::{Outcome, Verdict};
use crate::watcher::Watcher;

/// Bytes of a script's output that are shown.
const SHOWN: usize = 64 << 10;
/// Its last lines, which are shown if it failed and had printed too much.
const LAST_LINES: usize = 5;

/// What runs scripts, and how.
pub(crate) struct Runner<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) watcher: &'a dyn Watcher,
    pub(crate) cancel: &'a Cancel,
    /// The folder of the logs.
    pub(crate) logs: PathBuf,
    /// The time of a script that does not ask for another.
    pub(crate) timeout: Duration,
}

impl Runner<'_> {
    /// Runs `script` of `service` to its end, with `dump_dir` as its `$DUMP_DIR`.
    pub(crate) fn run(&self, service: &OsStr, script: &Script, dump_dir: Option<&Path>) -> Outcome {
        let shown = escape_path(service);
        let log = self.logs.join(name::encode(service) + ".log");
        let mut output = Output::new(log, &shown, self.watcher);
        output.log(&format!("── {} {}", units::now(), escape_path(&script.path)));
        let timeout = script.declarations.timeout.unwrap_or(self.timeout);
        let (data, container) = discover::folders_of(self.settings, service);
        let mut command = Command::new(if script.by_shell { Path::new("/bin/sh") } else { &script.path });
        command.args(script.by_shell.then_some(&script.path)).current_dir(&script.folder);
        command.env_clear().envs(self.environment.iter().cloned()).env("SERVICE", service);
        command.env("DATA_DIR", data).env("CONTAINER_DIR", container);
        command.envs(dump_dir.map(|folder| ("DUMP_DIR", folder)));
        let started = Instant::now();
        let finished = self.run_once_it_is_closed(&mut command, Limits::within(timeout), &mut |line| {
            output.take(escape(line));
        });
        let verdict = match &finished {
            Ok(finished) => verdict_of(finished, timeout),
            Err(error) => Verdict::Failed(one_line(error)),
        };
        match finished.map(|finished| finished.left_behind) {
            Ok(LeftBehind::Killed) => {
                output.note("left processes behind that kept its output open; they were terminated");
            }
            Ok(LeftBehind::Running) => {
                output.note("left processes behind that keep its output open; what they write is not shown");
            }
            Ok(LeftBehind::Nothing) | Err(_) => {}
        }
        output.close(Outcome { elapsed: started.elapsed(), ..Outcome::new(service, verdict) })
    }

    /// A script that an editor is just saving can't be started for a moment (ETXTBSY).
    fn run_once_it_is_closed(
        &self,
        command: &mut Command,
        limits: Limits,
        each_line: &mut dyn FnMut(&[u8]),
    ) -> Result<Finished> {
        let mut tries = 0;
        loop {
            tries += 1;
            match process::run(command, limits, Some(self.cancel), each_line) {
                Err(error) if is_caused_by(&error, ErrorKind::ExecutableFileBusy) && tries < 50 => {
                    thread::sleep(Duration::from_millis(20));
                }
                result => return result,
            }
        }
    }
}

/// Where the lines of one script go.
struct Output<'a> {
    /// One bounded log per service, kept for people. That it can't be written is reported once and stops nothing.
    log: io::Result<RotatingLog>,
    path: PathBuf,
    service: &'a str,
    watcher: &'a dyn Watcher,
    shown: usize,
    last: VecDeque<String>,
}

impl<'a> Output<'a> {
    fn new(path: PathBuf, service: &'a str, watcher: &'a dyn Watcher) -> Output<'a> {
        Output {
            log: RotatingLog::open(&path),
            path,
            service,
            watcher,
            shown: 0,
            last: VecDeque::with_capacity(LAST_LINES),
        }
    }

    fn log(&mut self, line: &str) {
        if let Some(Err(error)) = self.log.as_mut().ok().map(|log| log.line(line)) {
            self.log = Err(error);
        }
    }

    fn take(&mut self, line: String) {
        self.log(&line);
        if self.shown <= SHOWN {
            self.shown += line.len() + 1;
            self.watcher.line(self.service, &line);
            if self.shown > SHOWN {
                self.watcher.line(self.service, &format!("… more in {}", escape_path(&self.path)));
            }
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn note(&mut self, text: &str) {
        self.log(&format!("── {text}"));
        self.watcher.line(self.service, text);
    }

    fn close(mut self, outcome: Outcome) -> Outcome {
        if self.shown > SHOWN && outcome.verdict != Verdict::Ok {
            for line in &self.last {
                self.watcher.line(self.service, line);
            }
        }
        let ended = outcome.verdict.why().map_or("ok", String::as_str);
        let elapsed = units::duration(outcome.elapsed);
        self.log(&format!("── {} {ended} after {elapsed}", units::now()));
        if let Err(error) = self.log.and_then(|mut log| log.flush()) {
            let path = escape_path(&self.path);
            self.watcher.line(self.service, &format!("the log is not whole: {path}: {error}"));
        }
        let last_line = self.last.into_iter().rev().find(|line| !line.trim().is_empty());
        Outcome { log: Some(self.path), last_line, ..outcome }
    }
}

fn verdict_of(finished: &Finished, timeout: Duration) -> Verdict {
    match finished.end {
        End::Exited(0) => Verdict::Ok,
        End::TimedOut => Verdict::Failed(format!("not done in {}", humantime::format_duration(timeout))),
        end => Verdict::Failed(end.to_string()),
    }
}
