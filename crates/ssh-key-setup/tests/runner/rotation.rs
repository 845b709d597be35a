//! Keys that go and come: rotation, and hosts that share a key.

use std::fs;

use crate::world::World;

#[track_caller]
fn ours(world: &World, account: &str) -> Vec<String> {
    let keys = world.text(&world.authorized_keys(account));
    keys.lines().filter(|line| line.contains("backrest-backup-key")).map(str::to_owned).collect()
}

#[test]
fn rotation_leaves_one_new_key_and_keeps_the_old_pair_aside() {
    let (world, _server) = World::with_nas(2200, "bash");
    world.tool(&["nas"]).expect_success();
    let old = world.text(&world.folder("id_ed25519"));
    // No one has to log in: the old key brings the new one in.
    fs::remove_file(world.root(".ssh/id_ed25519")).unwrap();
    let ran = world.tool(&["nas", "--rotate"]).expect_success();
    let new = world.text(&world.folder("id_ed25519.pub"));
    assert_eq!(ours(&world, "bash").len(), 1, "{}", ran.everything());
    assert!(ours(&world, "bash")[0].ends_with(new.trim()));
    let names: Vec<String> = fs::read_dir(world.folder(""))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let aside: Vec<&String> =
        names.iter().filter(|name| name.contains(".old-") && !name.ends_with(".pub")).collect();
    assert_eq!(aside.len(), 1, "{names:?}");
    assert_eq!(world.text(&world.folder(aside[0])), old);
    assert!(!names.iter().any(|name| name.contains(".new") || name.contains(".retiring")), "{names:?}");
    world.tool(&["--check"]).expect_success();
}

/// Three hosts of an old folder with one key: two accounts, and a second name for the first.
#[track_caller]
fn of_the_old_script() -> (World, crate::world::Server, String) {
    let (world, server) = World::with_nas(2200, "bash");
    fs::create_dir(world.folder("")).unwrap();
    world.keygen("/root/data/backrest/ssh/id_rsa");
    let public = world.text(&world.folder("id_rsa.pub"));
    for account in ["bash", "dash"] {
        let file = world.authorized_keys(account);
        fs::write(&file, world.text(&file) + &public).unwrap();
    }
    let host = |alias: &str, name: &str, user: &str| {
        format!(
            "Host {alias}\n  HostName {name}\n  User {user}\n  IdentityFile /root/.ssh/id_rsa\n  Port 2200\n"
        )
    };
    let hosts = host("one", "127.0.0.1", "bash")
        + &host("two", "127.0.0.1", "dash")
        + &host("also", "localhost", "bash");
    fs::write(world.folder("config"), hosts).unwrap();
    let known = format!("[localhost]:2200 {}\n", world.host_key(2200, "ed25519"));
    fs::write(world.root(".ssh/known_hosts"), world.text(&world.root(".ssh/known_hosts")) + &known).unwrap();
    (world, server, public)
}

#[test]
fn hosts_that_share_a_key_are_rotated_one_by_one_without_shutting_another_out() {
    let (world, _server, public) = of_the_old_script();
    world.tool(&["127.0.0.1", "--alias", "two", "--user", "dash", "--port", "2200"]).expect_success();
    let refused = world.tool(&["two", "--rotate"]).expect_code(1);
    assert!(
        refused.stderr.contains("your own lines in config use the same key: Host "),
        "{}",
        refused.everything()
    );
    // A bare run takes all of them over.
    world.tool(&[]).expect_success();
    world.tool(&["two", "--rotate"]).expect_success();
    let blob = public.split(' ').nth(1).unwrap();
    assert!(!world.text(&world.authorized_keys("dash")).contains(blob), "the old key is off this server");
    assert!(world.text(&world.authorized_keys("bash")).contains(blob), "and still on the others");
    assert!(world.folder("id_rsa").exists() && world.folder("id_ed25519_two").exists());
    world.tool(&["--check"]).expect_success();
    // Two names of one account: neither can be rotated without the other.
    let refused = world.tool(&["one", "--rotate"]).expect_code(1);
    assert!(
        refused.stderr.contains("also uses the same key at the same account")
            && refused.stderr.contains("hint: take also out first"),
        "{}",
        refused.everything()
    );
    let removed = world.tool(&["also", "--remove"]).expect_success();
    assert!(removed.stdout.contains("keeps the key (one gets in with it"), "{}", removed.everything());
    world.tool(&["one", "--check"]).expect_success();
    // Lines of one's own are one's own to change.
    let config = world.text(&world.folder("config"));
    fs::write(world.folder("config"), &config[..config.rfind("Host also").unwrap()]).unwrap();
    world.tool(&["one", "--rotate"]).expect_success();
    assert!(!world.text(&world.authorized_keys("bash")).contains(blob));
    world.tool(&["--check"]).expect_success();
}

