//! What the folder's key may not do, tried by ssh itself on a server that would allow all of it, and noticed by the
//! tool where the server's line lets more through.

use std::fs;

use common::testing::Ran;

use crate::world::{Server, World};

/// A server on which nothing but the key's own restriction is in the way.
#[track_caller]
fn generous() -> (World, Server) {
    let world = World::new();
    let ways = "AllowTcpForwarding yes\nAllowStreamLocalForwarding yes\nAllowAgentForwarding yes\nX11Forwarding yes\n\
                XAuthLocation /usr/bin/true\nPermitTTY yes";
    let server = world.server(2200, "ed25519", ways);
    world.trust("nas", 2200, "bash", "ed25519");
    (world, server)
}

/// ssh with nothing but the folder, and an agent that could be forwarded.
#[must_use]
#[track_caller]
fn ssh(world: &World, arguments: &[&str]) -> Ran {
    let mut command = world.in_container("ssh-agent");
    command.args(["env", "DISPLAY=127.0.0.1:9", "timeout", "20", "ssh", "-o", "IdentityAgent=SSH_AUTH_SOCK"]);
    world.run(command.args(arguments))
}

#[track_caller]
fn log(world: &World) -> String {
    world.text(&world.srv("sshd-2200.log"))
}

/// Everything that a key may be kept from, and whether it was to be had.
#[track_caller]
fn reached(world: &World) -> Vec<(&'static str, bool)> {
    let shell = ssh(world, &["nas", "id"]);
    let shell_on_terminal = ssh(world, &["-tt", "nas", "tty"]);
    let local = ssh(world, &["-W", "127.0.0.1:2200", "nas"]);
    let listens = ["-v", "-N", "-o", "ExitOnForwardFailure=yes"];
    let mut remote = listens.to_vec();
    remote.extend(["-R", "2299:127.0.0.1:2200", "nas"]);
    let remote = ssh(world, &remote);
    let mut socket = listens.to_vec();
    socket.extend(["-R", "/srv/home/bash/socket:127.0.0.1:2200", "nas"]);
    let socket = ssh(world, &socket);
    let before = log(world).len();
    let _ = ssh(world, &["-A", "nas", "true"]);
    let agent = log(world)[before..].to_owned();
    assert!(agent.contains("auth-agent-req@openssh.com"), "the agent was offered:\n{agent}");
    let screen = ssh(world, &["-v", "-Y", "nas", "true"]);
    assert!(screen.stderr.contains("Requesting X11 forwarding"), "{}", screen.everything());
    vec![
        ("shell", shell.stdout.contains("uid=3001")),
        ("terminal", shell_on_terminal.stdout.contains("/dev/pts/")),
        ("local forward", local.stdout.contains("SSH-2.0-")),
        ("remote forward", remote.stderr.contains("remote forward success")),
        ("socket forward", socket.stderr.contains("remote forward success")),
        ("agent", !agent.contains("agent forwarding disabled")),
        ("X11", !screen.stderr.contains("X11 forwarding request failed")),
    ]
}

#[test]
fn the_key_gets_nothing_but_sftp_on_a_server_that_allows_everything() {
    let (world, _server) = generous();
    world.tool(&["nas"]).expect_success();
    for (what, is_reached) in reached(&world) {
        assert!(!is_reached, "{what}");
    }
    // The same attempts without the restriction: each of them would have been seen.
    world.tool(&["nas", "--no-restrict"]).expect_success();
    for (what, is_reached) in reached(&world) {
        assert!(is_reached, "{what}");
    }
}

#[test]
fn a_tunnel_is_refused() {
    let (world, _server) = generous();
    world.tool(&["nas"]).expect_success();
    world.run(world.command("sh").args(["-c", "mkdir -p /run/net; [ -e /dev/net/tun ]"])).expect_success();
    let ran = ssh(&world, &["-N", "-o", "ExitOnForwardFailure=yes", "-w", "any:any", "nas"]);
    assert!(!ran.end.is_success() && ran.stderr.contains("unnel"), "{}", ran.everything());
}

#[test]
fn a_line_that_lets_more_through_is_noticed() {
    let (world, _server) = generous();
    world.tool(&["nas"]).expect_success();
    let file = world.authorized_keys("bash");
    let whole = world.text(&file);
    let public = world.text(&world.folder("id_ed25519.pub"));
    let start = whole.find("restrict,").expect("our line");
    for (options, words) in [
        ("from=\"127.0.0.1\"", "the key gets a shell"),
        ("command=\"internal-sftp\"", "the key forwards ports"),
        ("command=\"internal-sftp\",no-port-forwarding", "the server allows the key agent-forwarding"),
        ("restrict,pty,command=\"internal-sftp\"", "the server allows the key pty"),
        ("restrict,X11-forwarding,command=\"internal-sftp\"", "the server allows the key x11-forwarding"),
    ] {
        let changed = format!("{}{options} {public}", &whole[..start]);
        fs::write(&file, &changed).unwrap();
        for arguments in [&["nas"][..], &["--check"]] {
            let ran = world.tool(arguments).expect_code(1);
            assert!(ran.stderr.contains(words) && ran.stderr.contains("\nhint: "), "{}", ran.everything());
        }
        assert_eq!(world.text(&file), changed);
    }
}

#[test]
fn another_file_with_an_open_line_is_noticed() {
    let world = World::new();
    let server = world.server(2200, "ed25519", "");
    world.trust("nas", 2200, "bash", "ed25519");
    world.tool(&["nas"]).expect_success();
    world.stop(server);
    fs::copy(world.folder("id_ed25519.pub"), world.srv("open")).unwrap();
    let _server = world.server(2200, "ed25519", "AuthorizedKeysFile /srv/open .ssh/authorized_keys");
    std::os::unix::fs::chown(world.srv("open"), Some(3001), Some(3001)).unwrap();
    let ran = world.tool(&["nas"]).expect_code(1);
    assert!(ran.stderr.contains("the key gets a shell"), "{}", ran.everything());
    // A key that is let in by a second file can't be taken off by changing the first.
    let ran = world.tool(&["nas", "--remove"]).expect_code(1);
    assert!(ran.stderr.contains("the server still takes the key"), "{}", ran.everything());
    assert!(ran.stderr.contains("hint: it is in another file there"), "{}", ran.everything());
    let line = format!("and take this line out: {}", world.text(&world.folder("id_ed25519.pub")).trim());
    assert!(ran.stderr.contains("remove: nas: ") && ran.stderr.contains(&line), "{}", ran.everything());
}
