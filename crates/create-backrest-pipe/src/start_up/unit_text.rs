//! The text of the systemd user unit.
//!
//! What a reader gets wrong: a user's service manager can't use what needs other rights (mount namespaces, for one),
//! and the listener runs the user's own scripts, which dump databases and talk to Docker. So the unit forbids what
//! none of these needs, and leaves them the files and the network.

use std::ffi::OsString;

use crate::places::UNIT;

/// The first line; a unit file without it was not made here.
pub(super) const MARK: &str =
    "# Made by create-backrest-pipe, which replaces it; own settings go into a drop-in:";

/// The unit that runs `command`. Fails if the command can't be written in a unit file.
pub(super) fn render(command: &[OsString]) -> Result<String, &'static str> {
    let words: Result<Vec<_>, _> = command.iter().map(|word| quote(word)).collect();
    Ok(format!(
        "{MARK}
# systemctl --user edit {UNIT}
[Unit]
Description=The host's end of the bridge to Backrest
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
Restart=always
RestartSec=5
# The listener stops its action itself, within its own grace. What keeps the FIFO open has to outlive it, and so has
# a prepare step if it crashes: otherwise accepted messages, or half a dump, would be lost.
KillMode=process
TimeoutStopSec=90

# What a script makes (modes, set-group-ID folders that are copied) is what it would make under cron or in a shell.
# None of this lets a script use sudo, or Podman without root. Where one has to, a drop-in with all of these lines
# takes it back:
# NoNewPrivileges=no
# LockPersonality=no
# RestrictNamespaces=no
# RestrictRealtime=no
# RestrictAddressFamilies=
# SystemCallArchitectures=
# SystemCallFilter=
NoNewPrivileges=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
",
        command = words?.join(" ")
    ))
}

/// A word as systemd.service(5) reads it: quoted, with `%` and `$` doubled.
fn quote(word: &OsString) -> Result<String, &'static str> {
    let word = word.to_str().ok_or("a path is not UTF-8, so it can't be written in a unit file")?;
    if word.contains(|c: char| c.is_control()) {
        return Err("a path holds a control character, so it can't be written in a unit file");
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let is_plain = escaped == word && !word.contains([' ', '\'', ';']);
    Ok(if is_plain { escaped } else { format!("\"{escaped}\"") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_says_all_that_it_forbids() {
        let command = ["/home/me/.local/bin/pipe-listener", "--container-dir", "/home/me/a b/100%/$x"];
        insta::assert_snapshot!(render(&command.map(OsString::from)).unwrap());
        assert!(render(&["/a\nb".into()]).is_err());
    }
}