#[test]
fn a_rotation_that_fails_says_how_it_is_finished() {
    let (world, _server) = World::with_nas(2200, "bash");
    world.tool(&["nas"]).expect_success();
    let folder = world.srv("home/bash/restic");
    std::os::unix::fs::chown(&folder, Some(0), Some(0)).unwrap();
    let ran = world.tool(&["nas", "--rotate"]).expect_code(1);
    assert!(ran.stderr.contains("the new key: prove: write a file"), "{}", ran.everything());
    assert!(
        ran.stderr.contains("half done") && ran.stderr.contains("finish it: ssh-key-setup nas\n"),
        "{}",
        ran.everything()
    );
    assert_eq!(ours(&world, "bash").len(), 2);
    std::os::unix::fs::chown(&folder, Some(3001), Some(3001)).unwrap();
    let check = world.tool(&["--check"]).expect_success();
    assert!(
        check.stderr.contains("a rotation was interrupted; finish it: ssh-key-setup nas\n"),
        "{}",
        check.everything()
    );
    world.tool(&["nas"]).expect_success();
    assert_eq!(ours(&world, "bash").len(), 1);
    let removed = world.tool(&["nas", "--remove", "--json"]).expect_success();
    let json: serde_json::Value = serde_json::from_str(&removed.stdout).unwrap();
    assert_eq!(json["hosts"][0]["server"], "bash@127.0.0.1, port 2200", "{json}");
}

#[test]
fn a_line_that_does_not_work_takes_nothing_from_a_half_finished_rotation() {
    let world = World::new();
    // The account has no shell, so SFTP works with a forced command alone.
    let sftp = "Subsystem sftp /usr/lib/openssh/sftp-server";
    let server = world.server(2200, "ed25519", sftp);
    world.trust("nas", 2200, "locked", "ed25519");
    let file = world.authorized_keys("locked");
    fs::write(&file, format!("command=\"internal-sftp\" {}", world.text(&file))).unwrap();
    world.tool(&["nas"]).expect_success();
    // The old key is in a second file, so the rotation stops after the new one is in use.
    let old = world.text(&world.folder("id_ed25519.pub"));
    fs::write(world.srv("second"), &old).unwrap();
    std::os::unix::fs::chown(world.srv("second"), Some(3004), Some(3004)).unwrap();
    world.stop(server);
    let _server = world.server(
        2200,
        "ed25519",
        &format!("{sftp}\nAuthorizedKeysFile .ssh/authorized_keys /srv/second"),
    );
    let ran = world.tool(&["nas", "--rotate"]).expect_code(1);
    let about = "ssh-key-setup: rotate: nas: the server still takes the key\n";
    let hint = format!("and take this line out: {}", old.trim());
    assert!(ran.stderr.contains(about) && ran.stderr.contains(&hint), "{}", ran.everything());
    let before = ours(&world, "locked");
    assert!(before.len() == 1 && !before[0].ends_with(old.trim()), "{before:?}");

    let ran = world.tool(&["nas", "--no-restrict"]).expect_code(1);
    assert_eq!(ours(&world, "locked"), before, "{}", ran.everything());
    let mut sftp = world.in_container("sftp");
    world.run(sftp.args(["-b", "/dev/null", "nas"])).expect_success();
    fs::write(world.srv("second"), "").unwrap();
    world.tool(&["nas"]).expect_success();
    assert_eq!(ours(&world, "locked"), before);
}
