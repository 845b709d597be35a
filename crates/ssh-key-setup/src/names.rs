//! The names that a person types, checked before any program sees them: HOST, `--alias` and `--path`.
//!
//! `ssh` takes `nas`, `user@nas` and `ssh://user@nas:2222`; all are passed on as they are. The alias, by which the
//! container knows the host, is the bare name. What starts with a dash would be an option to `ssh`, and blanks,
//! quotes and the like could end up as something else in a config file: they are refused.

use anyhow::{Result, anyhow, bail};
use common::exit::HintExt;
use common::text::escape;

/// What `ssh` is given.
pub(crate) fn check(typed: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:%@[]/+".contains(c);
    if typed.is_empty() || typed.starts_with('-') || !typed.chars().all(allowed) || bare(typed).is_empty() {
        return Err(anyhow!("not a host name: \"{}\"", escape(typed.as_bytes()))).hint(
            "give what you type after ssh: a host or alias such as nas, user@nas, ssh://user@nas:2222",
        );
    }
    Ok(())
}

/// The host without scheme, user, port and brackets.
fn bare(typed: &str) -> &str {
    let (uri, rest) = match typed.strip_prefix("ssh://") {
        Some(rest) => (true, rest.trim_end_matches('/')),
        None => (false, typed),
    };
    let host = rest.rsplit('@').next().unwrap_or(rest);
    match (uri, host.strip_prefix('[')) {
        (true, Some(inner)) => inner.split(']').next().unwrap_or(inner),
        (true, None) => host.split(':').next().unwrap_or(host),
        (false, _) => host,
    }
}

/// The name by which the container knows the host. Colons would end the host in `sftp:host:/path`, and `Host` lines
/// take patterns, so everything but letters, digits, dots, dashes and underscores becomes a dash.
pub(crate) fn alias(typed: &str) -> String {
    let name: String = bare(typed)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .collect();
    name.trim_start_matches('-').to_owned()
}

/// Whether `name` can be an alias.
pub(crate) fn check_alias(name: &str) -> Result<()> {
    if name.is_empty() || name != alias(name) {
        bail!(
            "not a name for a host: \"{}\": letters, digits, dots, dashes and underscores only",
            escape(name.as_bytes())
        );
    }
    Ok(())
}

/// Whether `--path` can be a folder on a server.
pub(crate) fn check_path(given: &str) -> Result<()> {
    if given.is_empty() || given.contains(|c: char| c.is_control()) {
        return Err(anyhow!("--path: not a folder's name: \"{}\"", escape(given.as_bytes())))
            .hint("give a folder on the server, such as /srv/restic");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alias_is_the_bare_host() {
        for (typed, expected) in [
            ("nas", "nas"),
            ("me@nas.lan", "nas.lan"),
            ("ssh://me@nas:2222", "nas"),
            ("ssh://[fe80::1]:22/", "fe80--1"),
            ("fe80::1%eth0", "fe80--1-eth0"),
            ("::1", "1"),
        ] {
            check(typed).unwrap();
            assert_eq!(alias(typed), expected, "{typed}");
            check_alias(expected).unwrap();
        }
    }

    #[test]
    fn what_ssh_or_a_config_file_would_read_otherwise_is_refused() {
        for typed in
            ["", "-oProxyCommand=x", "a b", "a\"b", "a'b", "a\nb", "$(x)", "nas;x", "nas*", "me@", "ssh://"]
        {
            assert!(check(typed).is_err(), "{typed:?}");
        }
        for name in ["", "-x", "a:b", "a b", "*"] {
            assert!(check_alias(name).is_err(), "{name:?}");
        }
    }
}
