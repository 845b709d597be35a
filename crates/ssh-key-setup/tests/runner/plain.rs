//! The plain case: a server that the user gets into already.

use crate::world::World;

#[test]
fn from_nothing_to_a_backup_with_nothing_but_the_folder() {
    let (world, _server) = World::with_nas(2200, "bash");
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("sftp:nas:/srv/home/bash/restic"), "{}", ran.everything());
    for (path, mode) in [("", 0o700), ("/config", 0o600), ("/known_hosts", 0o600), ("/id_ed25519", 0o600)] {
        assert_eq!(world.mode(&world.root(&format!("data/backrest/ssh{path}"))), mode, "{path}");
    }
    let keys = world.text(&world.authorized_keys("bash"));
    assert_eq!(keys.lines().count(), 2, "{keys}");
    assert!(keys.lines().nth(1).unwrap().starts_with("restrict,command=\"internal-sftp -d "), "{keys}");

    let repository = "sftp:nas:/srv/home/bash/restic/repo";
    let restic = |arguments: &[&str]| {
        let mut command = world.in_container("restic");
        world.run(command.args(["-r", repository]).args(arguments)).expect_success()
    };
    let _ = restic(&["init"]);
    let _ = restic(&["backup", "/etc/hosts"]);
    let _ = restic(&["restore", "latest", "--target", "/root/restored"]);
    assert_eq!(world.text(&world.root("restored/etc/hosts")), world.text(&world.srv("../etc/hosts")));
}

#[test]
fn a_second_run_changes_nothing_and_proves_again() {
    let (world, _server) = World::with_nas(22, "bash");
    let _ = world.tool(&["nas"]).expect_success();
    let all = || {
        let files = ["config", "known_hosts", "id_ed25519", "id_ed25519.pub"];
        let mut texts: Vec<String> =
            files.iter().map(|file| world.text(&world.root(&format!("data/backrest/ssh/{file}")))).collect();
        texts.push(world.text(&world.authorized_keys("bash")));
        texts
    };
    let before = all();
    for arguments in [&["nas"][..], &[]] {
        let ran = world.tool(arguments).expect_success();
        assert!(
            ran.stdout.contains("unchanged") && ran.stdout.contains("renamed and removed"),
            "{}",
            ran.everything()
        );
        assert_eq!(all(), before);
    }
}

#[test]
fn nothing_of_the_machines_own_ssh_is_read_or_written() {
    let listing = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| {
                format!(
                    "{:?} {:?}",
                    entry.file_name(),
                    entry.metadata().and_then(|found| found.modified()).ok()
                )
            })
            .collect();
        names.sort();
        names
    };
    let own = format!("{}/.ssh", std::env::var("HOME").unwrap_or_default());
    let before = [listing(&own), listing("/etc/ssh")];
    let (world, _server) = World::with_nas(2200, "bash");
    let _ = world.tool(&["nas"]).expect_success();
    assert_eq!([listing(&own), listing("/etc/ssh")], before);
    // What OpenSSH takes for root's home and for its own folder is the scratch one.
    for (inside, outside) in [("/root", world.root("")), ("/etc/ssh", world.srv("../etc/ssh"))] {
        let found = world.run(world.command("stat").args(["-c", "%d:%i", inside])).expect_success();
        let expected = std::fs::metadata(outside).unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!(found.stdout.trim(), format!("{}:{}", expected.dev(), expected.ino()));
    }
}
