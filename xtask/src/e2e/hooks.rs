//! Backrest's part: hooks, restic between them, and which hooks fire when, all in the container that replaces it.
//!
//! A hook's text is a Go template; what it renders to is given to the program that its first line names, on standard
//! input. Of templates only what our hooks have is understood ([`template`]); anything else is an error.

use anyhow::{Context, Result};
use common::process::End;
use serde_json::Value;

use super::ran::Ran;
use super::template::{self, Values};
use super::world::World;

/// The name of the plan that the hooks belong to.
const PLAN: &str = "nightly";

/// The Backrests that differ in how they fire hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Firing {
    /// Before 1.9 a backup of a part of the files ends with a warning and then as a success.
    Before1_9,
    /// Before 1.11 no hook runs after the one at the start has failed.
    Before1_11,
    From1_11,
}

/// restic's exit code if it could not read all files.
const PARTIAL: i32 = 3;
/// Where restic finds its repository in the container.
pub(super) const RESTIC: [&str; 5] = ["restic", "--no-cache", "--quiet", "--repo", "/repos/e2e"];

/// How a backup went.
pub(super) struct Backup {
    /// What the START hook did.
    pub(super) start: Ran,
    /// What restic did, if it ran.
    pub(super) restic: Option<Ran>,
    /// What the hooks after it did.
    pub(super) after: Vec<Ran>,
}

/// What `create-backrest-pipe hooks` prints.
pub(super) struct Hooks {
    /// As Backrest's configuration has them.
    pub(super) hooks: Value,
    /// The backup flags of the plan, split as Backrest splits them.
    pub(super) flags: Vec<String>,
}

impl Hooks {
    /// Asks for them, with Uptime Kuma and without Tailscale.
    pub(super) fn printed(world: &World) -> Result<Hooks> {
        let printed = world.create_backrest_pipe(&["hooks", "--tailscale", "no"])?.success()?;
        let shown: Value = serde_json::from_str(&printed.stdout).context("read the printed hooks")?;
        let plan = &shown["plan"];
        let flags = plan["backup_flags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let flags = flags.flat_map(|flag| shlex::split(flag).unwrap_or_default()).collect();
        Ok(Hooks { hooks: plan["hooks"].clone(), flags })
    }

    /// Runs each hook on one of `conditions`, as for a task that made no snapshot.
    pub(super) fn fire(&self, world: &World, conditions: &[&str], error: &str) -> Result<Vec<Ran>> {
        self.fire_with(world, conditions, &Values { plan: PLAN, error, snapshot: None })
    }

    fn fire_with(&self, world: &World, conditions: &[&str], values: &Values<'_>) -> Result<Vec<Ran>> {
        let mut ran = Vec::new();
        for hook in self.hooks.as_array().context("hooks of a plan")? {
            let stands_on = hook["conditions"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let names: Vec<_> =
                stands_on.map(|name| name.strip_prefix("CONDITION_").unwrap_or(name)).collect();
            if conditions.iter().any(|condition| names.contains(condition)) {
                let text = hook["actionCommand"]["command"].as_str().context("the text of a hook")?;
                let text = template::render(text, values)?;
                let (first, rest) = text.split_once('\n').context("a hook of one line")?;
                let program = first.strip_prefix("#!").context("a hook without a program")?;
                ran.push(world.inside(&[program], rest.as_bytes())?);
            }
        }
        Ok(ran)
    }

    /// A backup as Backrest makes it, with further arguments for restic.
    pub(super) fn back_up(&self, world: &World, arguments: &[&str]) -> Result<Backup> {
        self.back_up_as(Firing::From1_11, world, arguments)
    }

    /// A backup as a Backrest makes it that fires hooks in that way.
    pub(super) fn back_up_as(&self, firing: Firing, world: &World, arguments: &[&str]) -> Result<Backup> {
        let start = self.fire(world, &["SNAPSHOT_START"], "")?.pop().context("a hook for the start")?;
        if !start.end.is_success() {
            let error = format!("hook failed: {}", start.stderr.trim_end());
            let conditions: &[_] =
                if firing == Firing::From1_11 { &["ANY_ERROR", "SNAPSHOT_ERROR"] } else { &[] };
            let after = self.fire(world, conditions, &error)?;
            return Ok(Backup { start, restic: None, after });
        }
        let restic = self.restic_backup(world, arguments)?;
        let made = Values { plan: PLAN, error: "", snapshot: Some("0123456789abcdef") };
        let partial = Values { error: "partial backup, 1 files may not have been read completely.", ..made };
        let success = ["SNAPSHOT_SUCCESS", "SNAPSHOT_END"];
        let mut after = Vec::new();
        match restic.end {
            End::Exited(0) => after.extend(self.fire_with(world, &success, &made)?),
            End::Exited(PARTIAL) => {
                after.extend(self.fire_with(world, &["SNAPSHOT_WARNING", "SNAPSHOT_END"], &partial)?);
                if firing == Firing::Before1_9 {
                    after.extend(self.fire_with(world, &success, &made)?);
                }
            }
            _ => {
                let conditions = ["SNAPSHOT_ERROR", "ANY_ERROR", "SNAPSHOT_END"];
                after.extend(self.fire(world, &conditions, restic.stderr.trim_end())?);
            }
        }
        Ok(Backup { start, restic: Some(restic), after })
    }

    /// restic alone, of what the plan backs up.
    pub(super) fn restic_backup(&self, world: &World, arguments: &[&str]) -> Result<Ran> {
        let mut words = vec!["env", "RESTIC_PASSWORD=e2e"];
        words.extend(RESTIC);
        words.push("backup");
        words.extend(self.flags.iter().map(String::as_str));
        words.extend(arguments);
        words.push("/userdata");
        world.inside(&words, b"")
    }
}

/// How many snapshots there are.
pub(super) fn snapshots(world: &World) -> Result<usize> {
    let listed = restic(world, &["snapshots", "--json"])?.success()?;
    let listed: Vec<Value> = serde_json::from_str(&listed.stdout).context("read the list of snapshots")?;
    Ok(listed.len())
}

/// restic in the container, with the right password.
pub(super) fn restic(world: &World, arguments: &[&str]) -> Result<Ran> {
    world.inside(&[&["env", "RESTIC_PASSWORD=e2e"], RESTIC.as_slice(), arguments].concat(), b"")
}
