//! The doctor: everything that a good backup needs, one line each, with how to fix what is wrong.
//!
//! Each check looks and changes nothing. What can't be checked (another user's file, no Docker) is reported as
//! such, and is neither good nor bad. Nothing in the bridge folder is run or followed on the host.

mod backrest;
mod bridge;
mod container;
mod host;
mod report;
mod tools;
mod verified;
mod version;

use std::time::Duration;

use anyhow::Result;
use common::exit::Exit;
use common::settings::{Flags, Settings};

use crate::cli::StatusArguments;
use crate::inspect;
use crate::places::Places;
use report::State;

/// Checks everything and prints it; `flags` are those that were given, which what is proposed needs as well. Exit code
/// 1 where something is wrong.
pub(crate) fn run(
    arguments: &StatusArguments,
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
    let (hooks, page) = backrest::hooks(settings, arguments);
    checks.push(version::check(image.or(page), arguments.backrest.is_some()));
    checks.extend(hooks);
    checks.extend(tools::scripts(settings));
    checks.extend(tools::coverage(settings));
    checks.extend(tools::old_scripts(&facts.crontab));
    checks.push(verified::check(settings));
    checks.extend(host::checks(settings, facts.record.supervisor));
    let checks: Vec<_> = checks.into_iter().map(|check| check.with_flags(flags)).collect();
    match arguments.json {
        true => report::print_json(&checks)?,
        false => report::print(&checks),
    }
    let is_wrong = checks.iter().any(|check| check.state == State::Bad);
    Ok(if is_wrong { Exit::Failed } else { Exit::Done })
}

/// How long ago a moment was, in seconds since 1970.
fn age(at: i64) -> Duration {
    let seconds = jiff::Timestamp::now().as_second().saturating_sub(at);
    Duration::from_secs(seconds.try_into().unwrap_or_default())
}
