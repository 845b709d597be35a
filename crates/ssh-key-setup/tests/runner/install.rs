//! What happens to `authorized_keys`, whatever the account's shell and the server's ways.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::world::{World, address};

#[track_caller]
fn our_line(keys: &str) -> &str {
    keys.lines()
        .find(|line| line.contains("backrest-backup-key"))
        .unwrap_or_else(|| panic!("no line of ours:\n{keys}"))
}

#[test]
fn other_lines_order_mode_and_a_missing_last_newline_are_kept() {
    let (world, _server) = World::with_nas(2200, "bash");
    let file = world.authorized_keys("bash");
    let before = format!("# a comment\r\n\n{}from=\"10.0.0.1\" ssh-rsa AAAAB3 last", world.text(&file));
    fs::write(&file, &before).unwrap();
    use std::os::unix::fs::MetadataExt;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    world.tool(&["nas"]).expect_success();
    let after = world.text(&file);
    assert!(after.starts_with(&format!("{before}\n")) && !after.ends_with('\n'), "{after}");
    assert_eq!(after.matches("backrest-backup-key").count(), 1);
    let found = fs::metadata(&file).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o640, 3001));
    let left: Vec<_> =
        fs::read_dir(file.parent().unwrap()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["authorized_keys"], "nothing else is left behind");
    world.tool(&["nas", "--remove"]).expect_success();
    assert_eq!(world.text(&file), before);
    assert_eq!(world.mode(&file), 0o640);
}

#[test]
fn the_accounts_shell_does_not_matter() {
    for shell in ["dash", "fish"] {
        let (world, _server) = World::with_nas(2200, shell);
        let ran = world.tool(&["nas"]).expect_success();
        assert!(
            ran.stdout.contains("a shell, a port forward and an agent are refused"),
            "{}",
            ran.everything()
        );
    }
}

#[test]
fn an_sftp_only_account_in_a_chroot_is_set_up_over_sftp() {
    let world = World::new();
    // sshd wants a chroot of root's; the account's own .ssh and folder lie in it.
    let home = world.srv("home/locked");
    std::os::unix::fs::chown(&home, Some(0), Some(0)).unwrap();
    fs::create_dir(home.join("backups")).unwrap();
    std::os::unix::fs::chown(home.join("backups"), Some(3004), Some(3004)).unwrap();
    let _server = world.server(
        2200,
        "ed25519",
        "Match User locked\n ChrootDirectory %h\n ForceCommand internal-sftp\nMatch all",
    );
    world.trust("nas", 2200, "locked", "ed25519");
    let refused = world.tool(&["nas"]).expect_code(1);
    assert!(refused.stderr.contains("/restic: the path is not writable"), "{}", refused.everything());
    assert!(
        refused.stderr.contains("hint: ") && refused.stderr.contains("--path"),
        "{}",
        refused.everything()
    );
    let ran = world.tool(&["nas", "--path", "/backups/restic"]).expect_success();
    assert!(ran.stdout.contains("sftp:nas:/backups/restic"), "{}", ran.everything());
    assert!(world.srv("home/locked/backups/restic").is_dir());
    assert_eq!(world.text(&world.authorized_keys("locked")).matches("backrest-backup-key").count(), 1);
}

#[test]
fn a_forced_command_that_is_not_sftp_is_reported() {
    let (world, _server) = World::with_nas(2200, "bash");
    let file = world.authorized_keys("bash");
    let own = world.text(&file);
    fs::write(&file, format!("command=\"/bin/date\" {own}")).unwrap();
    let ran = world.tool(&["nas"]).expect_code(1);
    assert!(
        ran.stderr.contains("connect: nas: something prints text into the SFTP session"),
        "{}",
        ran.everything()
    );
    assert!(ran.stderr.contains("a forced command has to be SFTP"), "{}", ran.everything());
    assert!(!world.text(&file).contains("backrest-backup-key"));
}

#[test]
fn an_unrestricted_line_of_the_old_script_becomes_restricted_where_it_stands() {
    let (world, _server) = World::with_nas(2200, "bash");
    world.tool(&[]).expect_success();
    let public = world.text(&world.folder("id_ed25519.pub"));
    let file = world.authorized_keys("bash");
    fs::write(&file, format!("{public}{}", world.text(&file))).unwrap();
    world.tool(&["nas", "--path", "/srv/home/bash/b"]).expect_success();
    let keys = world.text(&file);
    let expected = format!("restrict,command=\"internal-sftp -d /srv/home/bash/b\" {}", public.trim());
    assert_eq!((keys.lines().next().unwrap(), keys.lines().count()), (expected.as_str(), 2));
    world.tool(&["nas", "--no-restrict"]).expect_success();
    assert_eq!(our_line(&world.text(&file)), public.trim());
}

