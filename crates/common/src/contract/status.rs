//! `backrest-send status json`: one [`Status`]. The state of a running listener.
//!
//! Every value is a string, because people read the same pairs as lines `key: value`. What a program decides by is a
//! type here; the other strings are for people alone.

use serde::{Deserialize, Serialize};

/// The state of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The listener's version.
    pub version: String,
    /// Its process id.
    pub process: String,
    /// When it started.
    pub since: String,
    /// The bridge folder.
    pub bridge: String,
    /// The FIFO.
    pub pipe: Door,
    /// The socket.
    pub socket: Door,
    /// The action that runs, with its time; `none` otherwise.
    pub running: String,
    /// How many messages wait.
    pub waiting: String,
    /// Whether there is an address to push to.
    pub push_address: PushAddress,
    /// When the after steps run if no `post-backups` comes.
    pub after_steps_due: String,
    /// When Tailscale is taken down.
    pub tailscale_down_due: String,
    /// The log file.
    pub log: String,
    /// The last finished message, and its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// The last message that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// The last message that did not run because the listener was away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_lost: Option<String>,
    /// The last push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_push: Option<String>,
    /// The result of the after steps of a backup that never reported back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_backup: Option<String>,
    /// The state of Tailscale; missing until it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tailscale: Option<Tailscale>,
    /// How Tailscale may be brought up and down; missing if it is not installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tailscale_rights: Option<String>,
}

/// Whether messages come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Door {
    /// They do.
    #[serde(rename = "ok")]
    Open,
    /// They don't, for this reason.
    #[serde(untagged)]
    Closed(String),
}

/// Whether `UPTIME_KUMA_PUSH_URL`, or one of a plan, is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PushAddress {
    /// It is.
    #[serde(rename = "set")]
    Set,
    /// It is not.
    #[serde(rename = "not set")]
    NotSet,
}

/// What is known about Tailscale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tailscale {
    /// There is no program `tailscale`.
    #[serde(rename = "not installed")]
    NotInstalled,
    /// Its state in words.
    #[serde(untagged)]
    Installed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_decides_by_is_read_back() {
        for door in [Door::Open, Door::Closed("a folder is in its place".into())] {
            let text = serde_json::to_string(&door).unwrap();
            assert_eq!(serde_json::from_str::<Door>(&text).unwrap(), door);
        }
        for tailscale in [Tailscale::NotInstalled, Tailscale::Installed("up".into())] {
            let text = serde_json::to_string(&tailscale).unwrap();
            assert_eq!(serde_json::from_str::<Tailscale>(&text).unwrap(), tailscale);
        }
        assert_eq!(serde_json::to_string(&PushAddress::NotSet).unwrap(), r#""not set""#);
    }
}
