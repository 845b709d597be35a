//! Another program changes the server's `authorized_keys` while the tool does: nothing of that is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::world::World;

const THEIRS: &str = "ssh-rsa AAAAB3NzaC1yc2EAAA another user";

/// Puts a program in the place of sftp that adds a key to the file, before its call number in /srv/add-before.
#[track_caller]
fn with_another_writer(world: &World, file: &str) {
    let sftp = world.srv("bin/sftp");
    let script = format!(
        "#!/bin/sh\necho >> /srv/calls\n\
         if [ \"$(wc -l < /srv/calls)\" -eq \"$(cat /srv/add-before)\" ]; then\n\
         echo '{THEIRS}' >> {file}; chown 3001:3001 {file}; chmod 600 {file}; fi\nexec /usr/bin/sftp \"$@\"\n"
    );
    fs::write(&sftp, script).unwrap();
    fs::set_permissions(&sftp, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the tool once for each of its calls of sftp, with a key added before that call; returns the number of calls.
/// Before each run `file` is as `before`, or missing.
#[track_caller]
fn at_every_call(world: &World, file: &Path, before: Option<&str>, arguments: &[&str], ours: usize) -> usize {
    for call in 1.. {
        match before {
            Some(text) => fs::write(file, text).unwrap(),
            None => drop(fs::remove_file(file)),
        }
        fs::write(world.srv("calls"), "").unwrap();
        fs::write(world.srv("add-before"), format!("{call}\n")).unwrap();
        let ran = world.tool(arguments).expect_success();
        if world.text(&world.srv("calls")).lines().count() < call {
            return call - 1;
        }
        let after = world.text(file);
        let everything = || format!("added before call {call}\n{after}\n{}", ran.everything());
        assert_eq!(after.matches(THEIRS).count(), 1, "{}", everything());
        assert_eq!(after.matches("backrest-backup-key").count(), ours, "{}", everything());
        assert!(
            after.starts_with(before.unwrap_or_default().lines().next().unwrap_or_default()),
            "{}",
            everything()
        );
        let left = fs::read_dir(file.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "{}", everything());
        if arguments.contains(&"--remove") {
            fs::write(world.srv("add-before"), "0\n").unwrap();
            world.tool(&["nas"]).expect_success();
        } else {
            fs::remove_file(world.folder("config")).unwrap();
        }
    }
    unreachable!("the calls of one run are numbered")
}

#[test]
fn a_key_that_another_program_adds_meanwhile_is_kept() {
    let (world, _server) = World::with_nas(2200, "bash");
    let file = world.authorized_keys("bash");
    with_another_writer(&world, "/srv/home/bash/.ssh/authorized_keys");
    let before = world.text(&file);
    let calls = at_every_call(&world, &file, Some(&before), &["nas"], 1);
    assert!(calls >= 8, "{calls}");
    fs::write(world.srv("add-before"), "0\n").unwrap();
    world.tool(&["nas"]).expect_success();
    let with_ours = world.text(&file);
    let calls = at_every_call(&world, &file, Some(&with_ours), &["nas", "--remove"], 0);
    assert!(calls >= 5, "{calls}");
}

#[test]
fn a_file_that_another_program_makes_meanwhile_is_kept() {
    let world = World::new();
    let file = world.authorized_keys("bash");
    fs::rename(&file, world.srv("keys")).unwrap();
    let _server = world.server(2200, "ed25519", "AuthorizedKeysFile .ssh/authorized_keys /srv/keys");
    world.trust("nas", 2200, "bash", "ed25519");
    with_another_writer(&world, "/srv/home/bash/.ssh/authorized_keys");
    let calls = at_every_call(&world, &file, None, &["nas", "--authorized-keys", ".ssh/authorized_keys"], 1);
    assert!(calls >= 6, "{calls}");
}
