//! What the other end may put in the place of the doors, and of the folder itself: nothing of it is followed or run,
//! and what was there before is taken up again.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use common::testing::wait_until;

use crate::host::Host;

#[test]
fn a_socket_that_is_replaced_is_opened_anew_and_what_replaced_it_is_not_followed() {
    let host = Host::listening();
    let precious = host.sandbox.write("precious", "precious");
    let socket = host.bridge().join("backrest.sock");
    let replaced = |count| {
        wait_until("it is noticed", || host.log().matches("backrest.sock: it is a").count() == count);
    };
    fs::remove_file(&socket).unwrap();
    symlink(&precious, &socket).unwrap();
    replaced(1);
    assert!(host.log().contains("it is a symlink, not a socket"), "{}", host.log());
    assert_eq!(host.sandbox.read("precious"), "precious");
    fs::remove_file(&socket).unwrap();
    wait_until("it is there again", || host.send(&["ping"]).end.is_success());
    fs::remove_file(&socket).unwrap();
    mkfifo(&socket, Mode::from_bits_truncate(0o600)).unwrap();
    replaced(2);
    // The other door stays open meanwhile.
    host.note_and_gate();
    host.write("note through the pipe\n");
    assert_eq!(host.wait_for_notes(1), ["through the pipe"]);
}

#[test]
fn a_fifo_that_is_replaced_by_something_else_is_not_opened() {
    let host = Host::listening();
    let precious = host.sandbox.write("precious", "note precious\n");
    host.note_and_gate();
    fs::remove_file(host.fifo()).unwrap();
    symlink(&precious, host.fifo()).unwrap();
    host.wait_for_log("backrest-pipe: it is a symlink, not a FIFO");
    fs::remove_file(host.fifo()).unwrap();
    fs::write(host.fifo(), "note from a plain file\n").unwrap();
    host.wait_for_log("backrest-pipe: it is a plain file, not a FIFO");
    host.honest_clients_are_served();
    let status = host.send(&["status"]).stdout;
    assert!(status.contains("pipe: open the FIFO: "), "{status}");
    fs::remove_file(host.fifo()).unwrap();
    wait_until("it is made again", || host.send(&["status"]).stdout.contains("pipe: ok"));
    host.write("note again\n");
    assert_eq!(host.wait_for_notes(1), ["again"]);
}

#[test]
fn a_device_in_the_fifos_place_is_not_opened() {
    let host = Host::new();
    fs::create_dir_all(host.bridge()).unwrap();
    let zero = nix::sys::stat::makedev(1, 5);
    let made = nix::sys::stat::mknod(
        &host.fifo(),
        nix::sys::stat::SFlag::S_IFCHR,
        Mode::from_bits_truncate(0o666),
        zero,
    );
    // Only root may make a device; the container of another user may not either.
    if made.is_ok() {
        let ran = host.sandbox.run(&mut host.command()).expect_code(1);
        assert!(ran.stderr.contains("it is a device, not a FIFO"), "{}", ran.stderr);
    } else {
        assert!(!nix::unistd::geteuid().is_root(), "{made:?}");
    }
}

#[test]
fn what_lies_in_the_bridge_folder_is_never_run() {
    let host = Host::listening();
    let trap = "#!/bin/sh\ntouch \"$HOME/trapped\"\n";
    for name in ["backrest-send", "pre-backup-actions", "build-ignore", "note", "actions"] {
        host.sandbox.script(format!("containers/backrest/bridge/{name}"), trap);
    }
    host.send(&["note"]).expect_code(64);
    host.send(&["status"]).expect_success();
    host.send(&["build-ignore"]).expect_success();
    assert!(!host.sandbox.path("trapped").exists());
}

#[test]
fn a_bridge_folder_that_became_something_else_is_taken_up_again_once_it_is_one() {
    let host = Host::listening();
    let precious = host.sandbox.path("precious");
    fs::create_dir(&precious).unwrap();
    fs::remove_dir_all(host.bridge()).unwrap();
    // The listener is about to make it again.
    wait_until("the symlink is in its place", || {
        let _ = fs::remove_dir_all(host.bridge());
        symlink(&precious, host.bridge()).is_ok()
    });
    host.wait_for_log("open the bridge folder: ");
    assert_eq!(fs::read_dir(&precious).unwrap().count(), 0, "it is not followed");
    // Nothing reports this: it is not in the folder that was watched.
    fs::remove_file(host.bridge()).unwrap();
    wait_until("it is made again", || host.send(&["ping"]).end.is_success());
    assert!(host.send(&["status"]).stdout.contains("pipe: ok\nsocket: ok\n"));
    host.note_and_gate();
    host.write("note here\n");
    assert_eq!(host.wait_for_notes(1), ["here"]);
}

#[test]
fn a_bridge_folder_that_can_not_be_read_for_a_while_closes_no_door() {
    use std::os::unix::fs::PermissionsExt;
    let mut host = Host::new();
    host.as_ordinary_user();
    host.start();
    let allow = |mode| fs::set_permissions(host.bridge(), fs::Permissions::from_mode(mode)).unwrap();
    fs::remove_file(host.fifo()).unwrap();
    allow(0o000);
    host.wait_for_log("backrest-pipe: Permission denied");
    assert!(host.busy() < 0.1, "it spins");
    allow(0o700);
    let status = || host.send(&["status"]).stdout;
    wait_until("both doors are open", || status().contains("pipe: ok\nsocket: ok\n"));
    // What changes is noticed as soon as ever, also while something else is wrong.
    fs::remove_file(host.bridge().join("backrest.sock")).unwrap();
    fs::write(host.bridge().join("backrest.sock"), "").unwrap();
    host.wait_for_log("it is a plain file, not a socket");
    // One of three is quick enough on a machine that is busy with something else, too.
    let took = [(); 3].map(|()| {
        let before = fs::symlink_metadata(host.fifo()).unwrap().ino();
        fs::remove_file(host.fifo()).unwrap();
        let removed = Instant::now();
        wait_until("it is made again", || {
            fs::symlink_metadata(host.fifo()).is_ok_and(|metadata| metadata.ino() != before)
        });
        removed.elapsed()
    });
    assert!(took.iter().min().unwrap() < &Duration::from_secs(4), "{took:?}");
}

#[test]
fn the_bridge_folder_itself_may_be_replaced() {
    let host = Host::listening();
    fs::rename(host.bridge(), host.sandbox.path("containers/backrest/aside")).unwrap();
    wait_until("there is a new one", || host.send(&["ping"]).end.is_success());
    host.note_and_gate();
    wait_until("with a FIFO", || host.fifo().exists());
    host.write("note here\n");
    assert_eq!(host.wait_for_notes(1), ["here"]);
}
