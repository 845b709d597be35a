//! Puts the hooks and the flag into Backrest's configuration, or takes them out, and says what is different. A plain
//! function from JSON to JSON: every field that it does not know stays as it is.
//!
//! What a reader gets wrong: the flags of a plan are `backup_flags` in Backrest's JSON, in snake case among fields in
//! camel case; `backupFlags` would be dropped without a word.

use anyhow::{Result, anyhow, bail};
use common::exit::HintExt;
use common::text::escape;
use serde_json::{Value, json};

use super::wanted::{Wanted, is_ours};

/// A changed configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edited {
    pub(crate) config: Value,
    /// What is different, for a person; empty where nothing is.
    pub(crate) difference: Vec<String>,
    /// What the person should know about the plan as it is.
    pub(crate) notes: Vec<String>,
}

/// What is to be done with our hooks and our flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    PutIn,
    TakeOut,
}

/// Changes `plan` in `config`. Fails where there is no such plan.
pub(crate) fn edit(config: &Value, plan: &str, wanted: &Wanted, direction: Direction) -> Result<Edited> {
    let mut edited = Edited { config: config.clone(), difference: Vec::new(), notes: Vec::new() };
    let plans = list(&edited.config, "plans");
    let Some(place) = plans.iter().position(|there| there["id"] == plan) else {
        let names: Vec<_> = plans.iter().filter_map(|there| there["id"].as_str()).map(quoted).collect();
        let hint = match names.as_slice() {
            [] => "make a plan in Backrest first".to_string(),
            names => format!("its plans are {}", names.join(", ")),
        };
        return Err(anyhow!("Backrest has no plan {}", quoted(plan))).hint(hint);
    };
    let repo = edited.config["plans"][place]["repo"].as_str().unwrap_or_default().to_string();
    let is_alone = !plans.iter().any(|other| {
        other["id"] != plan && other["repo"] == repo.as_str() && list(other, "hooks").iter().any(is_ours)
    });
    let (plan_hooks, repo_hooks) = match direction {
        Direction::PutIn => (wanted.plan_hooks.as_slice(), Some(wanted.repo_hooks.as_slice())),
        // Another plan of the same repository may still need its hooks.
        Direction::TakeOut => ([].as_slice(), is_alone.then_some([].as_slice())),
    };

    let there = &mut edited.config["plans"][place];
    notes(there, wanted, &mut edited.notes);
    let mut lines = change_hooks(there, plan_hooks)?;
    lines.extend(change_flag(there, wanted, direction)?);
    if !lines.is_empty() {
        edited.difference.push(format!("plan {}", quoted(plan)));
        edited.difference.append(&mut lines);
    }
    let repos = edited.config.get_mut("repos").and_then(Value::as_array_mut);
    let repo_there = repos.and_then(|repos| repos.iter_mut().find(|there| there["id"] == repo.as_str()));
    match (repo_there, repo_hooks) {
        (Some(there), Some(hooks)) => {
            let lines = change_hooks(there, hooks)?;
            if !lines.is_empty() {
                edited.difference.push(format!("repository {}", quoted(&repo)));
                edited.difference.extend(lines);
            }
        }
        (None, Some(hooks)) if !hooks.is_empty() => {
            bail!("plan {} names a repository that Backrest does not have: {}", quoted(plan), quoted(&repo))
        }
        _ => {}
    }
    if direction == Direction::PutIn {
        let repos = list(&edited.config, "repos").iter().filter(|there| there["id"] == repo.as_str());
        let first = repos.flat_map(|repo| list(repo, "hooks"));
        // The repository's hooks run first, then the plan's in their order.
        let before =
            first.chain(list(&edited.config["plans"][place], "hooks").iter().take_while(|h| !is_ours(h)));
        edited.notes.extend(before.filter(|hook| can_stop_the_end(hook)).map(|hook| {
            let conditions = conditions_of(hook).join(", ");
            format!(
                "a hook of your own on {conditions} comes before post-backups and, when it fails, keeps it from \
                 running: set its \"on error\" to ignore"
            )
        }));
    }
    Ok(edited)
}

/// Whether `hook`, when it fails at the end of a backup, keeps the hooks after it from running.
fn can_stop_the_end(hook: &Value) -> bool {
    let at_an_end = |condition: &String| {
        condition == "ANY_ERROR" || condition.starts_with("SNAPSHOT_") && condition != "SNAPSHOT_START"
    };
    let halts = hook.get("onError").is_some_and(|on_error| on_error != "ON_ERROR_IGNORE");
    !is_ours(hook) && halts && conditions_of(hook).iter().any(at_an_end)
}

