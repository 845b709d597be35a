//! Puts the hooks and the flag into Backrest's configuration, or takes them out, and reports what is different. A plain
//! function from JSON to JSON: every field that it does not know stays as it is, in hooks as well.
//!
//! What a reader gets wrong: the flags of a plan are `backup_flags` in Backrest's JSON, in snake case among fields in
//! camel case; `backupFlags` would be dropped without a word.

mod merge;

use std::path::Path;

use anyhow::{Result, bail};
use bridge::action::BuiltIn;
use bridge::message::Message;
use bridge::request::Preparation;
use common::text::escape;
use serde_json::{Value, json};

use super::config::{cancels, conditions_of, halts, list, plan_at, quoted, sends};
use super::finding::{Finding, Name};
use super::reading::{self, Reading, command_of, messages_of};
use super::wiring::{self, Hooks, Wiring};

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EditedConfig {
    pub(crate) config: Value,
    /// What is different, for a person; empty if nothing is.
    pub(crate) difference: Vec<String>,
    pub(crate) changes_hooks: bool,
    pub(crate) changes_flag: bool,
    /// What the person should know about the plan as it is.
    pub(crate) findings: Vec<Finding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    PutIn,
    TakeOut,
}

/// Changes `plan` in `config`. Fails if there is no such plan.
pub(crate) fn edit(
    config: &Value,
    plan: &str,
    wiring: &Wiring,
    direction: Direction,
) -> Result<EditedConfig> {
    let mut edited = EditedConfig { config: config.clone(), ..EditedConfig::default() };
    let plans = list(config, "plans");
    let place = plan_at(config, plan)?;
    let repo = plans[place]["repo"].as_str().unwrap_or_default().to_string();
    let repo_place = list(config, "repos").iter().position(|there| there["id"] == repo.as_str());
    let hooks = needed_hooks(config, &plans[place], wiring);
    if direction == Direction::PutIn && !hooks.repo.is_empty() && repo_place.is_none() {
        bail!("plan {} names a repository that Backrest does not have: {}", quoted(plan), quoted(&repo));
    }
    let uses_bridge = |hook: &Value| reading::read(hook) != Reading::Unrelated;
    let needed_elsewhere = plans.iter().any(|other| {
        other["id"] != plan && other["repo"] == repo.as_str() && list(other, "hooks").iter().any(uses_bridge)
    });

    let mut parts = vec![(format!("plan {}", quoted(plan)), "plans", place, hooks.plan)];
    // Another plan of the same repository may still need its hooks.
    if direction == Direction::PutIn || !needed_elsewhere {
        parts.extend(repo_place.map(|at| (format!("repository {}", quoted(&repo)), "repos", at, hooks.repo)));
    }
    for (title, field, at, needed) in parts {
        let there = &mut edited.config[field][at];
        let old = list(there, "hooks").to_vec();
        let (hooks, findings) = match direction {
            Direction::PutIn => merge::put_in(&old, field == "plans", &needed, wiring.replaces_old),
            Direction::TakeOut => merge::take_out(&old, wiring.replaces_old),
        };
        edited.findings.extend(findings);
        let mut lines = differences(&old, &hooks);
        edited.changes_hooks |= hooks != old;
        set_list(there, "hooks", hooks)?;
        if field == "plans" {
            let flag = change_flag(there, wiring, direction, &mut edited.findings)?;
            edited.changes_flag = flag.is_some();
            lines.extend(flag);
        }
        if !lines.is_empty() {
            edited.difference.push(title);
            edited.difference.append(&mut lines);
        }
    }
    if direction == Direction::PutIn {
        about(&edited.config, place, repo_place, wiring, &mut edited.findings);
    }
    Ok(edited)
}

/// The hooks that `plan` should have: its preparations keep their key and their services.
fn needed_hooks(config: &Value, plan: &Value, wiring: &Wiring) -> Hooks {
    let first = |action: BuiltIn| {
        let mut messages = list(plan, "hooks").iter().flat_map(messages_of);
        let message = messages.find(|message| message.built_in() == Some(action))?;
        Preparation::parse(&message.text).ok()
    };
    let (prepare, undo) = (first(BuiltIn::PreBackups), first(BuiltIn::PostBackups));
    let is_own = |key: &Preparation| {
        key.key.as_ref().is_some_and(|text| text.contains("{{"))
            || key.plan().as_deref() == plan["id"].as_str()
    };
    let kept = prepare.as_ref().filter(|there| {
        undo.as_ref().is_some_and(|undo| undo.key == there.key && there.key.is_some() && is_own(there))
    });
    let key = kept.and_then(|there| there.key.clone());
    let key = key.unwrap_or_else(|| wiring::key_of(config["instance"].as_str()));
    let services = wiring.services.clone().or(prepare.map(|there| there.services)).unwrap_or_default();
    wiring.hooks(&key, &services)
}

