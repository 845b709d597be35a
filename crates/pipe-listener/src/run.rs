//! Runs actions, on a thread of their own, and reports as they go.
//!
//! Every program runs through `common::process`: nothing on its standard input, a deadline, a process group. The
//! message's text reaches a program as one argument and in no other way.

pub(crate) mod alarm;
pub(crate) mod container;
pub(crate) mod notify;
pub(crate) mod prepare;
pub(crate) mod tailscale;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bridge::action::BuiltIn;
use bridge::message::Message;
use common::cancel::Cancel;
use common::contract::push::State;
use common::exit::{hint_of, one_line};
use common::paths;
use common::process::{self, End, Finished, LeftBehind, Limits};
use common::settings::{PUSH_URL, Settings};
use common::text::escape;
use common::trust::Trust;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::dispatch::{Action, OwnMessage};
use crate::queue::Job;

/// What an action reports while it runs.
#[derive(Debug)]
pub(crate) enum Progress {
    Output(Vec<u8>),
    Note(String),
    /// It goes on, but its client need not wait: this is the answer.
    Answer(String),
}

/// Where an action reports it.
pub(crate) type Report<'a> = &'a mut dyn FnMut(Progress);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done; there may be something to report about it.
    Done(Option<String>),
    /// It failed, because of this.
    Failed(Failure),
    /// There is no such action (any more).
    Unknown,
}

/// Why an action failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// For the log and for pushes: everything.
    pub(crate) why: String,
    /// For the client, which has seen what programs printed: the rest.
    pub(crate) unseen: String,
}

impl Outcome {
    /// It failed, because of `why`, which no program has printed.
    pub(crate) fn failed(why: impl Into<String>) -> Outcome {
        let why = why.into();
        Outcome::Failed(Failure { unseen: why.clone(), why })
    }

    /// The outcome of an error, with what to do about it.
    fn of_error(error: &anyhow::Error) -> Outcome {
        Outcome::failed(match hint_of(error) {
            Some(hint) => format!("{} ({})", one_line(error), escape(hint.as_bytes())),
            None => one_line(error),
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Runner {
    pub(crate) settings: Settings,
    pub(crate) timeout: Duration,
    /// How long the running action may go on when the listener is asked to stop.
    pub(crate) grace: Duration,
    /// Ends what runs.
    pub(crate) cancel: Cancel,
    /// The listener stops: nothing is tried again.
    pub(crate) ending: Cancel,
}

impl Runner {
    pub(crate) fn actions(&self) -> PathBuf {
        self.settings.layout().own_actions()
    }

    /// Whose files may be run by now: the user may change that while the listener runs.
    pub(crate) fn trust(&self) -> Trust {
        let settings = self.settings.again();
        Trust::of(settings.as_ref().unwrap_or(&self.settings)).0
    }

    /// Runs the `action` of a message to its end.
    pub(crate) fn run(&self, action: &Action, job: &Job, report: Report<'_>) -> Outcome {
        let (until, text) = (Instant::now() + self.timeout, &job.message.text);
        let result = match action {
            Action::Own(file) => Ok(self.own(file, &job.message, until, report)),
            Action::Listener(OwnMessage::TailscaleDown) => tailscale::down(self),
            Action::Listener(OwnMessage::OverdueBackup) => {
                Ok(self.tool("pre-backup-actions", &["--after", "--if-due"], until, report))
            }
            // These are answered where they arrive.
            Action::BuiltIn(BuiltIn::Ping | BuiltIn::Status) => Ok(Outcome::Done(None)),
            Action::BuiltIn(BuiltIn::StartTailscale) => tailscale::start(self, report),
            Action::BuiltIn(BuiltIn::StopTailscale) => tailscale::stop(self),
            Action::BuiltIn(BuiltIn::PreBackups) => prepare::pre_backups(self, text, until, report),
            Action::BuiltIn(BuiltIn::PostBackups) => prepare::post_backups(self, text, until, report),
            Action::BuiltIn(BuiltIn::BuildIgnore) => Ok(self.tool("build-ignore", &[], until, report)),
            Action::BuiltIn(action @ (BuiltIn::NotifyUp | BuiltIn::NotifyDown)) => {
                let state = if *action == BuiltIn::NotifyUp { State::Up } else { State::Down };
                notify::notify(self, state, job, report)
            }
        };
        result.unwrap_or_else(|error| Outcome::of_error(&error))
    }

    /// Runs a file of the user's. It gets the message's text as its one argument, an empty one if there is none.
    fn own(&self, file: &Path, message: &Message, until: Instant, report: Report<'_>) -> Outcome {
        let settings = &self.settings;
        let mut command = Command::new(file);
        command
            .arg(&message.text)
            .current_dir(&settings.container_dir)
            .env("ACTION", &message.name)
            .env("CONTAINER_ROOT", &settings.container_root)
            .env("DATA_ROOT", &settings.data_root)
            .env("CONTAINER_DIR", &settings.container_dir)
            .env("DATA_DIR", &settings.data_dir);
        self.program(&mut command, until, report)
    }

    fn tool(&self, name: &str, arguments: &[&str], until: Instant, report: Report<'_>) -> Outcome {
        self.program(&mut self.settings.command(name, arguments), until, report)
    }

    /// Runs `command` until it ends or it is `until`, and reports its output.
    fn program(&self, command: &mut Command, until: Instant, report: Report<'_>) -> Outcome {
        // Who needs the push address reads it from the settings.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(PUSH_URL.as_bytes()) {
                command.env_remove(name);
            }
        }
        command.env_remove("NOTIFY_SOCKET").env("PATH", paths::search_path());
        let mut last = Vec::new();
        let left = until.saturating_duration_since(Instant::now());
        let finished = process::run(command, Limits::within(left), Some(&self.cancel), &mut |line| {
            // A hint is no reason.
            if !line.trim_ascii().is_empty() && !line.starts_with(bridge::HINT.as_bytes()) {
                last = line.to_vec();
            }
            report(Progress::Output(line.to_vec()));
        });
        match finished {
            Ok(Finished { end: End::Exited(0), left_behind, .. }) => Outcome::Done(match left_behind {
                LeftBehind::Nothing => None,
                LeftBehind::Killed => {
                    Some("processes that it left behind with its output open were terminated".into())
                }
                LeftBehind::Running => Some(
                    "it left processes behind that keep its output open; what they write is not read".into(),
                ),
            }),
            Ok(Finished { end, .. }) if last.is_empty() => Outcome::failed(end.to_string()),
            Ok(Finished { end, .. }) => Outcome::Failed(Failure {
                why: format!("{end}: {}", crate::log::short(last.trim_ascii())),
                unseen: end.to_string(),
            }),
            Err(error) => Outcome::of_error(&error),
        }
    }
}

/// Waits until one of `flags` is up, at most this long.
pub(crate) fn wait(flags: &[&Cancel], time: Duration) {
    let mut fds: Vec<_> = flags.iter().map(|flag| PollFd::new(flag.as_fd(), PollFlags::POLLIN)).collect();
    let _ = poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
}
