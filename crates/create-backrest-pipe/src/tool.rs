//! The other tools, asked as programs: they print JSON, in the same folders as this one works in.

use std::ffi::OsStr;
use std::time::Duration;

use anyhow::{Result, anyhow};
use common::cancel::Cancel;
use common::process::{self, End, Limits};
use common::settings::Settings;
use serde::de::DeserializeOwned;

const LOOK: Duration = Duration::from_secs(300);

pub(crate) fn ask<T: DeserializeOwned>(settings: &Settings, tool: &str, arguments: &[&str]) -> Result<T> {
    ask_within(LOOK, None, settings, tool, arguments)
}

/// What a tool prints as JSON within `limit`, unless it is cancelled.
pub(crate) fn ask_within<T: DeserializeOwned>(
    limit: Duration,
    cancel: Option<&Cancel>,
    settings: &Settings,
    tool: &str,
    arguments: &[impl AsRef<OsStr>],
) -> Result<T> {
    let mut command = settings.command(tool, &[]);
    let asked = process::capture(command.args(arguments), b"", Limits::within(limit), cancel)?;
    // Exit code 1 means that something was found; it is in the answer.
    if let (End::Exited(0 | 1), Ok(answer)) = (asked.end, serde_json::from_slice(&asked.stdout)) {
        return Ok(answer);
    }
    let printed = String::from_utf8_lossy(&asked.stderr).into_owned();
    let error = printed.lines().find(|line| !line.trim().is_empty()).map(str::to_string);
    Err(anyhow!(error.unwrap_or_else(|| format!("{tool}: {}, and no JSON of this version", asked.end))))
}
