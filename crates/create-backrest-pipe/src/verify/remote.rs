//! What is asked of Backrest: its newest snapshot, a listing by restic, a file's content.
//!
//! What a reader gets wrong: everything that comes back is data of an untrusted container. Sizes are bounded, ids are
//! checked before they become part of a command, and no name is used as a path on this host. And Backrest reports a
//! command that failed, or whose output was cut, as an error without an operation: that operation is then looked for.

use std::io::BufReader;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use common::exit::HintExt;
use common::text::escape;
use serde::Deserialize;
use serde_json::{Value, json};

use super::entry::{EntryKind, SnapshotEntry, is_name};
use super::streams::{download_path, each_of, pump, read_log};
use crate::hooks::api::{Backrest, Refused, is};
use crate::hooks::config::{list, plan_at, quoted};
use crate::hooks::page::Page;

/// Backrest keeps no more of a command's output than 2,000,000 bytes. A command that failed after more than this was
/// cut.
const SURELY_CUT: u64 = 1_000_000;
/// The listing of one folder with a few million names.
const LARGEST_FOLDER: u64 = 2 << 30;
/// A listing reads the repository's index first, perhaps from the other end of the world.
const COMMAND_TIME: Duration = Duration::from_secs(3600);
/// A Backrest that restarts is back by then.
const RESTART_TIME: Duration = Duration::from_secs(120);
/// How often one request is repeated after Backrest was away.
const ATTEMPTS: u32 = 3;

pub(super) struct Remote {
    backrest: Backrest,
    page: Page,
    /// How long a busy Backrest is waited for.
    patience: Duration,
    repo: String,
    pub(super) config: Value,
    pub(super) plan: Value,
    pub(super) operations: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) id: String,
    /// When it was made, in milliseconds since 1970.
    pub(super) at: i64,
    /// When the backup began with its hooks, likewise.
    pub(super) began: i64,
    /// The operation by which its files are read.
    operation: String,
    /// A later backup of the plan failed.
    pub(super) is_outdated: bool,
}

impl Remote {
    pub(super) fn open(page: Page, patience: Duration) -> Result<Remote> {
        let (backrest, config) = Backrest::open(&page, Duration::ZERO)?;
        let plan = config["plans"][plan_at(&config, &page.plan_in(&config)?)?].clone();
        let repo = plan["repo"].as_str().unwrap_or_default().to_string();
        let has_repo = list(&config, "repos").iter().any(|one| one["id"] == repo.as_str());
        ensure!(has_repo, "Backrest has no repository {}", quoted(&repo));
        Ok(Remote { backrest, page, patience, repo, config, plan, operations: 0 })
    }

    pub(super) fn plan_id(&self) -> &str {
        self.plan["id"].as_str().unwrap_or_default()
    }

    /// The plan's newest snapshot, as the repository has it.
    pub(super) fn newest_snapshot(&mut self) -> Result<Snapshot> {
        self.wait_until_idle()?;
        let asked = json!({ "repoId": self.repo, "planId": self.plan_id() });
        let answer = self.retrying(|backrest| {
            backrest
                .ask_within("v1.Backrest/ListSnapshots", &asked, COMMAND_TIME)
                .context("list the snapshots")
        })?;
        let snapshots = list(&answer, "snapshots").iter();
        let newest = snapshots
            .max_by_key(|snapshot| number(&snapshot["unixTimeMs"]))
            .ok_or_else(|| anyhow!("plan \"{}\" has no snapshot yet", escape(self.plan_id().as_bytes())));
        let newest = newest.hint("start a backup of the plan in Backrest's web page")?;
        let id = newest["id"].as_str().unwrap_or_default().to_string();
        let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        ensure!(is_id, "list the snapshots: Backrest answered with an id that is not one of restic");
        let at = number(&newest["unixTimeMs"]).unwrap_or_default();
        let operations = self.find_operations(&json!({ "snapshotId": id }), 100)?;
        let index = operations.iter().rfind(|one| one.get("operationIndexSnapshot").is_some());
        let operation = index
            .and_then(|one| number(&one["id"]))
            .ok_or_else(|| anyhow!("Backrest has not indexed the newest snapshot {}", &id[..8]));
        let operation = operation.hint("press \"Index Snapshots\" on the repository's page in Backrest")?;
        let began = operations.iter().filter(|one| one.get("operationBackup").is_some());
        let began =
            began.filter_map(|one| number(&one["unixTimeStartMs"])).min().map_or(at, |began| began.min(at));
        let is_outdated = self.last_backup_failed(at)?;
        Ok(Snapshot { id, at, began, operation: operation.to_string(), is_outdated })
    }

