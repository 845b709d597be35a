//! How the user's own `ssh` is called: the words before the destination.
//!
//! Nothing of the user's configuration is switched off but what would get in the way of a program: forwardings, local
//! and remote commands, a terminal. Where there are jump hosts, each gets a connection of its own that is kept open,
//! and the next one goes through it, so that no password is asked twice.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::text::escape;
use serde::{Deserialize, Serialize};

use crate::names;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    /// The destination as typed, or a jump host's name.
    #[serde(rename = "typed")]
    pub(crate) host: String,
    /// `-l`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// `-p`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    /// `-i`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<PathBuf>,
    /// `-F`: another configuration than the user's own. A jump host's alone has one.
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Further options of a jump host, each `Keyword=value`.
    #[serde(skip)]
    pub(crate) options: Vec<String>,
}

impl Access {
    pub(crate) fn flags(&self) -> Vec<OsString> {
        let mut flags: Vec<OsString> = Vec::new();
        if let Some(config) = &self.config {
            flags.extend(["-F".into(), config.clone().into_os_string()]);
        }
        if let Some(user) = &self.user {
            flags.extend(["-o".into(), format!("User={user}").into()]);
        }
        if let Some(port) = self.port {
            flags.extend(["-o".into(), format!("Port={port}").into()]);
        }
        if let Some(identity) = &self.identity {
            // As a flag: in an option, a path with blanks would have to be quoted.
            flags.extend(["-i".into(), identity.clone().into_os_string()]);
            // An agent with many keys would otherwise offer those first, until the server has had enough.
            flags.extend(["-o".into(), "IdentitiesOnly=yes".into()]);
        }
        flags.extend(self.options.iter().flat_map(|option| ["-o".into(), option.into()]));
        flags
    }
}

/// Options for a connection that a program uses.
pub(crate) fn plain_options() -> Vec<OsString> {
    const OPTIONS: [&str; 10] = [
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
        "PermitLocalCommand=no",
        "RemoteCommand=none",
        "RequestTTY=no",
        "Tunnel=no",
        "ConnectTimeout=20",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=3",
    ];
    OPTIONS.iter().flat_map(|option| ["-o".into(), OsString::from(option)]).collect()
}

/// `UserKnownHostsFile` with `first` before the user's own files. ssh would write new keys to the first.
pub(crate) fn known_hosts_option(first: &Path, others: &[PathBuf]) -> OsString {
    let mut option = OsString::from("UserKnownHostsFile=");
    for (index, file) in std::iter::once(first).chain(others.iter().map(PathBuf::as_path)).enumerate() {
        if index > 0 {
            option.push(" ");
        }
        option.push("\"");
        option.push(file);
        option.push("\"");
    }
    option
}

/// `[user@]host[:port]` or `ssh://[user@]host[:port]`, one link of a ProxyJump.
pub(crate) fn jump_access(jump: &str) -> Result<Access> {
    let rest = jump.strip_prefix("ssh://").unwrap_or(jump);
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, rest),
    };
    let (host, port) =
        match (host.strip_prefix('[').and_then(|inner| inner.split_once(']')), host.split_once(':')) {
            (Some((inner, port)), _) => (inner, port.strip_prefix(':')),
            (None, Some((name, port))) if !port.contains(':') => (name, Some(port)),
            _ => (host, None),
        };
    names::check(host).context("resolve: ProxyJump")?;
    let port = port
        .map(str::parse)
        .transpose()
        .with_context(|| format!("resolve: ProxyJump: {}", escape(jump.as_bytes())))?;
    Ok(Access { host: host.to_owned(), user, port, ..Access::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_override_and_files_are_quoted() {
        let access =
            Access { host: "nas".into(), user: Some("me".into()), port: Some(2222), ..Access::default() };
        assert_eq!(access.flags(), ["-o", "User=me", "-o", "Port=2222"]);
        assert_eq!(
            known_hosts_option(Path::new("/t/new"), &["/home/a b/k".into()]),
            "UserKnownHostsFile=\"/t/new\" \"/home/a b/k\""
        );
    }
}
