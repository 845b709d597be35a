//! The plain case: a server that the user gets into already.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::world::World;

#[test]
fn from_nothing_to_a_backup_with_nothing_but_the_folder() {
    let (world, _server) = World::with_nas(2200, "bash");
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("sftp:nas:/srv/home/bash/restic"), "{}", ran.everything());
    for (path, mode) in [("", 0o700), ("/config", 0o600), ("/known_hosts", 0o600), ("/id_ed25519", 0o600)] {
        assert_eq!(world.mode(&world.root(&format!("data/backrest/ssh{path}"))), mode, "{path}");
    }
    let public = world.folder("id_ed25519.pub");
    assert_eq!(world.mode(&public), 0o600);
    assert!(world.text(&public).ends_with(" backrest-backup-key nas\n"), "{}", world.text(&public));
    let keys = world.text(&world.authorized_keys("bash"));
    assert_eq!(keys.lines().count(), 2, "{keys}");
    assert!(keys.lines().nth(1).unwrap().starts_with("restrict,command=\"internal-sftp -d "), "{keys}");

    for (number, program) in restics(&world).iter().enumerate() {
        let repository = format!("sftp:nas:/srv/home/bash/restic/repo{number}");
        let restic = |arguments: &[&str]| {
            let mut command = world.in_container(program);
            world.run(command.args(["-r", &repository]).args(arguments)).expect_success()
        };
        let target = format!("/root/restored{number}");
        restic(&["init"]);
        restic(&["backup", "/etc/hosts"]);
        restic(&["restore", "latest", "--target", &target]);
        let restored = world.root(&format!("restored{number}/etc/hosts"));
        assert_eq!(world.text(&restored), world.text(&world.srv("../etc/hosts")), "{program}");
    }
}

/// The machine's restic, and the newest as `cargo xtask test` puts it in place beside it.
#[track_caller]
pub(crate) fn restics(world: &World) -> [&'static str; 2] {
    let newest = std::env::var_os("RESTIC_NEWEST").map(PathBuf::from).unwrap_or_else(|| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/restic-trixie/usr/bin/restic")
    });
    assert!(newest.is_file(), "no restic at {}: `cargo xtask test` puts it there", newest.display());
    common::testing::copy_program(&newest, world.srv("newest-restic"));
    ["restic", "/srv/newest-restic"]
}

#[test]
fn a_repository_that_is_there_already_is_seen() {
    let (world, _server) = World::with_nas(2200, "bash");
    world.tool(&["nas"]).expect_success();
    for program in restics(&world) {
        fs::remove_dir_all(world.srv("home/bash/restic")).unwrap();
        let link = world.srv("bin/restic");
        let _ = fs::remove_file(&link);
        let found = if program == "restic" { "/usr/bin/restic" } else { program };
        std::os::unix::fs::symlink(found, &link).unwrap();
        let before = world.tool(&["nas"]).expect_success();
        assert!(before.stdout.contains("no repository is there yet"), "{program}: {}", before.everything());
        let mut init = world.in_container(found);
        world.run(init.args(["-r", "sftp:nas:/srv/home/bash/restic", "init"])).expect_success();
        let after = world.tool(&["--check"]).expect_success();
        assert!(after.stdout.contains("a repository is there already"), "{program}: {}", after.everything());
    }
}

#[test]
fn what_a_killed_proof_left_is_cleared_away_by_the_next() {
    let (world, _server) = World::with_nas(2200, "bash");
    world.tool(&["nas"]).expect_success();
    let folder = world.srv("home/bash/restic");
    let sftp = world.srv("bin/sftp");
    for step in ["put", "rename"] {
        // The batch as it is up to the step, and then no word more.
        let script = format!(
            "#!/bin/sh\ncat > /run/batch\ngrep -q '^{step} .*proof' /run/batch || exec /usr/bin/sftp \"$@\" < /run/batch\n\
             sed '/^{step} /q' /run/batch | /usr/bin/sftp \"$@\"\nkill -9 $PPID\n"
        );
        fs::write(&sftp, script).unwrap();
        fs::set_permissions(&sftp, fs::Permissions::from_mode(0o755)).unwrap();
        let killed = world.run(world.command("ssh-key-setup").arg("nas"));
        assert!(!killed.end.is_success(), "{}", killed.everything());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{step}: {}", killed.everything());
        fs::remove_file(&sftp).unwrap();
        world.tool(&["nas"]).expect_success();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{step}");
    }
}

