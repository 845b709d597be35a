//! Which monitor of Uptime Kuma each plan pushes to.

use bridge::action::BuiltIn;
use common::settings::{Settings, push_setting};
use serde_json::Value;

use super::config::{list, sends};
use super::finding::Finding;

/// Plans that share a monitor, and plans whose settings would have one name.
pub(crate) fn shared(config: &Value, settings: &Settings) -> Vec<Finding> {
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
