//! Runs actions, on a thread of their own, and reports as they go.
//!
//! Every program runs through `common::process`: nothing on its standard input, a deadline, a process group. The
//! message's text reaches a program as one argument and in no other way.

pub(crate) mod alarm;
pub(crate) mod container;
pub(crate) mod notify;
mod own;
pub(crate) mod prepare;
pub(crate) mod tailscale;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use bridge::action::BuiltIn;
use common::cancel::Cancel;
use common::contract::push::State;
use common::exit::{hint_of, one_line};
use common::paths;
use common::process::{self, End, Finished, LeftBehind, Limits};
use common::settings::{PUSH_URL, Settings};
use common::text::escape;
use common::trust::Trust;

use crate::dispatch::{Action, OwnMessage};
use crate::queue::Job;

/// What an action reports while it runs.
#[derive(Debug)]
pub(crate) enum Progress {
    /// A line of a program's output.
    Output(Vec<u8>),
    /// A note of the listener.
    Note(String),
    /// It goes on, but its client need not wait: this is the answer.
    Answer(String),
}

/// Where an action reports it.
pub(crate) type Report<'a> = &'a mut dyn FnMut(Progress);

/// How an action ended.
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

impl Failure {
    /// A failure in `part` of an action.
    fn in_part(self, part: &str) -> Failure {
        let naming = |text| format!("{part}: {text}");
        Failure { why: naming(self.why), unseen: naming(self.unseen) }
    }

    /// Two failures of one action.
    fn and(self, other: Failure) -> Failure {
        let joined = |one, two| format!("{one}; {two}");
        Failure { why: joined(self.why, other.why), unseen: joined(self.unseen, other.unseen) }
    }
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

/// What running needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    pub(crate) settings: Settings,
    /// How long an action may take.
    pub(crate) timeout: Duration,
    /// Ends what runs.
    pub(crate) cancel: Cancel,
    /// The listener stops: nothing is tried again.
    pub(crate) ending: Cancel,
}

impl Runner {
    /// The folder with the user's own actions.
    pub(crate) fn actions(&self) -> PathBuf {
        self.settings.layout().own_actions()
    }

    /// Whose files may be run by now: the user may change that while the listener runs.
    pub(crate) fn trust(&self) -> Trust {
        let settings = self.settings.again();
        Trust::of(settings.as_ref().unwrap_or(&self.settings)).0
    }

    /// Runs the `action` of a message to its end. A notification names what was wrong with the preparation if
    /// `with_preparation`.
    pub(crate) fn run(
        &self,
        action: &Action,
        job: &Job,
        with_preparation: bool,
        report: Report<'_>,
    ) -> Outcome {
        let until = Instant::now() + self.timeout;
        let result = match action {
            Action::BuiltIn(action) => self.built_in(*action, job, with_preparation, until, report),
            Action::Listener(OwnMessage::TailscaleDown) => tailscale::down(self, report),
            Action::Listener(OwnMessage::OverdueBackup) => Ok(prepare::overdue(self, until, report)),
            Action::Own(file) => Ok(own::run(self, file, &job.message, until, report)),
        };
        result.unwrap_or_else(|error| Outcome::of_error(&error))
    }

    fn built_in(
        &self,
        action: BuiltIn,
        job: &Job,
        with_preparation: bool,
        until: Instant,
        report: Report<'_>,
    ) -> anyhow::Result<Outcome> {
        match action {
            // These are answered where they arrive.
            BuiltIn::Ping | BuiltIn::Status => Ok(Outcome::Done(None)),
            BuiltIn::StartTailscale => tailscale::start(self, report),
            BuiltIn::StopTailscale => tailscale::stop(self, report),
            BuiltIn::PreBackups => Ok(prepare::pre_backups(self, &job.message.text, until, report)),
            BuiltIn::PostBackups => Ok(prepare::post_backups(self, &job.message.text, until, report)),
            BuiltIn::BuildIgnore => Ok(prepare::build_ignore(self, until, report)),
            BuiltIn::NotifyUp => notify::notify(self, State::Up, job, with_preparation, report),
            BuiltIn::NotifyDown => notify::notify(self, State::Down, job, with_preparation, report),
        }
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
            if !line.trim_ascii().is_empty() && !line.starts_with(b"hint: ") {
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
