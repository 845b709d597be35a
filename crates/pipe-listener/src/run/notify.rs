//! Pushes to Uptime Kuma until it has worked or ten minutes are over.
//!
//! Each try is a process of its own (`backrest-push`), so that the listener, which runs for months,
//! never holds a TLS library's memory. The text goes to its standard input and the push address nowhere at all: the
//! child reads it from the settings. Whoever sent the message is answered after the first try.

use std::process::Command;
use std::time::{Duration, Instant};

use common::contract::trouble::Trouble;
use common::paths;
use common::process::{self, Limits};
use common::settings::{Flags, Settings};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

use super::{Outcome, Runner, Said, Say};

/// No more tries after this.
const GIVE_UP: Duration = Duration::from_secs(600);
/// The first try is this short, because a hook waits for it.
const FIRST: Duration = Duration::from_secs(5);
/// Every other try.
const LATER: Duration = Duration::from_secs(30);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The state that is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    Down,
}

pub(super) fn notify(runner: &Runner, state: State, text: &str, say: Say<'_>) -> Outcome {
    if !has_address(&runner.settings) {
        return Outcome::Failed(format!(
            "no push address (set UPTIME_KUMA_PUSH_URL in {})",
            common::text::escape_path(&runner.settings.env_file)
        ));
    }
    let text = &with_trouble(text, &runner.settings);
    let started = Instant::now();
    let mut pause = Duration::from_secs(1);
    let mut tries = 0;
    loop {
        tries += 1;
        let why = match try_once(runner, state, text, if tries == 1 { FIRST } else { LATER }) {
            Ok(()) if tries == 1 => return Outcome::Done(None),
            Ok(()) => return Outcome::Done(Some(format!("after {tries} tries"))),
            Err(why) => why,
        };
        if tries == 1 {
            say(Said::Answer(format!("not pushed yet: {why}; tried again for 10 min")));
        }
        if started.elapsed() + pause > GIVE_UP {
            return Outcome::Failed(format!("given up after {tries} tries: {why}"));
        }
        if !sleep(runner, pause) {
            return Outcome::Failed(format!("the listener was ended after {tries} tries: {why}"));
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Whether a push address is set by now: the user may set it while the listener runs.
pub(crate) fn has_address(settings: &Settings) -> bool {
    Settings::load(&Flags::of(settings), None, None).is_ok_and(|settings| settings.push_url.is_some())
}

/// What was wrong with the preparation, then `text`. Nobody looks into the log of a backup that succeeded, and of one that
/// was cancelled Backrest says no more than that.
fn with_trouble(text: &str, settings: &Settings) -> String {
    let trouble = Trouble::load(&settings.layout().actions_trouble());
    let prepared = trouble.preparations.values().map(|preparation| preparation.summary.clone());
    let parts = trouble.down_line().into_iter().chain(prepared).chain([text.to_string()]);
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn try_once(runner: &Runner, state: State, text: &str, time: Duration) -> Result<(), String> {
    let mut command = Command::new(paths::tool("backrest-push"));
    let state = match state {
        State::Up => "up",
        State::Down => "down",
    };
    command.arg(state).args(Flags::of(&runner.settings).to_arguments());
    let limits = Limits { grace: Duration::from_secs(1), ..Limits::within(time) };
    let pushed = process::capture(&mut command, text.as_bytes(), limits, Some(&runner.cancel))
        .map_err(|error| common::exit::one_line(&error))?;
    if pushed.end.is_success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&pushed.stderr);
    match said.lines().next().map(|line| line.trim_start_matches("backrest-push: ")) {
        Some(line) if !line.is_empty() => Err(crate::log::short(line.as_bytes())),
        _ if pushed.end == process::End::TimedOut => Err("no answer in time".into()),
        _ => Err(pushed.end.to_string()),
    }
}

/// Waits; gives whether nobody asked to end meanwhile.
fn sleep(runner: &Runner, time: Duration) -> bool {
    let mut fds = [PollFd::new(runner.ending.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
    !runner.ending.is_cancelled()
}
