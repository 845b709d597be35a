//! What the listener finds or makes when it is started alone, in a home as it comes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use common::testing::Sandbox;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::host::{Host, client};

#[test]
fn it_makes_what_is_missing_for_the_user_alone() {
    let host = Host::listening();
    let mode = |path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(host.bridge()), 0o700);
    assert_eq!(mode(host.fifo()), 0o600);
    assert_eq!(mode(host.bridge().join("backrest.sock")), 0o600);
    assert_eq!(mode(host.sandbox.path("containers/backrest/state")), 0o700);
    assert_eq!(mode(host.sandbox.path("containers/backrest/logs/listener.log")), 0o600);
}

#[test]
fn the_place_where_the_fifo_used_to_be_still_works() {
    let host = Host::listening();
    host.note_and_gate();
    let old = host.sandbox.path("containers/backrest/backrest-pipe");
    fs::OpenOptions::new().write(true).open(&old).unwrap().write_all(b"note old place\n").unwrap();
    assert_eq!(host.wait_for_notes(1), ["old place"]);
}

#[test]
fn an_old_fifo_keeps_the_inode_that_a_container_has_mounted() {
    let mut host = Host::new();
    host.note_and_gate();
    let old = host.sandbox.path("containers/backrest/backrest-pipe");
    mkfifo(&old, Mode::from_bits_truncate(0o644)).unwrap();
    let inode = fs::metadata(&old).unwrap().ino();
    host.start();
    assert_eq!(fs::metadata(host.fifo()).unwrap().ino(), inode);
    assert_eq!(fs::read_link(&old).unwrap().to_str(), Some("bridge/backrest-pipe"));
}

#[test]
fn empty_folders_that_docker_made_are_replaced() {
    let mut host = Host::new();
    let old = host.sandbox.path("containers/backrest/backrest-pipe");
    fs::create_dir_all(&old).unwrap();
    fs::create_dir_all(host.fifo()).unwrap();
    fs::create_dir_all(host.bridge().join("backrest.sock")).unwrap();
    host.start();
    assert!(fs::symlink_metadata(&old).unwrap().is_symlink());
    host.write("ping\n");
    host.wait_for_log("ping (pipe)");
}

#[test]
fn what_is_not_a_fifo_is_refused_and_left_alone() {
    type Make = fn(&std::path::Path, &std::path::Path);
    let kinds: [(&str, Make); 3] = [
        ("a plain file", |path, _| fs::write(path, "precious").unwrap()),
        ("a symlink", |path, target| symlink(target, path).unwrap()),
        ("a folder is in its place", |path, _| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("inside"), "precious").unwrap();
        }),
    ];
    for (kind, make) in kinds {
        let host = Host::new();
        let target = host.sandbox.write("target", "precious");
        fs::create_dir_all(host.bridge()).unwrap();
        make(&host.fifo(), &target);
        let before = host.sandbox.tree();
        let ran = host.sandbox.run(&mut host.command()).expect_code(1);
        assert!(ran.stderr.contains(kind) && ran.stderr.contains("hint: "), "{}", ran.stderr);
        assert_eq!(host.sandbox.read("target"), "precious");
        let after = host.sandbox.tree();
        assert!(
            before.lines().all(|line| line.contains("bridge ") || after.contains(line)),
            "{before}\n{after}"
        );
    }
}

#[test]
fn a_home_without_containers_gets_a_hint() {
    let sandbox = Sandbox::empty();
    let ran = sandbox.run(&mut sandbox.command(env!("CARGO_BIN_EXE_pipe-listener"))).expect_code(1);
    assert!(ran.stderr.contains("find the containers: no such folder: "), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("hint: make it, or name the right one with --container-root"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_socket_that_a_dead_listener_left_is_replaced() {
    let mut host = Host::listening();
    host.kill();
    assert!(host.bridge().join("backrest.sock").exists());
    host.send(&["ping"]).expect_code(69);
    host.start();
    host.send(&["ping"]).expect_success();
    host.terminate();
    assert!(!host.bridge().join("backrest.sock").exists());
    host.send(&["ping"]).expect_code(69);
}

#[test]
fn the_help_teaches() {
    let sandbox = Sandbox::empty();
    let ran =
        sandbox.run(sandbox.command(env!("CARGO_BIN_EXE_pipe-listener")).arg("--help")).expect_success();
    insta::assert_snapshot!(ran.stdout);
    let ran = sandbox.run(sandbox.command(client()).arg("--help")).expect_success();
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn systemd_is_notified_once_messages_are_taken() {
    use std::os::unix::net::UnixDatagram;
    let mut host = Host::new();
    let path = host.sandbox.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    host.environment.push(("NOTIFY_SOCKET".into(), path.display().to_string()));
    host.action("environment", "env");
    host.start();
    let mut bytes = [0; 64];
    let length = socket.recv(&mut bytes).unwrap();
    assert_eq!(bytes[..length].trim_ascii(), b"READY=1");
    let ran = host.send(&["environment"]).expect_success();
    assert!(!ran.stdout.contains("NOTIFY_SOCKET"), "{}", ran.stdout);
}

#[test]
fn a_full_disk_or_a_closed_pipe_behind_standard_output_stops_no_program_half_way() {
    let host = Host::listening();
    host.action("lines", "yes line | head -n 2000; touch \"$HOME/finished\"");
    let push = common::testing::built("backrest-push", "backrest-push");
    let listener = std::path::PathBuf::from(env!("CARGO_BIN_EXE_pipe-listener"));
    let commands: [(&std::path::Path, &str); 9] = [
        (client(), "--help"),
        (client(), "--version"),
        (client(), "ping"),
        (client(), "status"),
        (client(), "lines"),
        (&listener, "--help"),
        (&listener, "--version"),
        (&push, "--help"),
        (&push, "--version"),
    ];
    for (program, argument) in commands {
        for (redirection, code) in [("> /dev/full", 1), ("| true", 0)] {
            let script = format!("set -o pipefail; \"$PROGRAM\" {argument} {redirection}");
            let mut command = host.sandbox.command("bash");
            command.env("BACKREST_BRIDGE", host.bridge()).env("PROGRAM", program).args(["-c", &script]);
            let ran = host.sandbox.run(&mut command).expect_code(code);
            assert!(!ran.stderr.contains("panicked"), "{argument} {redirection}: {}", ran.stderr);
            assert_eq!(code == 1, ran.stderr.contains("standard output"), "{argument}: {}", ran.stderr);
            if argument == "lines" {
                let finished = host.sandbox.path("finished");
                fs::remove_file(&finished).expect("the action ran to its end");
            }
        }
    }
}
