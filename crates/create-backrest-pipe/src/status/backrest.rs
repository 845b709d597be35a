//! What Backrest's configuration needs: the exclude file where its plan looks for it, and the hooks.
//!
//! What a reader gets wrong: Backrest's configuration holds passwords and mostly belongs to root, because the
//! container runs as root. Where it can't be read, that is no fault; the way to look over the API is named.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use common::contract::status::{Check, Fix};
use common::exit::{hint_of, one_line};
use common::process::{self, End, Limits};
use common::regular_file;
use common::settings::Settings;
use common::text::{escape, escape_path, word};
use common::units;
use serde_json::Value;

use super::version::Version;
use crate::cli::LOCAL_PAGE;
use crate::hooks::api::Backrest;
use crate::hooks::config::list;
use crate::hooks::edit::{Direction, EditedConfig, edit};
use crate::hooks::finding::{self, Finding, HOOKS};
use crate::hooks::page::Page;
use crate::hooks::wiring::{Choice, Wiring};

const LARGEST_CONFIG: u64 = 64 << 20;

/// The ignore file: there, and what `build-ignore` would write now.
pub(super) fn ignore_file(settings: &Settings) -> Check {
    let name = "ignore";
    let path = escape_path(&settings.ignore_file);
    let metadata = match fs::metadata(&settings.ignore_file) {
        Ok(metadata) => metadata,
        Err(error) => {
            let why = match error.kind() {
                io::ErrorKind::NotFound => " is not there yet".into(),
                _ => format!(": {error}"),
            };
            let what = format!("{path}{why}; a backup fails without it");
            return Check::bad(name, what, Fix::ours("build-ignore"));
        }
    };
    let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    let age = age.map(|age| format!(", written {} ago", units::duration(age))).unwrap_or_default();
    let mut command = settings.command("build-ignore", &["--check"]);
    command.arg("--output").arg(&settings.ignore_file).arg("--mount").arg(&settings.mount);
    let limits = Limits::within(Duration::from_secs(600));
    match process::capture(&mut command, b"", limits, None).map(|checked| checked.end) {
        Ok(End::Exited(0)) => Check::good(name, format!("{path} is up to date{age}")),
        Ok(End::Exited(1)) => {
            let what = format!("{path} is older than the tree{age}: each backup builds it again");
            Check::note(name, what, Some(Fix::ours("build-ignore")))
        }
        _ => {
            let what = format!("{path} is there{age}; whether it is up to date could not be checked");
            Check::unknown(name, what, Fix::ours("see why: build-ignore --check"))
        }
    }
}

/// Whether each plan that backs up the roots has hooks and flag, and the version of the Backrest whose configuration
/// was read.
pub(super) fn hooks(settings: &Settings, page: Option<&Page>) -> (Vec<Check>, Option<Version>) {
    let (config, version) = match config(settings, page) {
        Ok(found) => found,
        Err(check) => return (vec![check], None),
    };
    let version = version.or_else(|| Version::of_config(&config));
    (of_config(&config, settings, page), version)
}

/// Backrest's configuration, and what its web page reveals of its version; an `Err` is why it can't be read.
fn config(settings: &Settings, page: Option<&Page>) -> Result<(Value, Option<Version>), Check> {
    match page {
        Some(page) => asked(page).map_err(|error| {
            let fix = hint_of(&error).unwrap_or("check that Backrest runs, and that this is its address");
            Check::bad(HOOKS, one_line(&error), fix)
        }),
        None => on_disk(settings).map(|config| (config, None)).map_err(|why| {
            let fix = Fix::ours("ask Backrest itself: create-backrest-pipe status --backrest URL");
            Check::unknown(HOOKS, why, fix)
        }),
    }
}

