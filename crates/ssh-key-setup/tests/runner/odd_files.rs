//! Files of the server's that are unusual: closed, another user's, or not a file of keys at all.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::world::World;

#[track_caller]
fn mode_and_owner(path: &Path) -> (u32, u32, u32) {
    let found = fs::metadata(path).unwrap();
    (found.mode() & 0o7777, found.uid(), found.gid())
}

/// The names of what lies beside `path`, with it.
#[track_caller]
fn beside(path: &Path) -> usize {
    fs::read_dir(path.parent().unwrap()).unwrap().count()
}

#[test]
fn a_file_that_its_owner_closed_is_changed_and_stays_closed() {
    let (world, _server) = World::with_nas(2200, "bash");
    let file = world.authorized_keys("bash");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let before = world.text(&file);
    world.tool(&["nas"]).expect_success();
    assert_eq!((mode_and_owner(&file), beside(&file)), ((0o400, 3001, 3001), 1));
    world.tool(&["nas", "--remove"]).expect_success();
    assert_eq!((world.text(&file), mode_and_owner(&file)), (before, (0o400, 3001, 3001)));
}

#[test]
fn a_file_that_was_given_to_root_is_left_to_root() {
    let (world, _server) = World::with_nas(2200, "bash");
    let file = world.authorized_keys("bash");
    let before = world.text(&file);
    chown(&file, Some(0), Some(0)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = world.tool(&["nas"]).expect_code(1);
    // sftp prints numbers or, since 9.1, names.
    let words = ["user root, not to the account (user bash)", "user 0, not to the account (user 3001)"];
    let is_reported = words.iter().any(|words| ran.stderr.contains(&format!("it belongs to {words}")));
    assert!(is_reported, "{}", ran.everything());
    assert!(ran.stderr.contains("hint: fix that, or have this line added to"), "{}", ran.everything());
    assert_eq!((world.text(&file), mode_and_owner(&file), beside(&file)), (before, (0o644, 0, 0), 1));
}

#[test]
fn a_folder_in_which_the_account_may_not_write_is_reported() {
    let (world, _server) = World::with_nas(2200, "bash");
    let file = world.authorized_keys("bash");
    let before = world.text(&file);
    chown(file.parent().unwrap(), Some(0), Some(0)).unwrap();
    fs::set_permissions(file.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = world.tool(&["nas"]).expect_code(1);
    assert!(
        ran.stderr.contains("write on the server: nas: /srv/home/bash/.ssh/authorized_keys: ")
            && ran.stderr.contains("ermission denied")
            && ran.stderr.contains("hint: fix that, or have this line added to"),
        "{}",
        ran.everything()
    );
    assert_eq!((world.text(&file), beside(&file)), (before, 1));
}

#[test]
fn a_program_that_prints_the_keys_is_never_taken_for_a_file_of_keys() {
    // sshd names the program where it else names the file. Its folder is the account's, as with a login as root.
    let world = World::new();
    let program = world.root("print-keys");
    let text = "#!/bin/sh\ncat /root/.ssh/id_ed25519.pub\n";
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let ways = "AuthorizedKeysCommand /root/print-keys\nAuthorizedKeysCommandUser root\nPermitRootLogin yes";
    let _server = world.server(2200, "ed25519", ways);
    world.trust("nas", 2200, "root", "ed25519");
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("server  /root/.ssh/authorized_keys (put in"), "{}", ran.everything());
    assert_eq!(world.text(&program), text);
}
