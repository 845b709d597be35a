//! What a person should know about the hooks that a plan has: `hooks --apply` and `status` report the same findings.
//!
//! A finding is a kind with its values; its words and what to do about it are derived from that, and decide nothing.

use std::fmt;

use bridge::action::BuiltIn;
use serde_json::Value;

use super::config::{conditions_of, list, quoted, sends};
use super::reading::command_of;
use common::contract::status::{Check, Fix};
use common::settings::{Settings, push_setting};
use common::text::{count, escape};

pub(crate) const HOOKS: &str = "hooks";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The plan's paths lie elsewhere.
    BacksUpNothing { mount: String },
    /// A hook before ours stops the task at the end of a backup, and with it the hooks that follow.
    StopsTheEnd { conditions: Vec<String> },
    /// Hooks that write to the FIFO or call the old scripts.
    Old { hooks: usize },
    /// A hook that sends `pre-backups` among other commands, and whose failure does not cancel the backup.
    DoesNotCancel { hook: Name },
    /// A hook whose message claims that its failure cancels the backup, which it does not.
    MarkWithoutCancel { hook: Name },
    /// More than one hook sends the message at the same moment.
    Doubled { action: BuiltIn },
    /// A hook that names the bridge and can't be read; `asks` are the messages that it may send and no other does.
    Unclear { hook: Name, asks: Vec<BuiltIn> },
    /// A hook that `--remove` leaves where it is.
    LeftAlone { hook: Name },
    /// The backup flag stays, because a hook that stays needs it.
    FlagStays,
    /// Several plans push to one monitor.
    SharedMonitor { plans: Vec<String> },
    /// The monitors of two plans would have one setting.
    OneName { plans: [String; 2], variable: String },
}

/// A hook as a person finds it in Backrest's web page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    conditions: Vec<String>,
    line: String,
}

impl Name {
    pub(crate) fn of(hook: &Value) -> Name {
        let text = command_of(hook).unwrap_or_default();
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let line: String = line.unwrap_or_default().chars().take(60).collect();
        Name { conditions: conditions_of(hook), line: escape(line.as_bytes()) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on {} (`{}`)", self.conditions.join(", "), self.line)
    }
}

impl Finding {
    /// What it means for a person; what can't be read is neither good nor bad. `apply` is the command that applies the
    /// hooks of its plan.
    pub(crate) fn check(&self, apply: Option<&str>) -> Check {
        let wrong = |what: String, fix: &str| Check::bad(HOOKS, what, fix);
        let note = |what: String, fix: &str| Check::note(HOOKS, what, Some(fix.into()));
        match self {
            Finding::BacksUpNothing { mount } => note(
                format!(
                    "the plan backs up nothing below {mount}, where the ignore file's patterns are rooted"
                ),
                "make that folder, or one in it, a path of the plan",
            ),
            Finding::StopsTheEnd { conditions } => wrong(
                format!(
                    "a hook of your own on {} comes before post-backups and, when it fails, keeps it from running",
                    conditions.join(", ")
                ),
                "set its \"on error\" to ignore",
            ),
            Finding::Old { hooks } => Check::bad(
                HOOKS,
                format!(
                    "{} of the old scripts (writing to backrest-pipe without waiting): what they do happens twice, \
                     or is not waited for",
                    count(*hooks, "hook")
                ),
                match apply {
                    Some(apply) => Fix::ours(format!("{apply} --replace-old")),
                    None => "replace them: add --replace-old".into(),
                },
            ),
            Finding::DoesNotCancel { hook } => wrong(
                format!(
                    "a hook {hook} sends pre-backups among other commands, and a failed preparation does not cancel \
                     the backup"
                ),
                "make pre-backups a hook of its own, or set \"on error\" to cancel and send \
                 `pre-backups --failure-cancels`",
            ),
            Finding::MarkWithoutCancel { hook } => wrong(
                format!(
                    "a hook {hook} sends --failure-cancels, but its failure does not cancel the backup: services \
                     would be started again while they are backed up"
                ),
                "set its \"on error\" to cancel",
            ),
            Finding::Doubled { action } => wrong(
                format!("more than one hook sends {} at the same moment", action.name()),
                "take one of them out in Backrest's web page",
            ),
            Finding::Unclear { hook, asks } => {
                let names: Vec<_> = asks.iter().map(|action| action.name()).collect();
                let may = if asks.is_empty() { "" } else { "; it may send " };
                let what = format!(
                    "a hook {hook} names the bridge in a way that can't be read, and is left as it is{may}{}",
                    names.join(", ")
                );
                Check::unknown(HOOKS, what, "send each message in a line of its own, in a hook of its own")
            }
            Finding::LeftAlone { hook } => note(
                format!("a hook {hook} still uses the bridge and is left as it is"),
                "take it out in Backrest's web page",
            ),
            Finding::FlagStays => note(
                "the backup flag stays, because a hook that stays needs it".into(),
                "take it out in Backrest's web page",
            ),
            Finding::OneName { plans: [one, other], variable } => wrong(
                format!("the monitors of plans {} and {} are both {variable}", quoted(one), quoted(other)),
                "give one of the plans another id",
            ),
            Finding::SharedMonitor { plans } => {
                let plans: Vec<_> = plans.iter().map(|plan| quoted(plan)).collect();
                note(
                    format!(
                        "plans {} push to one monitor: a backup of one that is up hides one of another that is down",
                        plans.join(", ")
                    ),
                    "give each plan a monitor: UPTIME_KUMA_PUSH_URL_<PLAN> in Backrest's .env",
                )
            }
        }
    }
}

/// Plans that share a monitor, and plans whose settings would have one name.
pub(crate) fn shared_monitors(config: &Value, settings: &Settings) -> Vec<Finding> {
    let pushes = |plan: &&Value| list(plan, "hooks").iter().any(|hook| sends(hook, BuiltIn::NotifyUp));
    let plans: Vec<_> =
        list(config, "plans").iter().filter(pushes).filter_map(|plan| plan["id"].as_str()).collect();
    let mut findings = Vec::new();
    for (at, plan) in plans.iter().enumerate() {
        let is_same = |other: &&&str| push_setting(other) == push_setting(plan);
        if let Some(other) = plans[at + 1..].iter().find(is_same) {
            let variable = push_setting(plan);
            findings.push(Finding::OneName { plans: [plan.to_string(), other.to_string()], variable });
        }
    }
    let common: Vec<_> = plans.iter().filter(|plan| settings.other(&push_setting(plan)).is_none()).collect();
    if common.len() > 1 {
        findings.push(Finding::SharedMonitor { plans: common.iter().map(ToString::to_string).collect() });
    }
    findings
}
