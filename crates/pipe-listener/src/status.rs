//! The answer to `status`: `key: value` lines, or one JSON object for `status json`.
//!
//! The loop fills in what it knows; Tailscale is asked on a thread of its own, because no other client may wait for it.

use common::contract::status::{Status, Tailscale};

use crate::run::{Runner, tailscale};

/// Adds what takes time to find out.
pub(crate) fn complete(runner: &Runner, mut status: Status) -> Status {
    let tailscale = tailscale::describe(runner);
    if tailscale != Tailscale::NotInstalled {
        status.tailscale_rights = Some(tailscale::rights(runner));
    }
    status.tailscale = Some(tailscale);
    status
}

/// The answer's lines.
pub(crate) fn render(status: &Status, json: bool) -> Vec<String> {
    let pairs = match serde_json::to_value(status) {
        Ok(serde_json::Value::Object(pairs)) => pairs,
        _ => serde_json::Map::new(),
    };
    if json {
        return vec![serde_json::Value::Object(pairs).to_string()];
    }
    pairs.iter().map(|(key, value)| format!("{key}: {}", value.as_str().unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use common::contract::status::{Door, PushAddress};

    use super::*;

    #[test]
    fn both_forms_hold_the_same_and_the_json_is_read_back() {
        let status = Status {
            version: "1".into(),
            process: "2".into(),
            since: "now".into(),
            bridge: "/bridge".into(),
            pipe: Door::Open,
            socket: Door::Closed("it is a plain file".into()),
            running: "none".into(),
            waiting: "0".into(),
            push_address: PushAddress::NotSet,
            after_steps_due: "no".into(),
            tailscale_down_due: "no".into(),
            log: "/log".into(),
            last: Some("then".into()),
            last_failure: None,
            last_lost: None,
            last_push: None,
            overdue_backup: None,
            tailscale: Some(Tailscale::NotInstalled),
            tailscale_rights: None,
        };
        let json = &render(&status, true)[0];
        assert_eq!(serde_json::from_str::<Status>(json).unwrap(), status);
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
        let lines = render(&status, false);
        let expected: Vec<_> =
            object.iter().map(|(key, value)| format!("{key}: {}", value.as_str().unwrap())).collect();
        assert_eq!(lines, expected);
        assert!(lines.contains(&"pipe: ok".into()) && lines.contains(&"push-address: not set".into()));
        assert!(lines.contains(&"tailscale: not installed".into()) && lines.len() == 14, "{lines:?}");
    }
}