    /// Whether the plan's last backup failed after the moment `at`.
    fn last_backup_failed(&mut self, at: i64) -> Result<bool> {
        let mut selector = json!({ "planId": self.plan_id() });
        if let Some(instance) = self.config["instance"].as_str() {
            selector["instanceId"] = instance.into();
        }
        let operations = self.find_operations(&selector, 500)?;
        let is_real = |one: &&Value| {
            one.get("operationBackup").is_some_and(|backup| backup["dryRun"] != true)
                && one["status"] != "STATUS_PENDING"
        };
        let last = operations.iter().filter(is_real).max_by_key(|one| number(&one["unixTimeStartMs"]));
        Ok(last.is_some_and(|last| {
            let failed = ["STATUS_ERROR", "STATUS_SYSTEM_CANCELLED", "STATUS_USER_CANCELLED"];
            let is_later = number(&last["unixTimeStartMs"]).is_some_and(|began| began > at);
            is_later && last["status"].as_str().is_some_and(|status| failed.contains(&status))
        }))
    }

    /// Runs restic with these words and returns its output; `None` if there was more than Backrest keeps.
    pub(super) fn run(&mut self, words: &[&str]) -> Result<Option<Vec<u8>>> {
        self.wait_until_idle()?;
        self.operations += 1;
        let command = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
        let asked = json!({ "repoId": self.repo, "command": command });
        let run = self.retrying(|backrest| {
            let answer = backrest.ask_within("v1.Backrest/RunCommand", &asked, COMMAND_TIME);
            match answer {
                // What it was is found out below; a login is repeated, a Backrest that is away is waited for.
                Err(error) if is(&error, |refused| !refused.is_unauthorized() && !refused.is_away()) => {
                    Ok(Err(error))
                }
                answer => answer.map(Ok),
            }
        });
        let error = match run.context("list the snapshot")? {
            Ok(answer) => {
                let id =
                    number(&answer["operationId"]).context("list the snapshot: no operation was made")?;
                return self.output_of(id).context("list the snapshot");
            }
            Err(error) => error,
        };
        let operations = self.find_operations(&json!({}), 50)?;
        let own = operations.iter().rfind(|one| one["operationRunCommand"]["command"] == command.as_str());
        let size = own.and_then(|own| number(&own["operationRunCommand"]["outputSizeBytes"]));
        match size {
            Some(size) if size.unsigned_abs() > SURELY_CUT => Ok(None),
            _ => Err(error.context("list the snapshot")),
        }
    }

    fn output_of(&mut self, id: i64) -> Result<Option<Vec<u8>>> {
        let end = Instant::now() + COMMAND_TIME;
        let operation = loop {
            let operations = self.find_operations(&json!({ "ids": [id.to_string()] }), 1)?;
            let operation = operations.into_iter().next().context("Backrest does not know its operation")?;
            let is_open =
                matches!(operation["status"].as_str(), Some("STATUS_PENDING" | "STATUS_INPROGRESS"));
            if !is_open || Instant::now() > end {
                break operation;
            }
            std::thread::sleep(Duration::from_millis(500));
        };
        let command = &operation["operationRunCommand"];
        let size = number(&command["outputSizeBytes"]).unwrap_or_default().unsigned_abs();
        if operation["status"] != "STATUS_SUCCESS" {
            ensure!(size > SURELY_CUT, "the command failed: see the operation in Backrest's web page");
            return Ok(None);
        }
        let log = command["outputLogref"].as_str().context("its output is not kept")?.to_string();
        let output = self.retrying(|backrest| read_log(backrest, &log, COMMAND_TIME))?;
        ensure!(output.len() as u64 == size, "{} of {size} bytes of its output came", output.len());
        Ok(Some(output))
    }

    /// Hands on what is directly in one folder of the snapshot, however many names these are, in restic's order; first
    /// and after a break `None`, because then all of it comes again.
    pub(super) fn folder(
        &mut self,
        snapshot: &Snapshot,
        folder: &str,
        each: &mut dyn FnMut(Option<SnapshotEntry>) -> Result<()>,
    ) -> Result<()> {
        self.wait_until_idle()?;
        let asked = json!({ "repoId": self.repo, "snapshotId": snapshot.id, "path": folder });
        let body = serde_json::to_vec(&asked)?;
        let is_in_it = |path: &str| {
            path == folder
                || path.strip_prefix(folder).and_then(|below| below.strip_prefix('/')).is_some_and(is_name)
        };
        let read = |backrest: &Backrest| {
            each(None)?;
            let answer =
                backrest.post("v1.Backrest/ListSnapshotFiles", "application/json", &body, COMMAND_TIME)?;
            let body = answer.into_body().into_with_config().limit(LARGEST_FOLDER).reader();
            let body = BufReader::with_capacity(256 << 10, body);
            let mut hand_on = |listed: Listed| match listed.entry().filter(|entry| is_in_it(&entry.path)) {
                Some(entry) => each(Some(entry)),
                None => Ok(()),
            };
            each_of("entries", body, &mut hand_on).context("the answer can't be read")
        };
        let read = self.retrying(read);
        read.with_context(|| format!("list a folder of the snapshot: {}", escape(folder.as_bytes())))
    }

