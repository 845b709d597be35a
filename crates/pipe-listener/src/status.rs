//! The answer to `status`: `key: value` lines, or one JSON object for `status json`.
//!
//! Every value is a string for people; no program of ours decides by one.
//!
//! The loop fills in what it knows; Tailscale is asked on a thread of its own, because no other client may wait for it.

use serde::Serialize;

use crate::run::{Runner, tailscale};

/// The state of a listener.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ListenerStatus {
    /// The listener's version.
    pub(crate) version: String,
    /// Its process id.
    pub(crate) process: String,
    /// When it started.
    pub(crate) since: String,
    /// The bridge folder.
    pub(crate) bridge: String,
    /// `ok`, or why nothing comes in by the FIFO.
    pub(crate) pipe: String,
    /// `ok`, or why nothing comes in by the socket.
    pub(crate) socket: String,
    /// The action that runs, with its time; `none` otherwise.
    pub(crate) running: String,
    /// How many messages wait.
    pub(crate) waiting: String,
    /// `set` or `not set`.
    pub(crate) push_address: &'static str,
    /// When the after steps run if no `post-backups` comes.
    pub(crate) after_steps_due: String,
    /// When Tailscale is taken down.
    pub(crate) tailscale_down_due: String,
    /// The log file.
    pub(crate) log: String,
    /// The last finished message, and its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<String>,
    /// The last message that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_failure: Option<String>,
    /// The last message that did not run because the listener was away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_lost: Option<String>,
    /// The last push.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_push: Option<String>,
    /// The result of the after steps of a backup that never reported back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overdue_backup: Option<String>,
    /// The state of Tailscale; missing until it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tailscale: Option<String>,
    /// How Tailscale may be brought up and down; missing if it is not installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tailscale_rights: Option<String>,
}

/// Adds what takes time to find out.
pub(crate) fn complete(runner: &Runner, mut status: ListenerStatus) -> ListenerStatus {
    let tailscale = tailscale::describe(runner);
    status.tailscale_rights = tailscale.is_some().then(|| tailscale::rights(runner));
    status.tailscale = Some(tailscale.unwrap_or("not installed".into()));
    status
}

/// The answer's lines.
pub(crate) fn render(status: &ListenerStatus, json: bool) -> Vec<String> {
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
    use super::*;

    #[test]
    fn both_forms_hold_the_same() {
        let status = ListenerStatus {
            version: "1".into(),
            process: "2".into(),
            since: "now".into(),
            bridge: "/bridge".into(),
            pipe: "ok".into(),
            socket: "it is a plain file".into(),
            running: "none".into(),
            waiting: "0".into(),
            push_address: "not set",
            after_steps_due: "no".into(),
            tailscale_down_due: "no".into(),
            log: "/log".into(),
            last: Some("then".into()),
            last_failure: None,
            last_lost: None,
            last_push: None,
            overdue_backup: None,
            tailscale: Some("not installed".into()),
            tailscale_rights: None,
        };
        let json = &render(&status, true)[0];
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
        let lines = render(&status, false);
        let expected: Vec<_> =
            object.iter().map(|(key, value)| format!("{key}: {}", value.as_str().unwrap())).collect();
        assert_eq!(lines, expected);
        assert!(lines.contains(&"pipe: ok".into()) && lines.contains(&"push-address: not set".into()));
        assert!(lines.contains(&"tailscale: not installed".into()) && lines.len() == 14, "{lines:?}");
    }
}