/// What is to be known about a plan that has its hooks.
fn about(config: &Value, place: usize, repo: Option<usize>, wiring: &Wiring, findings: &mut Vec<Finding>) {
    let plan = &config["plans"][place];
    let paths: Vec<_> = list(plan, "paths").iter().filter_map(Value::as_str).collect();
    if !paths.iter().any(|path| Path::new(path).starts_with(&wiring.mount)) {
        let mount = escape(wiring.mount.as_os_str().as_encoded_bytes());
        findings.push(Finding::BacksUpNothing { mount });
    }
    // The repository's hooks run first, then the plan's in their order.
    let first = repo.map(|at| list(&config["repos"][at], "hooks")).unwrap_or_default();
    let undoes = |hook: &&Value| !sends(hook, BuiltIn::PostBackups);
    let before = first.iter().chain(list(plan, "hooks").iter().take_while(undoes));
    let stopping = before.filter(|hook| can_stop_the_end(hook));
    findings.extend(stopping.map(|hook| Finding::StopsTheEnd { conditions: conditions_of(hook) }));
    for action in [BuiltIn::PreBackups, BuiltIn::PostBackups] {
        let sending: Vec<_> = list(plan, "hooks").iter().filter(|hook| sends(hook, action)).collect();
        let shares =
            |one: &Value, other: &Value| conditions_of(one).iter().any(|c| conditions_of(other).contains(c));
        let is_doubled =
            sending.iter().enumerate().any(|(at, one)| sending[at + 1..].iter().any(|o| shares(one, o)));
        findings.extend(is_doubled.then_some(Finding::Doubled { action }));
    }
    for hook in list(plan, "hooks").iter().chain(first) {
        let sent = messages_of(hook);
        let prepare = sent.iter().find(|sent| sent.built_in() == Some(BuiltIn::PreBackups));
        let Some(prepare) = prepare else { continue };
        let is_marked = Preparation::parse(&prepare.text).is_ok_and(|text| text.failure_cancels);
        match (is_marked, cancels(hook)) {
            (true, false) => findings.push(Finding::MarkWithoutCancel { hook: Name::of(hook) }),
            (false, false) => findings.push(Finding::DoesNotCancel { hook: Name::of(hook) }),
            _ => {}
        }
    }
}

/// Whether `hook`, when it fails at the end of a backup, keeps the hooks after it from running.
fn can_stop_the_end(hook: &Value) -> bool {
    let at_an_end = |condition: &String| {
        condition == "ANY_ERROR" || condition.starts_with("SNAPSHOT_") && condition != "SNAPSHOT_START"
    };
    halts(hook) && conditions_of(hook).iter().any(at_an_end)
}

fn set_list(object: &mut Value, field: &str, list: Vec<Value>) -> Result<()> {
    let Some(fields) = object.as_object_mut() else { bail!("Backrest's answer is not a configuration") };
    if list.is_empty() {
        fields.shift_remove(field);
    } else {
        fields.insert(field.into(), list.into());
    }
    Ok(())
}

fn differences(old: &[Value], new: &[Value]) -> Vec<String> {
    if old == new {
        return Vec::new();
    }
    let gone = old.iter().filter(|hook| !new.contains(hook)).flat_map(|hook| in_words('-', hook));
    let added = new.iter().filter(|hook| !old.contains(hook)).flat_map(|hook| in_words('+', hook));
    let lines: Vec<_> = gone.chain(added).collect();
    if lines.is_empty() { vec!["  ~ the order of the hooks".into()] } else { lines }
}

fn in_words(sign: char, hook: &Value) -> Vec<String> {
    let halts = if hook.get("onError").is_some() { ", which stops it when this fails" } else { "" };
    let mut lines = vec![format!("  {sign} hook on {}{halts}", conditions_of(hook).join(", "))];
    let command = command_of(hook).unwrap_or_default();
    lines.extend(command.lines().map(|line| format!("  {sign}     {}", escape(line.as_bytes()))));
    lines
}

/// Puts the flag in or takes it out. It stays as long as a hook builds the ignore file, or may do so.
fn change_flag(
    plan: &mut Value,
    wiring: &Wiring,
    direction: Direction,
    findings: &mut Vec<Finding>,
) -> Result<Option<String>> {
    let old = list(plan, "backup_flags").to_vec();
    let is_flag = |flag: &Value| flag.as_str().is_some_and(|flag| names_ignore_file(flag, wiring));
    let (new, line) = match (direction, old.iter().any(is_flag)) {
        (Direction::PutIn, true) | (Direction::TakeOut, false) => return Ok(None),
        (Direction::PutIn, false) => {
            let flag = wiring.flag();
            ([old, vec![json!(flag)]].concat(), format!("  + backup flag {}", escape(flag.as_bytes())))
        }
        (Direction::TakeOut, true) if list(plan, "hooks").iter().any(builds_ignore_file) => {
            findings.push(Finding::FlagStays);
            return Ok(None);
        }
        (Direction::TakeOut, true) => {
            let (gone, kept): (Vec<_>, Vec<_>) = old.into_iter().partition(is_flag);
            let gone = gone.iter().filter_map(Value::as_str).map(|flag| escape(flag.as_bytes()));
            (kept, format!("  - backup flag {}", gone.collect::<Vec<_>>().join(", ")))
        }
    };
    set_list(plan, "backup_flags", new)?;
    Ok(Some(line))
}

fn builds_ignore_file(hook: &Value) -> bool {
    let builds =
        |message: &Message| matches!(message.built_in(), Some(BuiltIn::PreBackups | BuiltIn::BuildIgnore));
    reading::read(hook).may_send(builds)
}

/// Whether `flag`, split as Backrest splits it, is the one for our ignore file and nothing else.
fn names_ignore_file(flag: &str, wiring: &Wiring) -> bool {
    match shlex::split(flag).unwrap_or_default().as_slice() {
        [one] => one.strip_prefix("--exclude-file=") == Some(&wiring.ignore_file),
        [name, file] => name == "--exclude-file" && *file == wiring.ignore_file,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
