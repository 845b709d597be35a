//! The doctor: everything that a good backup needs, one line each, with how to fix what is wrong.
//!
//! Each check looks and changes nothing. What can't be checked (another user's file, no Docker) is reported as
//! such, and is neither good nor bad. Nothing in the bridge folder is run or followed on the host.

mod backrest;
mod bridge;
mod container;
mod host;
mod report;
pub(crate) mod tools;
mod version;

use std::time::Duration;

use anyhow::Result;
use common::contract::status::{Check, CheckState, Fix, StatusReport};
use common::contract::verification::{Outcome, Verification};
use common::exit::{Exit, one_line};
use common::moment::unix_now;
use common::settings::{Flags, Settings};
use common::units;

use crate::hooks::page::Page;
use crate::inspect;
use crate::places::Places;
use crate::verify::summary;

/// Checks everything and prints it; `flags` are those that were given, which what is proposed needs as well. Exit code
/// 1 where something is wrong.
pub(crate) fn run(
    page: Option<&Page>,
    json: bool,
    flags: &Flags,
    settings: &Settings,
    places: &Places,
) -> Result<Exit> {
    let facts = inspect::inspect(places, None)?;
    let mut checks = Vec::new();
    checks.extend(host::settings(settings));
    checks.extend(bridge::checks(&facts, places));
    let (container, image) = container::checks(settings, places);
    checks.extend(container);
    checks.push(backrest::ignore_file(settings));
    let (hooks, version) = backrest::hooks(settings, page);
    checks.push(version::check(image.or(version), page.is_some()));
    checks.extend(hooks);
    checks.extend(tools::scripts(settings));
    checks.extend(tools::coverage(settings));
    checks.extend(tools::old_scripts(&facts.crontab));
    checks.push(verified(settings));
    checks.extend(host::checks(settings, facts.record.supervisor));
    let checks: Vec<_> = checks.into_iter().map(|check| report::with_flags(check, flags)).collect();
    let ok = checks.iter().all(|check| check.state != CheckState::Bad);
    let status = StatusReport { ok, checks };
    match json {
        true => report::print_json(&status)?,
        false => report::print(&status.checks),
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

/// A monthly run that came once is not late yet.
const LATE: Duration = Duration::from_secs(45 * 24 * 3600);

/// When the last backup was verified, and how that ended.
fn verified(settings: &Settings) -> Check {
    let again = Fix::ours("create-backrest-pipe verify");
    let last = match Verification::load(&settings.layout().verification()) {
        Ok(Some(last)) => last,
        Ok(None) => return Check::note("verified", "no backup was verified yet", Some(again)),
        Err(error) => return Check::unknown("verified", one_line(&error), again),
    };
    let age = age(last.at);
    let what = format!("{} ago: {}", units::duration(age), summary(&last));
    match last.outcome {
        Outcome::Proved if age > LATE => Check::note("verified", what, Some(again)),
        Outcome::Proved => Check::good("verified", what),
        Outcome::Wrong | Outcome::Failed => Check::bad("verified", what, again),
    }
}

/// How long ago a moment was, in seconds since 1970.
fn age(at: i64) -> Duration {
    let seconds = unix_now().saturating_sub(at);
    Duration::from_secs(seconds.try_into().unwrap_or_default())
}
