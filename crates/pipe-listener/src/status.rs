//! The answer to `status`: `key: value` lines, or one JSON object for `status json`.
//!
//! Every value is a string for people; no program of ours decides by one.
//!
//! The loop fills in what it knows; Tailscale is asked on a thread of its own, because no other client may wait for it.

use serde_json::{Map, Value};

use crate::run::{Runner, tailscale};

/// The state of a listener: names and texts, in the order in which they are shown.
pub(crate) type ListenerStatus = Map<String, Value>;

/// Adds what takes time to find out.
pub(crate) fn complete(runner: &Runner, mut status: ListenerStatus) -> ListenerStatus {
    let tailscale = tailscale::describe(runner);
    let rights = tailscale.is_some().then(|| tailscale::rights(runner));
    status.insert("tailscale".into(), tailscale.unwrap_or("not installed".into()).into());
    status.extend(rights.map(|rights| ("tailscale-rights".into(), rights.into())));
    status
}

pub(crate) fn render(status: &ListenerStatus, json: bool) -> Vec<String> {
    if json {
        return vec![Value::Object(status.clone()).to_string()];
    }
    status.iter().map(|(key, value)| format!("{key}: {}", value.as_str().unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_hold_the_same() {
        let pairs = [("version", "1"), ("pipe", "ok"), ("push-address", "not set"), ("last", "then")];
        let status = pairs.map(|(key, value)| (key.to_string(), value.into())).into_iter().collect();
        let object: ListenerStatus = serde_json::from_str(&render(&status, true)[0]).unwrap();
        assert_eq!(object, status);
        assert_eq!(render(&status, false), ["version: 1", "pipe: ok", "push-address: not set", "last: then"]);
    }
}
