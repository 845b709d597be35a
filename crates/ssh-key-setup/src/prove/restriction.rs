//! What the key may not do, seen to be refused: a shell, a port forward, an agent.
//!
//! A shell and a forward are tried. Whether the agent would be forwarded a client can't see, so the server's own word
//! is taken: OpenSSH prints in a debug line what it allows for the key that logged in.

use anyhow::{Result, anyhow};
use common::exit::HintExt;
use common::text::escape;

use crate::connection::failure::{self, Kind};
use crate::connection::ssh::Connection;
use crate::ssh_folder::config::Entry;

const TOKEN: &str = "ssh-key-setup-shell-token";

/// Tries them and returns what was refused. Fails if one is not.
pub(super) fn prove(connection: &Connection, entry: &Entry) -> Result<String> {
    let host = escape(connection.host.as_bytes());
    let hint = "take the key's other lines out of authorized_keys on the server, or use --no-restrict";
    let mut shell = connection.ssh(&["-T", "-v"], &["echo", TOKEN]);
    let ran = connection.capture(&mut shell, b"")?;
    if String::from_utf8_lossy(&ran.stdout).contains(TOKEN) && !entry.keeps_a_shell() {
        return Err(anyhow!("restriction: {host}: the key gets a shell")).hint(hint);
    }
    let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
    let allowed = allowed(&stderr);
    if forwards(connection, entry, stderr.contains("remote software version OpenSSH"))? {
        return Err(anyhow!("restriction: {host}: the key forwards ports")).hint(hint);
    }
    if entry.keeps_a_shell() {
        return Ok(
            "a port forward is refused; this server can't limit a key to SFTP, so it has a shell".to_owned()
        );
    }
    let Some(allowed) = allowed else {
        return Ok("a shell and a port forward are refused".to_owned());
    };
    let too_much = ["agent-forwarding", "port-forwarding", "pty", "x11-forwarding"];
    if let Some(option) =
        too_much.iter().find(|option| allowed.split_whitespace().any(|word| word == **option))
    {
        return Err(anyhow!("restriction: {host}: the server allows the key {option}")).hint(hint);
    }
    Ok("a shell, a port forward and an agent are refused".to_owned())
}

/// Whether the server forwards a port for the key. OpenSSH has words of its own for a forward that it does not allow;
/// of others a failed forward to a port that nothing listens on looks the same, so their own port is tried.
fn forwards(connection: &Connection, entry: &Entry, is_openssh: bool) -> Result<bool> {
    let port = entry.sections.last().map_or(22, |section| section.port);
    let ports = if is_openssh { vec![9] } else { vec![port, 22] };
    for port in ports {
        let to = format!("127.0.0.1:{port}");
        let forward = connection.capture(&mut connection.ssh(&["-W", &to], &[]), b"")?;
        if forward.stdout.starts_with(b"SSH-") {
            return Ok(true);
        }
        let failure = failure::of_ssh(&forward.stderr, forward.end);
        let prohibited = String::from_utf8_lossy(&forward.stderr).contains("prohibited");
        match failure.kind {
            // The forward itself was tried and only its end refused: so it is allowed.
            Kind::JumpRefused if is_openssh && !prohibited => return Ok(true),
            Kind::JumpRefused => {}
            _ => return Err(failure.about(&connection.host, connection.login())),
        }
    }
    Ok(false)
}

/// What sshd says that it allows for the key.
fn allowed(stderr: &str) -> Option<&str> {
    let line = stderr.lines().rfind(|line| line.contains("Remote: ") && line.contains("key options:"))?;
    Some(line.split_once("key options:")?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_word_is_read() {
        let stderr = "debug1: Remote: /home/me/.ssh/authorized_keys:2: key options: command\r\ndebug1: x\n";
        assert_eq!(allowed(stderr), Some("command"));
        let open = "debug1: Remote: /k:1: key options: agent-forwarding port-forwarding pty user-rc x11-forwarding\n";
        assert!(allowed(open).unwrap().contains("agent-forwarding"));
        assert_eq!(allowed("debug1: nothing\n"), None);
    }
}