#[test]
fn a_missing_ssh_folder_on_the_server_is_made_closed() {
    let world = World::new();
    let keys = world.srv("keys");
    fs::rename(world.authorized_keys("bash"), &keys).unwrap();
    fs::remove_dir(world.srv("home/bash/.ssh")).unwrap();
    let _server = world.server(2200, "ed25519", "AuthorizedKeysFile .ssh/authorized_keys /srv/keys");
    world.trust("nas", 2200, "bash", "ed25519");
    world.tool(&["nas", "--authorized-keys", ".ssh/authorized_keys"]).expect_success();
    assert_eq!(world.mode(&world.srv("home/bash/.ssh")), 0o700);
    assert_eq!(world.mode(&world.authorized_keys("bash")), 0o600);
}

#[test]
fn keys_are_put_where_the_server_looks_for_them() {
    let world = World::new();
    let keys = world.srv("home/bash/.config");
    fs::create_dir(&keys).unwrap();
    fs::rename(world.authorized_keys("bash"), keys.join("keys")).unwrap();
    std::os::unix::fs::chown(&keys, Some(3001), Some(3001)).unwrap();
    let _server = world.server(2200, "ed25519", "AuthorizedKeysFile .config/keys");
    world.trust("nas", 2200, "bash", "ed25519");
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("/srv/home/bash/.config/keys"), "{}", ran.everything());
    assert_eq!(world.text(&keys.join("keys")).matches("backrest-backup-key").count(), 1);
}

#[test]
fn a_read_only_home_is_reported_with_the_line_to_have_put_in() {
    let world = World::new();
    let home = "/srv/home/bash";
    world.run(world.command("mount").args(["--bind", home, home])).expect_success();
    world.run(world.command("mount").args(["-o", "remount,bind,ro", home])).expect_success();
    let _server = world.server(2200, "ed25519", "");
    world.trust("nas", 2200, "bash", "ed25519");
    let ran = world.tool(&["nas"]).expect_code(1);
    assert!(ran.stderr.contains("/srv/home/bash/.ssh/authorized_keys"), "{}", ran.everything());
    assert!(
        ran.stderr.contains(
            "authorized_keys: restrict,command=\"internal-sftp -d /srv/home/bash/restic\" ssh-ed25519 AAAA"
        ),
        "{}",
        ran.everything()
    );
}

/// Puts the account's keys where a user who keeps all dot files in one folder has them.
#[track_caller]
fn with_dot_files(world: &World) -> (std::path::PathBuf, std::path::PathBuf) {
    let (link, folder) = (world.authorized_keys("bash"), world.srv("home/bash/dot files"));
    fs::create_dir(&folder).unwrap();
    let target = folder.join("keys");
    fs::rename(&link, &target).unwrap();
    std::os::unix::fs::symlink("../dot files/keys", &link).unwrap();
    std::os::unix::fs::chown(&folder, Some(3001), Some(3001)).unwrap();
    (link, target)
}

#[test]
fn a_symlinked_authorized_keys_stays_one_and_its_target_is_changed() {
    let (world, _server) = World::with_nas(2200, "bash");
    let (link, target) = with_dot_files(&world);
    let before = world.text(&target);
    world.tool(&["nas"]).expect_success();
    assert_eq!(fs::read_link(&link).unwrap(), std::path::Path::new("../dot files/keys"));
    assert!(our_line(&world.text(&target)).starts_with("restrict,"), "{}", world.text(&target));
    assert_eq!((world.mode(&target), fs::read_dir(target.parent().unwrap()).unwrap().count()), (0o600, 1));
    world.tool(&["nas", "--rotate"]).expect_success();
    world.tool(&["nas", "--remove"]).expect_success();
    assert_eq!((world.text(&target), fs::symlink_metadata(&link).unwrap().is_symlink()), (before, true));
}

#[test]
fn a_symlinked_ssh_folder_stays_one() {
    let (world, _server) = World::with_nas(2200, "bash");
    let (folder, real) = (world.srv("home/bash/.ssh"), world.srv("home/bash/dot-ssh"));
    fs::rename(&folder, &real).unwrap();
    std::os::unix::fs::symlink("dot-ssh", &folder).unwrap();
    world.tool(&["nas"]).expect_success();
    assert!(fs::symlink_metadata(&folder).unwrap().is_symlink());
    our_line(&world.text(&real.join("authorized_keys")));
}

