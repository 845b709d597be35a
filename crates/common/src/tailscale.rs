//! What `tailscale` reports: whether the network is up, and whether this user may change that.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde::Deserialize;

use crate::cancel::Cancel;
use crate::exit::HintExt;
use crate::paths;
use crate::process::{self, Limits};
use crate::text::escape;

/// A question is answered at once, or `tailscaled` hangs.
fn limits() -> Limits {
    Limits::within(Duration::from_secs(15))
}

/// The part of `tailscale status --json` that matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Status {
    backend_state: String,
    #[serde(rename = "Self")]
    own: Option<Own>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Own {
    online: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Preferences {
    operator_user: Option<String>,
}

/// How this user may bring the network up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// As root.
    Root,
    /// As Tailscale's operator.
    Operator,
    /// By sudo, without a password.
    Sudo,
    /// Not at all.
    None,
}

/// `tailscale` or `sudo`, found where cron would not look either: after a reboot it is cron that has started us.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", paths::search_path());
    command
}

/// The state of the network.
pub fn status(cancel: Option<&Cancel>) -> Result<Status> {
    let asked = process::capture(program("tailscale").args(["status", "--json"]), b"", limits(), cancel)
        .hint("install Tailscale, or take start-tailscale out of the hooks")?;
    // The exit code of a network that is down is not 0 either; the JSON counts.
    if let Ok(status) = serde_json::from_slice(&asked.stdout) {
        return Ok(status);
    }
    asked.success().hint("see to it that tailscaled runs: systemctl status tailscaled")?;
    Err(anyhow!("tailscale status --json: its answer can't be read"))
}

/// How this user may change the network.
pub fn right(cancel: Option<&Cancel>) -> Right {
    let own = nix::unistd::geteuid();
    if own.is_root() {
        return Right::Root;
    }
    let ask = |command: &mut Command| process::capture(command, b"", limits(), cancel)?.success();
    let preferences = ask(program("tailscale").args(["debug", "prefs"])).ok();
    let operator =
        preferences.and_then(|text| serde_json::from_slice::<Preferences>(&text).ok()?.operator_user);
    let user = nix::unistd::User::from_uid(own).ok().flatten().map(|user| user.name);
    if operator.is_some() && operator == user {
        return Right::Operator;
    }
    match ask(program("sudo").args(["-n", "-l", "tailscale", "up"])) {
        Ok(_) => Right::Sudo,
        Err(_) => Right::None,
    }
}

impl Status {
    /// Whether it is connected, to the coordination server too.
    pub fn is_up(&self) -> bool {
        self.backend_state == "Running" && self.own.as_ref().and_then(|own| own.online) != Some(false)
    }

    /// Whether a person has to log in first.
    pub fn needs_login(&self) -> bool {
        matches!(self.backend_state.as_str(), "NeedsLogin" | "NeedsMachineAuth")
    }

    /// The state of a network that is not up, for people.
    pub fn words(&self) -> String {
        match self.backend_state.as_str() {
            "Running" => "connected, but the coordination server is not reached".into(),
            "Stopped" => "down".into(),
            other => escape(other.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn status_of(json: &str) -> Status {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn up_means_connected_to_the_coordination_server() {
        assert!(status_of(r#"{"BackendState":"Running","Self":{"Online":true,"ID":"x"}}"#).is_up());
        assert!(status_of(r#"{"BackendState":"Running"}"#).is_up());
        assert!(!status_of(r#"{"BackendState":"Running","Self":{"Online":false}}"#).is_up());
        assert!(!status_of(r#"{"BackendState":"Stopped","Self":null}"#).is_up());
    }
}
