//! Backrest's configuration as JSON: what a hook, a plan or a repository holds.

use anyhow::{Result, anyhow};
use bridge::action::BuiltIn;
use common::exit::HintExt;
use common::text::escape;
use serde_json::Value;

use super::reading::messages_of;

/// The `onError` whose failing hook stops the backup.
pub(crate) const CANCEL: &str = "ON_ERROR_CANCEL";

pub(crate) fn cancels(hook: &Value) -> bool {
    hook["onError"] == CANCEL || hook["onError"] == "ON_ERROR_FATAL"
}

/// Whether a failure of `hook` stops the hooks after it.
pub(crate) fn halts(hook: &Value) -> bool {
    hook.get("onError").is_some_and(|on_error| on_error != "ON_ERROR_IGNORE")
}

/// Whether `hook` sends the message and waits for it.
pub(crate) fn sends(hook: &Value, action: BuiltIn) -> bool {
    messages_of(hook).iter().any(|message| message.built_in() == Some(action))
}

/// The hook's conditions without what all of them begin with.
pub(crate) fn conditions_of(hook: &Value) -> Vec<String> {
    let names = list(hook, "conditions").iter().filter_map(Value::as_str);
    names.map(|name| escape(name.trim_start_matches("CONDITION_").as_bytes())).collect()
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", escape(name.as_bytes()))
}

/// The place of a plan among the plans. Fails, with those that there are, if there is no such plan.
pub(crate) fn plan_at(config: &Value, plan: &str) -> Result<usize> {
    let plans = list(config, "plans");
    if let Some(at) = plans.iter().position(|there| there["id"] == plan) {
        return Ok(at);
    }
    let names: Vec<_> = plans.iter().filter_map(|there| there["id"].as_str()).map(quoted).collect();
    let hint = match names.as_slice() {
        [] => "make a plan in Backrest first".to_string(),
        names => format!("its plans are {}", names.join(", ")),
    };
    Err(anyhow!("Backrest has no plan {}", quoted(plan))).hint(hint)
}

/// The list in a field; protobuf's JSON leaves an empty one out.
pub(crate) fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