#[test]
fn a_symlink_that_leads_nowhere_is_reported_with_the_line_to_have_put_in() {
    let world = World::new();
    let link = world.authorized_keys("bash");
    fs::rename(&link, world.srv("keys")).unwrap();
    std::os::unix::fs::symlink("gone", &link).unwrap();
    let _server = world.server(2200, "ed25519", "AuthorizedKeysFile .ssh/authorized_keys /srv/keys");
    world.trust("nas", 2200, "bash", "ed25519");
    let ran = world.tool(&["nas", "--authorized-keys", ".ssh/authorized_keys"]).expect_code(1);
    assert!(ran.stderr.contains("it is a symlink that leads to no file"), "{}", ran.everything());
    assert!(ran.stderr.contains("hint: ") && ran.stderr.contains("ssh-ed25519 AAAA"), "{}", ran.everything());
    assert_eq!(fs::read_link(&link).unwrap(), std::path::Path::new("gone"));
}

#[test]
fn a_server_that_is_no_openssh_gets_the_restriction_in_words_it_knows() {
    let world = World::new();
    let server = world.dropbear(2200);
    world.own_ssh(
        "Host nas\n  HostName 127.0.0.1\n  Port 2200\n  User bash\n",
        &format!("{} {}\n", address(2200), server.host_key()),
    );
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("a shell and a port forward are refused"), "{}", ran.everything());
    let keys = world.text(&world.authorized_keys("bash"));
    assert!(our_line(&keys).starts_with("no-port-forwarding,no-agent-forwarding,"), "{keys}");
    crate::servers::restic_works(&world, "/srv/home/bash/restic/r");
    let again = world.tool(&["nas"]).expect_success();
    assert!(again.stdout.contains("unchanged"), "{}", again.everything());
}

#[test]
fn a_password_is_asked_on_the_terminal_once() {
    let world = World::new();
    fs::remove_file(world.authorized_keys("bash")).unwrap();
    let _server = world.server(2200, "ed25519", "");
    world.trust("nas", 2200, "bash", "ed25519");
    let (answered, seen) = world.on_a_terminal("ssh-key-setup nas", "password:", crate::world::PASSWORD);
    assert_eq!(answered, 1, "{seen}");
}

#[test]
fn a_passphrase_of_the_users_own_key_is_asked_on_the_terminal_once() {
    let (world, _server) = World::with_nas(2200, "bash");
    let mut command = world.command("ssh-keygen");
    world
        .run(command.args(["-q", "-p", "-N", "open sesame", "-f", "/root/.ssh/id_ed25519"]))
        .expect_success();
    let (answered, seen) = world.on_a_terminal("ssh-key-setup nas", "/root/.ssh/id_ed25519':", "open sesame");
    assert_eq!(answered, 1, "{seen}");
}

#[test]
fn ctrl_c_at_any_question_ends_the_run_and_says_so() {
    let (world, _server) = World::with_nas(2200, "bash");
    let known = world.text(&world.root(".ssh/known_hosts"));
    fs::write(world.root(".ssh/known_hosts"), "").unwrap();
    let (code, seen) = world.interrupted_at("exec ssh-key-setup nas", "Type yes to trust it: ");
    assert!(code == Some(1) && seen.contains("\r\nssh-key-setup: interrupted\r\nhint: "), "{code:?} {seen}");
    fs::write(world.root(".ssh/known_hosts"), known).unwrap();
    let file = world.authorized_keys("bash");
    fs::rename(&file, world.srv("keys")).unwrap();
    let (code, seen) = world.interrupted_at("exec ssh-key-setup nas", "password:");
    assert!(code == Some(1) && seen.contains("connect: nas: interrupted\r\nhint: "), "{code:?} {seen}");
    fs::rename(world.srv("keys"), &file).unwrap();
    world.tool(&["nas"]).expect_success();
    assert_eq!(world.run(world.command("ls").arg("/run/tmp")).expect_success().stdout, "");
}

#[test]
fn a_slow_proof_shows_that_it_waits_on_a_terminal_only() {
    let world = World::new();
    let slow = world.srv("slow");
    fs::write(&slow, "#!/bin/sh\nsleep 1.5\nexec /usr/lib/openssh/sftp-server\n").unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
    let _server = world.server(2200, "ed25519", "Subsystem sftp /srv/slow");
    world.trust("nas", 2200, "bash", "ed25519");
    world.tool(&["nas", "--no-restrict"]).expect_success();
    let (_, seen) = world.on_a_terminal("ssh-key-setup nas --check", "password:", crate::world::PASSWORD);
    // The line goes away before the next one is printed.
    assert!(seen.contains("\rwaiting for nas\u{1b}[K\r\u{1b}[K"), "{seen:?}");
    let ran = world.tool(&["nas", "--check"]).expect_success();
    assert!(
        !ran.everything().contains("waiting for") && !ran.everything().contains('\r'),
        "{}",
        ran.everything()
    );
}
