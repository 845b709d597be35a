//! The network that a repository elsewhere needs: up before a backup, down some time after it, if it was down before.
//!
//! `tailscale up` without flags goes on with the user's own settings; any flag would make it ask for all of them. It
//! needs the operator's right, otherwise it is run through `sudo -n`. Backrest's forget runs after the hooks at the
//! backup is over, so the network stays for a while (the linger), and a backup that starts meanwhile keeps it.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use common::exit::HintExt;
use common::process::{self, Limits};
use common::settings::Settings;
use common::tailscale::{self, Right};
use serde::{Deserialize, Serialize};

use super::{Outcome, Progress, Report, Runner};
use common::moment::Moment;

/// What we did to the network, kept in `state/tailscale.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkRecord {
    /// We brought it up; it was down before.
    pub(crate) ours: bool,
    /// Since when it is no longer needed.
    pub(crate) unneeded_since: Option<Moment>,
}

/// `tailscale up` and `down` answer within seconds or hang for ever.
const COMMAND: Duration = Duration::from_secs(90);
/// The longest that the network may take to be usable.
const READY: Duration = Duration::from_secs(60);
const DEFAULT_LINGER: Duration = Duration::from_secs(600);

const RIGHTS: &str = "allow it once with: sudo tailscale set --operator=$USER";

pub(super) fn start(runner: &Runner, report: Report<'_>) -> Result<Outcome> {
    let before = tailscale::status(Some(&runner.cancel))?;
    // A backup does not fail because of it: at worst the network stays up.
    let known = NetworkRecord::load(&runner.settings).unwrap_or_else(|error| {
        report(Progress::Note(common::exit::one_line(&error)));
        NetworkRecord::default()
    });
    if before.is_up() {
        let kept = NetworkRecord { ours: known.ours, unneeded_since: None };
        kept.save(&runner.settings)?;
        let why = if kept.ours { "up already, since an earlier backup" } else { "up already" };
        return Ok(Outcome::Done(Some(why.into())));
    }
    if before.needs_login() {
        return Err(anyhow!("tailscale is not logged in ({})", before.words()))
            .hint("log in once with: sudo tailscale up");
    }
    // Written first: if we die in between, taking down what never came up does no harm.
    NetworkRecord { ours: true, unneeded_since: None }.save(&runner.settings)?;
    if let Err(error) = change(runner, "up") {
        known.save(&runner.settings)?;
        return Err(error);
    }
    report(Progress::Note("tailscale is coming up".into()));
    let until = Instant::now() + READY;
    loop {
        let now = tailscale::status(Some(&runner.cancel))?;
        if now.is_up() {
            return Ok(Outcome::Done(Some("tailscale is up".into())));
        }
        if Instant::now() >= until {
            return Err(anyhow!("tailscale is not up after {} s: {}", READY.as_secs(), now.words()));
        }
        if runner.cancel.is_cancelled() {
            return Err(anyhow!("interrupted while tailscale came up"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub(super) fn stop(runner: &Runner) -> Result<Outcome> {
    let state = NetworkRecord::load(&runner.settings)?;
    if !state.ours {
        return Ok(Outcome::Done(Some("left as it is: it was up before".into())));
    }
    let since = Some(Moment::now());
    NetworkRecord { unneeded_since: since, ..state }.save(&runner.settings)?;
    let linger = linger(&runner.settings);
    if linger.is_zero() {
        return down(runner);
    }
    let time = common::units::duration(linger);
    Ok(Outcome::Done(Some(format!("goes down in {time} unless it is needed again"))))
}

pub(super) fn down(runner: &Runner) -> Result<Outcome> {
    if due(&runner.settings).is_none_or(|left| !left.is_zero()) {
        return Ok(Outcome::Done(Some("not taken down: it is needed again".into())));
    }
    let result = change(runner, "down");
    // What failed now would fail again and again; it stays up, and the next backup's end tries once more.
    let ours = result.is_err();
    NetworkRecord { ours, unneeded_since: None }.save(&runner.settings)?;
    result.map(|()| Outcome::Done(Some("tailscale is down again".into())))
}

/// How long until the network is to be taken down; zero where that is due, `None` where it isn't asked for.
pub(crate) fn due(settings: &Settings) -> Option<Duration> {
    // `stop` fails if it can't be read.
    let state = NetworkRecord::load(settings).ok()?;
    let since = state.unneeded_since.filter(|_| state.ours)?;
    // Before a restart, or at an unknown time: it was not needed then and is not now.
    let age = since.age(&Moment::now()).unwrap_or(Duration::MAX);
    Some(linger(settings).saturating_sub(age))
}

/// One line on the state of Tailscale, for `status`; `None` if it is not installed.
pub(crate) fn describe(runner: &Runner) -> Option<String> {
    Some(match tailscale::status(Some(&runner.cancel)) {
        Ok(status) if status.is_up() => match NetworkRecord::load(&runner.settings) {
            Ok(record) if record.ours => "up, brought up for a backup".into(),
            Ok(_) => "up".into(),
            Err(error) => format!("up; {}", common::exit::one_line(&error)),
        },
        Ok(status) => status.words(),
        Err(error) if process::is_not_installed(&error) => return None,
        Err(error) => common::exit::one_line(&error),
    })
}

/// Whether `up` and `down` are allowed, and how.
pub(crate) fn rights(runner: &Runner) -> String {
    match tailscale::right(Some(&runner.cancel)) {
        Right::Root => "root".into(),
        Right::Operator => "operator".into(),
        Right::Sudo => "sudo".into(),
        Right::None => format!("none; {RIGHTS}"),
    }
}

fn linger(settings: &Settings) -> Duration {
    let set = settings.other("TAILSCALE_LINGER");
    set.and_then(|text| humantime::parse_duration(text.trim()).ok()).unwrap_or(DEFAULT_LINGER)
}

/// `tailscale up` or `tailscale down`, with the rights that there are.
fn change(runner: &Runner, what: &str) -> Result<()> {
    let run = |command: &mut Command| {
        process::capture(command, b"", Limits::within(COMMAND), Some(&runner.cancel))?.success().map(drop)
    };
    let Err(error) = run(tailscale::program("tailscale").arg(what)) else { return Ok(()) };
    if nix::unistd::geteuid().is_root() {
        return Err(error);
    }
    run(tailscale::program("sudo").args(["-n", "tailscale", what]))
        .with_context(|| common::exit::one_line(&error))
        .hint(RIGHTS)
}

impl NetworkRecord {
    /// What is remembered; nothing if there is no file.
    pub(crate) fn load(settings: &Settings) -> Result<NetworkRecord> {
        let path = settings.layout().tailscale();
        let read = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(NetworkRecord::default()),
            Err(error) => Err(error.into()),
            Ok(text) => serde_json::from_slice(&text).map_err(anyhow::Error::from),
        };
        read.with_context(|| {
            format!("read whether Tailscale was up before: {}", common::text::escape_path(&path))
        })
    }

    fn save(&self, settings: &Settings) -> Result<()> {
        let text = serde_json::to_vec(self)?;
        common::atomic::write(&settings.layout().tailscale(), &text, 0o600)?;
        Ok(())
    }
}