#[test]
fn a_path_may_be_written_in_every_way() {
    let (world, _server) = World::with_nas(2200, "bash");
    for (path, expected) in [
        ("~", "/srv/home/bash"),
        ("~/b/", "/srv/home/bash/b"),
        ("c/../d//", "/srv/home/bash/d"),
        ("/srv/home/bash/-oProxyCommand=x", "/srv/home/bash/-oProxyCommand=x"),
    ] {
        let ran = world.tool(&["nas", "--path", path]).expect_success();
        assert!(ran.stdout.contains(&format!("sftp:nas:{expected}\n")), "{path}: {}", ran.everything());
    }
    for path in ["", "a\nb"] {
        let ran = world.tool(&["nas", "--path", path]).expect_code(1);
        assert!(
            ran.stderr.starts_with("ssh-key-setup: --path: not a folder's name: "),
            "{}",
            ran.everything()
        );
        assert_eq!(ran.stdout, "", "it is reported before anything is done");
    }
}

#[test]
fn a_second_run_changes_nothing_and_proves_again() {
    let (world, _server) = World::with_nas(22, "bash");
    world.tool(&["nas"]).expect_success();
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
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
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
    world.tool(&["nas"]).expect_success();
    assert_eq!([listing(&own), listing("/etc/ssh")], before);
    // What OpenSSH takes for root's home and for its own folder is the scratch one.
    for (inside, outside) in [("/root", world.root("")), ("/etc/ssh", world.srv("../etc/ssh"))] {
        let found = world.run(world.command("stat").args(["-c", "%d:%i", inside])).expect_success();
        let expected = fs::metadata(outside).unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!(found.stdout.trim(), format!("{}:{}", expected.dev(), expected.ino()));
    }
}

#[test]
fn the_private_key_is_written_to_its_file_and_nowhere_else() {
    let (world, _server) = World::with_nas(2200, "bash");
    for arguments in [&["nas"][..], &["nas", "--rotate"], &["--check"], &["nas", "--remove"]] {
        let mut command = world.command("strace");
        command.args([
            "-f",
            "-v",
            "-s",
            "100000",
            "-qq",
            "-o",
            "/srv/trace",
            "-e",
            "trace=execve,write,writev,openat",
        ]);
        let ran = world.run(command.arg("/srv/bin/ssh-key-setup").args(arguments)).expect_success();
        let trace = world.text(&world.srv("trace"));
        // The third line of the file, in which the secret half begins; strace writes the text as C does.
        let private = world.text(&world.folder("id_ed25519"));
        let secret = private.lines().nth(2).expect("a third line");
        let seen: Vec<&str> = trace.lines().filter(|line| line.contains(secret)).collect();
        let is_new = arguments == ["nas"] || arguments.contains(&"--rotate");
        assert_eq!(seen.len(), usize::from(is_new), "{arguments:?}: {seen:#?}");
        assert!(
            seen.iter().all(|line| line.contains("write(") && line.contains("BEGIN OPENSSH PRIVATE KEY"))
        );
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret));
        let made =
            trace.lines().filter(|line| line.contains("O_CREAT") && line.contains("data/backrest/ssh/"));
        for line in made {
            assert!(
                line.contains("O_EXCL") && line.contains(", 0600)"),
                "closed from its first moment: {line}"
            );
        }
    }
}
