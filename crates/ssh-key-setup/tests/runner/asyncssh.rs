//! AsyncSSH, a server in Python with ways of its own: the real program, from PyPI.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::servers::{Running, key, know, our_lines, restic_works, tool_folder};
use crate::world::World;

/// AsyncSSH for the account `bash`.
#[track_caller]
fn asyncssh(world: &World, port: u16, mode: &str) -> Running {
    let host_key = key(world, "asyncssh", &["-t", "ed25519"]);
    let library = tool_folder("asyncssh");
    let mut command = world.command("/usr/bin/python3");
    command.env("PYTHONPATH", library);
    command.args([
        "-c",
        include_str!("asyncssh_server.py"),
        &port.to_string(),
        "/srv/asyncssh",
        "/srv/home/bash",
        mode,
    ]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("start AsyncSSH");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "AsyncSSH does not start");
    know(world, port, "bash", &host_key);
    Running(child)
}

#[test]
fn asyncssh_gets_the_restriction_under_which_its_sftp_works() {
    let world = World::new();
    let _server = asyncssh(&world, 2200, "keys");
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("can't limit"), "{}", ran.everything());
    let lines = our_lines(&world);
    assert!(lines.len() == 1 && !lines[0].contains("command="), "{lines:?}");
    restic_works(&world, "/srv/home/bash/restic/r");
    world.tool(&["--check"]).expect_success();
    let again = world.tool(&["nas"]).expect_success();
    assert!(again.stdout.contains("unchanged"), "{}", again.everything());
    world.tool(&["nas", "--no-restrict"]).expect_success();
    assert!(our_lines(&world)[0].starts_with("ssh-ed25519 "), "{:?}", our_lines(&world));
    world.tool(&["nas", "--remove"]).expect_success();
    assert!(our_lines(&world).is_empty());
}

#[test]
fn a_line_that_breaks_sftp_is_got_out_of_by_every_way() {
    for arguments in [&["nas"][..], &["nas", "--no-restrict"]] {
        let world = World::new();
        let _server = asyncssh(&world, 2200, "keys");
        world.tool(&[]).expect_success();
        let public = world.text(&world.folder("id_ed25519.pub"));
        let file = world.authorized_keys("bash");
        let broken = format!("{}restrict,command=\"internal-sftp -d /srv\" {public}", world.text(&file));
        fs::write(&file, broken).unwrap();
        world.tool(arguments).expect_success();
        restic_works(&world, "/srv/home/bash/restic/r");
        world.tool(&["nas", "--remove"]).expect_success();
        assert!(our_lines(&world).is_empty());
    }
}

#[test]
fn a_server_that_lets_anyone_in_is_noticed() {
    let world = World::new();
    let _server = asyncssh(&world, 2200, "anyone");
    let ran = world.tool(&["nas"]).expect_code(1);
    assert!(ran.stderr.contains("accepts any key (Tailscale SSH?)"), "{}", ran.everything());
    assert!(ran.stderr.contains("--no-restrict"), "{}", ran.everything());
    assert!(our_lines(&world).is_empty());
    let ran = world.tool(&["nas", "--no-restrict"]).expect_success();
    assert!(ran.stderr.contains("accepts any key"), "{}", ran.everything());
    restic_works(&world, "/srv/home/bash/restic/r");
    let ran = world.tool(&["nas", "--rotate"]).expect_success();
    assert!(ran.stderr.contains("accepts any key, so this one still gets in"), "{}", ran.everything());
    world.tool(&["nas", "--remove"]).expect_success();
}

/// By itself AsyncSSH reports no exit status for SFTP: restic 0.18 works with it all the same.
#[test]
fn a_server_that_reports_no_exit_status_is_set_up() {
    let world = World::new();
    let _server = asyncssh(&world, 2200, "silent");
    world.tool(&["nas"]).expect_success();
    let [_, newest] = crate::plain::restics(&world);
    let mut init = world.in_container(newest);
    world.run(init.args(["-r", "sftp:nas:/srv/home/bash/restic/r", "init"])).expect_success();
    world.tool(&["--check"]).expect_success();
}

/// A server that runs no commands at all, and shows the account's home as the root.
#[test]
fn a_server_of_sftp_alone_that_shows_other_paths_is_set_up_with_those() {
    let world = World::new();
    let _server = asyncssh(&world, 2200, "locked");
    let ran = world.tool(&["nas", "--path", "/backups"]).expect_success();
    assert!(ran.stdout.contains("sftp:nas:/backups\n"), "{}", ran.everything());
    restic_works(&world, "/backups/r");
    assert!(world.srv("home/bash/backups/r").is_dir());
    world.tool(&["--check"]).expect_success();
    world.tool(&["nas", "--remove"]).expect_success();
    assert!(our_lines(&world).is_empty());
}

#[test]
fn a_server_that_ignores_a_keys_options_keeps_no_line_that_promises_more() {
    let world = World::new();
    let _server = asyncssh(&world, 2200, "deaf");
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("this server can't limit a key to SFTP"), "{}", ran.everything());
    let lines = our_lines(&world);
    assert!(lines.len() == 1 && !lines[0].contains("command="), "{lines:?}");
    restic_works(&world, "/srv/home/bash/restic/r");
    world.tool(&["--check"]).expect_success();
    world.tool(&["nas", "--no-restrict"]).expect_success();
    world.tool(&["nas", "--remove"]).expect_success();
    assert!(our_lines(&world).is_empty());
}