fn of_config(config: &Value, settings: &Settings, page: Option<&Page>) -> Vec<Check> {
    // With Tailscale and Uptime Kuma or without, as it was applied.
    let yes_and_no = [Some(true), Some(false)];
    let choices = yes_and_no
        .into_iter()
        .flat_map(|tailscale| yes_and_no.map(|notify| Choice { tailscale, notify, ..Choice::default() }));
    let wanted: Result<Vec<_>> = choices.map(|choice| Wiring::of(settings, choice)).collect();
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(error) => {
            return vec![Check::bad(HOOKS, one_line(&error), "set IGNORE_FILE in Backrest's .env")];
        }
    };
    let looked_after = list(config, "plans").iter().filter(|plan| is_looked_after(plan, &settings.mount));
    let ids = looked_after.filter_map(|plan| plan["id"].as_str());
    let mut checks: Vec<_> = ids.flat_map(|id| of_plan(config, id, &wanted, page)).collect();
    if checks.is_empty() {
        let mount = escape_path(&settings.mount);
        let what = format!("Backrest has no plan that backs up something below {mount}");
        return vec![Check::bad(HOOKS, what, "make a plan in Backrest with this folder as its path")];
    }
    checks.extend(finding::shared_monitors(config, settings).iter().map(|finding| finding.check(None)));
    checks
}

fn asked(page: &Page) -> Result<(Value, Option<Version>)> {
    let (backrest, config) = Backrest::open(page, Duration::ZERO)?;
    let version = backrest.page_scripts().iter().find_map(|script| Version::of_page(script));
    Ok((config, version))
}

/// Backrest's configuration as it lies on the disk, or why it can't be read.
fn on_disk(settings: &Settings) -> Result<Value, String> {
    let path = settings.data_dir.join("config/config.json");
    let naming = |why: &str| format!("{}: {why}", escape_path(&path));
    match regular_file::read(&path, LARGEST_CONFIG) {
        Ok(text) => serde_json::from_slice(&text).map_err(|_| naming("it is not JSON")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(naming("missing: Backrest has not been set up yet, or its configuration is elsewhere"))
        }
        Err(error) => Err(naming(&error.to_string())),
    }
}

fn is_looked_after(plan: &Value, mount: &Path) -> bool {
    let mut paths = list(plan, "paths").iter().filter_map(Value::as_str);
    paths.any(|path| Path::new(path).starts_with(mount))
}

fn of_plan(config: &Value, id: &str, wanted: &[Wiring], page: Option<&Page>) -> Vec<Check> {
    let address = page.map_or(LOCAL_PAGE, |page| &page.address);
    let command = format!("create-backrest-pipe hooks --apply {} --plan {}", word(address), word(id));
    let edits = wanted.iter().filter_map(|wanted| {
        let edited = edit(config, id, wanted, Direction::PutIn).ok()?;
        // What a hook that can't be read may send is not missing.
        let asks = |finding: &Finding| match finding {
            Finding::Unclear { asks, .. } => asks.clone(),
            _ => Vec::new(),
        };
        let elsewhere: Vec<_> = edited.findings.iter().flat_map(asks).collect();
        let again = Wiring { elsewhere, ..wanted.clone() };
        let changed = edit(config, id, &again, Direction::PutIn).ok()?;
        Some(EditedConfig { findings: edited.findings, ..changed })
    });
    let id = escape(id.as_bytes());
    // The nearest to what is there: with Tailscale and Uptime Kuma or without.
    let Some(edited) = edits.min_by_key(|edited| edited.difference.len()) else {
        let what = format!("plan \"{id}\" names a repository that Backrest does not have");
        return vec![Check::bad(HOOKS, what, "choose a repository for it in Backrest's web page")];
    };
    let flag = wanted.first().map(Wiring::flag).unwrap_or_default();
    let what = match (edited.changes_flag, edited.changes_hooks) {
        (false, false) => None,
        (true, false) => Some(format!("lacks the backup flag {flag}, so nothing is left out")),
        (false, true) => Some("lacks hooks, or has older ones".into()),
        (true, true) => Some(format!("lacks hooks, or has older ones, and the backup flag {flag}")),
    };
    let mut checks: Vec<_> = edited.findings.iter().map(|finding| finding.check(Some(&command))).collect();
    checks.insert(
        0,
        match what {
            None => Check::good(HOOKS, format!("plan \"{id}\" has the hooks and the backup flag")),
            Some(what) => Check::bad(HOOKS, format!("plan \"{id}\" {what}"), Fix::Ours(command.clone())),
        },
    );
    checks
}
