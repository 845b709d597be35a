//! Which monitor of Uptime Kuma each plan pushes to.

use bridge::action::BuiltIn;
use common::settings::Settings;
use serde_json::Value;

use super::config::{list, sends};
use super::finding::Finding;

/// The setting with the push address of a plan's own monitor: its id in capitals, other characters as `_`.
pub(crate) fn variable_of(plan: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("UPTIME_KUMA_PUSH_URL_{}", plan.chars().map(plain).collect::<String>())
}

/// Plans that share a monitor, and plans whose settings would have one name.
pub(crate) fn shared(config: &Value, settings: &Settings) -> Vec<Finding> {
    let pushes = |plan: &&Value| list(plan, "hooks").iter().any(|hook| sends(hook, BuiltIn::NotifyUp));
    let plans: Vec<_> =
        list(config, "plans").iter().filter(pushes).filter_map(|plan| plan["id"].as_str()).collect();
    let mut findings = Vec::new();
    for (at, plan) in plans.iter().enumerate() {
        let is_same = |other: &&&str| variable_of(other) == variable_of(plan);
        if let Some(other) = plans[at + 1..].iter().find(is_same) {
            let variable = variable_of(plan);
            findings.push(Finding::OneName { plans: [plan.to_string(), other.to_string()], variable });
        }
    }
    let common: Vec<_> = plans.iter().filter(|plan| settings.other(&variable_of(plan)).is_none()).collect();
    if common.len() > 1 {
        findings.push(Finding::SharedMonitor { plans: common.iter().map(ToString::to_string).collect() });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::variable_of;

    #[test]
    fn a_plans_setting_is_its_id_in_capitals() {
        assert_eq!(variable_of("nightly"), "UPTIME_KUMA_PUSH_URL_NIGHTLY");
        assert_eq!(variable_of("my plan-2"), "UPTIME_KUMA_PUSH_URL_MY_PLAN_2");
    }
}
