//! The other tools, asked as programs: they print JSON, in the same folders as this one works in.

use std::ffi::OsStr;
use std::time::Duration;

use anyhow::{Result, anyhow};
use common::cancel::Cancel;
use common::contract::services::{Script, Services};
use common::process::{self, End, Limits};
use common::settings::Settings;
use common::text::count;
use serde::de::DeserializeOwned;

use crate::work::Complaint;

const MOST: usize = 8;

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

/// The scripts that would be refused, each with the command that fixes it: before the first night, not in it. Nothing
/// if it can't be asked, which `status` reports.
pub(crate) fn refused_scripts(settings: &Settings) -> Vec<Complaint> {
    let found: Services = ask(settings, "pre-backup-actions", &["--list", "--json"]).unwrap_or_default();
    let scripts = found.services.iter().flat_map(|service| service.prepare.iter().chain(&service.after));
    let refused = |script: &Script| {
        let why = script.refused.clone().or(script.problems.first().cloned())?;
        let hint = script.hint.clone().unwrap_or_else(|| "see pre-backup-actions --list".into());
        Some(Complaint::warning(format!("{}: not run: {why}", script.path), hint))
    };
    let mut complaints: Vec<_> = scripts.filter_map(refused).collect();
    if complaints.len() > MOST {
        let more = complaints.split_off(MOST).len();
        complaints.push(Complaint::warning(
            format!("{} more would not be run", count(more, "script")),
            "see all of them: create-backrest-pipe status",
        ));
    }
    complaints
}