/// The hook's conditions without what all of them begin with.
fn conditions_of(hook: &Value) -> Vec<String> {
    let names = list(hook, "conditions").iter().filter_map(Value::as_str);
    names.map(|name| escape(name.trim_start_matches("CONDITION_").as_bytes())).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", escape(name.as_bytes()))
}

/// The list in a field; protobuf's JSON leaves an empty one out.
fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
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

/// Puts `wanted` where our hooks stood, or at the end, and keeps all others in their order.
fn change_hooks(object: &mut Value, wanted: &[Value]) -> Result<Vec<String>> {
    let old = list(object, "hooks").to_vec();
    let place = old.iter().position(is_ours).unwrap_or(old.len());
    let others =
        |hooks: &[Value]| -> Vec<Value> { hooks.iter().filter(|hook| !is_ours(hook)).cloned().collect() };
    let new = [others(&old[..place]), wanted.to_vec(), others(&old[place..])].concat();
    if new == old {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    for gone in old.iter().filter(|hook| is_ours(hook) && !wanted.contains(hook)) {
        lines.extend(in_words('-', gone));
    }
    for added in wanted.iter().filter(|hook| !old.contains(hook)) {
        lines.extend(in_words('+', added));
    }
    if lines.is_empty() {
        lines.push("  ~ the order of the hooks".into());
    }
    set_list(object, "hooks", new)?;
    Ok(lines)
}

fn in_words(sign: char, hook: &Value) -> Vec<String> {
    let halts = if hook.get("onError").is_some() { ", which stops it when this fails" } else { "" };
    let mut lines = vec![format!("  {sign} hook on {}{halts}", conditions_of(hook).join(", "))];
    let command = hook.pointer("/actionCommand/command").and_then(Value::as_str).unwrap_or_default();
    lines.extend(command.lines().map(|line| format!("  {sign}     {}", escape(line.as_bytes()))));
    lines
}

fn change_flag(plan: &mut Value, wanted: &Wanted, direction: Direction) -> Result<Vec<String>> {
    let old = list(plan, "backup_flags").to_vec();
    let is_flag = |flag: &Value| flag.as_str().is_some_and(|flag| names_ignore_file(flag, wanted));
    let (new, line) = match (direction, old.iter().any(is_flag)) {
        (Direction::PutIn, true) | (Direction::TakeOut, false) => return Ok(Vec::new()),
        (Direction::PutIn, false) => {
            let flag = wanted.flag();
            ([old, vec![json!(flag)]].concat(), format!("  + backup flag {}", escape(flag.as_bytes())))
        }
        (Direction::TakeOut, true) => {
            let (gone, kept): (Vec<_>, Vec<_>) = old.into_iter().partition(is_flag);
            let gone = gone.iter().filter_map(Value::as_str).map(|flag| escape(flag.as_bytes()));
            (kept, format!("  - backup flag {}", gone.collect::<Vec<_>>().join(", ")))
        }
    };
    set_list(plan, "backup_flags", new)?;
    Ok(vec![line])
}

/// Whether `flag`, split as Backrest splits it, is the one for our ignore file and nothing else.
fn names_ignore_file(flag: &str, wanted: &Wanted) -> bool {
    match shlex::split(flag).unwrap_or_default().as_slice() {
        [one] => one.strip_prefix("--exclude-file=") == Some(&wanted.ignore_file),
        [name, file] => name == "--exclude-file" && *file == wanted.ignore_file,
        _ => false,
    }
}

fn notes(plan: &Value, wanted: &Wanted, notes: &mut Vec<String>) {
    let paths: Vec<_> = list(plan, "paths").iter().filter_map(Value::as_str).collect();
    if !paths.iter().any(|path| std::path::Path::new(path).starts_with(&wanted.mount)) {
        let mount = escape(wanted.mount.as_os_str().as_encoded_bytes());
        notes.push(format!(
            "the plan backs up nothing below {mount}, where the ignore file's patterns are rooted"
        ));
    }
    let is_old = |hook: &Value| {
        let command = hook.pointer("/actionCommand/command").and_then(Value::as_str).unwrap_or_default();
        !is_ours(hook) && command.contains("backrest-pipe")
    };
    let old = list(plan, "hooks").iter().filter(|hook| is_old(hook)).count();
    if old > 0 {
        let hooks = common::text::count(old, "hook");
        notes.push(format!(
            "the plan has {hooks} of its own writing to backrest-pipe: take out what is double now"
        ));
    }
}

#[cfg(test)]
mod tests;