    /// Reads a file of the snapshot and hands its content on piece by piece, at most `size` bytes and a byte more.
    /// Returns how many bytes came: a stream that breaks ends early, and that is not an error. `each` gets the offset
    /// too, because after a break all is read again.
    pub(super) fn read(
        &mut self,
        snapshot: &Snapshot,
        path: &str,
        size: u64,
        each: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<u64> {
        let asked = json!({ "opId": snapshot.operation, "filePath": path });
        let mut read = 0;
        // A stream that ends early may be a broken pack or a Backrest that was restarted: once more shows which.
        for _ in 0..2 {
            self.wait_until_idle()?;
            read = self.retrying(|backrest| {
                let answer = backrest.ask("v1.Backrest/GetDownloadURL", &asked)?;
                let address = download_path(answer["value"].as_str().unwrap_or_default())
                    .context("Backrest answered with an address that is not a download")?;
                let response = match backrest.get(&address, COMMAND_TIME * 24) {
                    // restic could not read it at all: nothing came.
                    Err(error) if is(&error, |refused| !refused.is_away()) => return Ok(0),
                    response => response?,
                };
                pump(response.into_body().into_with_config().limit(size + 1).reader(), size, each)
            })?;
            if read == size {
                break;
            }
        }
        Ok(read)
    }

    fn find_operations(&mut self, selector: &Value, last: u32) -> Result<Vec<Value>> {
        let mut asked = json!({ "selector": selector });
        if selector.get("ids").is_none() {
            asked["lastN"] = last.to_string().into();
        }
        let answer = self.retrying(|backrest| {
            backrest.ask("v1.Backrest/GetOperations", &asked).context("ask for Backrest's operations")
        })?;
        Ok(list(&answer, "operations").to_vec())
    }

    fn wait_until_idle(&mut self) -> Result<()> {
        let end = Instant::now() + self.patience;
        let mut pause = Duration::from_millis(200);
        loop {
            let running = self.retrying(Backrest::running)?;
            if running.is_empty() {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(anyhow!("Backrest is busy: {running}"))
                    .hint("run this again when that is done, or wait longer with --wait TIME");
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }

    /// Makes `attempt` again after Backrest was away, as it is while it restarts, or does not know the login any more.
    fn retrying<T>(&mut self, mut attempt: impl FnMut(&Backrest) -> Result<T>) -> Result<T> {
        for _ in 1..ATTEMPTS {
            let error = match attempt(&self.backrest) {
                Err(error) if may_pass(&error) => error,
                result => return result,
            };
            common::note!("waiting for Backrest: {}", common::exit::one_line(&error));
            let (backrest, _) = Backrest::open(&self.page, RESTART_TIME)?;
            self.backrest = backrest;
        }
        attempt(&self.backrest)
    }
}

/// Whether another attempt may succeed: the connection failed, or the login is not known any more.
fn may_pass(error: &anyhow::Error) -> bool {
    let is_refused = is(error, |_| true);
    let is_connection = error.chain().any(|cause| cause.is::<ureq::Error>() || cause.is::<std::io::Error>());
    let passes = |refused: &Refused| refused.is_unauthorized() || refused.is_away();
    if is_refused { is(error, passes) } else { is_connection }
}

/// protobuf's JSON has 64-bit numbers as strings, and leaves out zero.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// A word as Backrest's reader of command lines takes it apart again.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    path: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    size: Value,
    #[serde(default)]
    mtime: String,
}

impl Listed {
    fn entry(self) -> Option<SnapshotEntry> {
        let kind = match self.kind.as_str() {
            "dir" => EntryKind::Folder,
            "file" => EntryKind::File,
            _ => EntryKind::Other,
        };
        let modified = self.mtime.parse::<jiff::Timestamp>().ok()?.as_second();
        let size = number(&self.size).unwrap_or_default().unsigned_abs();
        Some(SnapshotEntry { path: self.path, kind, size, modified })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        assert_eq!(quote("it's # a \"name\" $x\n"), "'it'\\''s # a \"name\" $x\n'");
    }
}
