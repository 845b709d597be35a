//! Pushes to Uptime Kuma until it has worked or ten minutes are over.
//!
//! Each try is a process of its own (`backrest-push`), so that the listener, which runs for months,
//! never holds a TLS library's memory. The text goes to its standard input and the push address nowhere at all: the
//! child reads it from the settings. The client that sent the message is answered after the first try.

use std::time::{Duration, Instant};

use bridge::request::Notification;
use common::contract::picture::Picture;
use common::contract::push::State;
use common::contract::trouble::Trouble;
use common::process::{self, Limits};
use common::settings::{PUSH_URL, Settings};

use super::{Outcome, Progress, Report, Runner, alarm, wait};
use crate::door::Origin;
use crate::queue::Job;

const GIVE_UP: Duration = Duration::from_secs(600);
/// The first try is this short, because a hook waits for it.
const FIRST: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(30);
/// Why an `up` was not pushed.
pub(crate) const FOLLOWED: &str = "not pushed: a newer message follows";
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

pub(super) fn notify(
    runner: &Runner,
    state: State,
    job: &Job,
    report: Report<'_>,
) -> anyhow::Result<Outcome> {
    let settings = runner.settings.again()?;
    let request = Notification::parse(&job.message.text);
    let plan = request.plan();
    if settings.push_address(plan.as_deref()).is_none() {
        return Ok(Outcome::failed(format!(
            "no push address (set {PUSH_URL} in {})",
            common::text::escape_path(&settings.env_file)
        )));
    }
    let trouble = Trouble::load(&settings.layout().actions_trouble());
    // While a service is stopped because of us nothing is well; nor if no one knows whether one is.
    let down = match &trouble {
        Ok(trouble) => trouble.down_line(),
        Err(error) => Some(common::exit::one_line(error)),
    };
    let trouble = trouble.unwrap_or_default();
    let preparation = alarm::of_preparation(&trouble, plan.as_deref()).filter(|_| job.with_preparation);
    let preparation = preparation.map(|preparation| preparation.summary.clone());
    let ignore = Picture::load(&settings.layout().ignore_picture())
        .and_then(|picture| picture.line())
        .filter(|_| job.with_preparation);
    let text = match state {
        State::Up if request.text.is_empty() && down.is_some() => "backup ok".into(),
        State::Down if job.door != Origin::Timer => alarm::reason(&request.text),
        State::Up | State::Down => request.text,
    };
    let state = if down.is_none() { state } else { State::Down };
    let text = [preparation, ignore, Some(text).filter(|text| !text.is_empty()), down];
    let text = text.into_iter().flatten().collect::<Vec<_>>().join("; ");
    // One argument each, so that an id that begins with a hyphen is not taken for an option.
    let mut arguments = vec![state.word().to_string()];
    arguments.extend(plan.map(|plan| format!("--plan={plan}")));
    arguments.extend(request.duration.map(|took| format!("--duration={}ms", took.as_millis())));
    Ok(until_it_worked(runner, &arguments, &text, report))
}

fn until_it_worked(runner: &Runner, arguments: &[String], text: &str, report: Report<'_>) -> Outcome {
    let started = Instant::now();
    let mut pause = Duration::from_secs(1);
    let mut tries = 0;
    loop {
        tries += 1;
        let why = match try_once(runner, arguments, text, if tries == 1 { FIRST } else { LATER }) {
            Ok(()) if tries == 1 => return Outcome::Done(None),
            Ok(()) => return Outcome::Done(Some(format!("after {tries} tries"))),
            Err(why) => why,
        };
        if tries == 1 {
            report(Progress::Answer(format!("not pushed yet: {why}; tried again for 10 min")));
        }
        if started.elapsed() + pause > GIVE_UP {
            return Outcome::failed(format!("given up after {tries} tries: {why}"));
        }
        wait(&[&runner.ending, &runner.cancel], pause);
        if runner.ending.is_cancelled() {
            return Outcome::failed(format!("the listener was stopped after {tries} tries: {why}"));
        }
        if runner.cancel.is_cancelled() {
            return Outcome::Done(Some(FOLLOWED.into()));
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Whether a push address is set by now: the user may set it while the listener runs.
pub(crate) fn has_address(settings: &Settings) -> bool {
    settings.again().is_ok_and(|settings| !settings.push_settings().is_empty())
}

fn try_once(runner: &Runner, arguments: &[String], text: &str, time: Duration) -> Result<(), String> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut command = runner.settings.command("backrest-push", &arguments);
    let limits = Limits { grace: Duration::from_secs(1), ..Limits::within(time) };
    let pushed = process::capture(&mut command, text.as_bytes(), limits, Some(&runner.cancel))
        .map_err(|error| common::exit::one_line(&error))?;
    if pushed.end.is_success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&pushed.stderr);
    match stderr.lines().next().map(|line| line.trim_start_matches("backrest-push: ")) {
        Some(line) if !line.is_empty() => Err(crate::log::short(line.as_bytes())),
        _ if pushed.end == process::End::TimedOut => Err("no answer in time".into()),
        _ => Err(pushed.end.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use common::cancel::Cancel;
    use common::settings::Flags;

    use super::*;

    #[test]
    fn a_push_that_is_superseded_is_not_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(folder.path().join(name));
        let (container_root, data_root) = (path("containers"), path("data"));
        let flags = Flags { container_root, data_root, ..Flags::default() };
        let settings = Settings::load(&flags, None, None).unwrap();
        let (cancel, ending) = (Cancel::new().unwrap(), Cancel::new().unwrap());
        let runner = Runner { settings, timeout: LATER, grace: LATER, cancel, ending };
        runner.cancel.cancel();
        let outcome = until_it_worked(&runner, &["up".into()], "", &mut |_| {});
        assert_eq!(outcome, Outcome::Done(Some(FOLLOWED.into())));
    }
}
