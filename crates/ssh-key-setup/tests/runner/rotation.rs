//! Keys that go and come: rotation, hosts that share a key, and runs that are killed half way.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::world::World;

fn ours(world: &World, account: &str) -> Vec<String> {
    let keys = world.text(&world.authorized_keys(account));
    keys.lines().filter(|line| line.contains("backrest-backup-key")).map(str::to_owned).collect()
}

#[test]
fn rotation_leaves_one_new_key_and_keeps_the_old_pair_aside() {
    let (world, _server) = World::with_nas(2200, "bash");
    let _ = world.tool(&["nas"]).expect_success();
    let old = world.text(&world.folder("id_ed25519"));
    // Nobody has to log in: the old key brings the new one in.
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
    let _ = world.tool(&["--check"]).expect_success();
}

/// Puts a program in the place of sftp that kills the tool before its call number [`kill_before`].
fn make_killable(world: &World) {
    let sftp = world.srv("bin/sftp");
    let script = "#!/bin/sh\necho >> /srv/calls\n\
                  if [ \"$(wc -l < /srv/calls)\" -eq \"$(cat /srv/kill-before)\" ]; then kill -KILL $PPID; exit 1; fi\n\
                  exec /usr/bin/sftp \"$@\"\n";
    fs::write(&sftp, script).unwrap();
    fs::set_permissions(&sftp, fs::Permissions::from_mode(0o755)).unwrap();
    kill_before(world, 0);
}

/// Before which call from now on the tool is killed; before none with 0.
fn kill_before(world: &World, call: u32) {
    fs::write(world.srv("calls"), "").unwrap();
    fs::write(world.srv("kill-before"), format!("{call}\n")).unwrap();
}

#[test]
fn a_rotation_that_is_killed_anywhere_is_finished_by_a_later_run() {
    let (world, _server) = World::with_nas(2200, "bash");
    let _ = world.tool(&["nas"]).expect_success();
    make_killable(&world);
    let (current, new) = (world.folder("id_ed25519"), world.folder("id_ed25519.new"));
    let retiring = world.folder("id_ed25519.retiring");
    let mut with_both_keys = 0;
    for call in 1.. {
        kill_before(&world, call);
        if world.run(world.command("ssh-key-setup").args(["nas", "--rotate"])).end.is_success() {
            assert!(call > 8, "it was killed before each of its calls, {call} in all");
            break;
        }
        // What lies between two calls is done by hand: the old key linked, then the new one in its place.
        if new.exists() && !retiring.exists() && ours(&world, "bash").len() == 2 {
            with_both_keys += 1;
            if with_both_keys <= 2 {
                fs::hard_link(&current, &retiring).unwrap();
            }
            if with_both_keys == 2 {
                fs::rename(&new, &current).unwrap();
            }
        }
        kill_before(&world, 0);
        let ran = world.tool(&["nas"]).expect_success();
        let keys = ours(&world, "bash");
        let public = world.text(&world.folder("id_ed25519.pub"));
        assert_eq!(keys.len(), 1, "killed before call {call}\n{}", ran.everything());
        assert!(keys[0].ends_with(public.trim()), "{}", ran.everything());
        let names = fs::read_dir(world.folder("")).unwrap().flatten().map(|entry| entry.file_name());
        let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        assert!(!names.iter().any(|name| name.contains(".new") || name.contains(".retiring")), "{names:?}");
    }
    assert!(with_both_keys >= 2, "both keys were on the server {with_both_keys} times");
}

/// Three hosts of an old folder with one key: two accounts, and a second name for the first.
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
    let _ = world.tool(&["127.0.0.1", "--alias", "two", "--user", "dash", "--port", "2200"]).expect_success();
    let refused = world.tool(&["two", "--rotate"]).expect_code(1);
    assert!(
        refused.stderr.contains("your own lines in config use the same key: Host "),
        "{}",
        refused.everything()
    );
    // A bare run takes all of them over.
    let _ = world.tool(&[]).expect_success();
    let _ = world.tool(&["two", "--rotate"]).expect_success();
    let blob = public.split(' ').nth(1).unwrap();
    assert!(!world.text(&world.authorized_keys("dash")).contains(blob), "the old key is off this server");
    assert!(world.text(&world.authorized_keys("bash")).contains(blob), "and still on the others");
    assert!(world.folder("id_rsa").exists() && world.folder("id_ed25519_two").exists());
    let _ = world.tool(&["--check"]).expect_success();
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
    let _ = world.tool(&["one", "--check"]).expect_success();
    // Lines of one's own are one's own to change.
    let config = world.text(&world.folder("config"));
    fs::write(world.folder("config"), &config[..config.rfind("Host also").unwrap()]).unwrap();
    let _ = world.tool(&["one", "--rotate"]).expect_success();
    assert!(!world.text(&world.authorized_keys("bash")).contains(blob));
    let _ = world.tool(&["--check"]).expect_success();
}

#[test]
fn a_set_up_that_is_killed_anywhere_is_finished_by_a_later_run() {
    let (world, _server) = World::with_nas(2200, "bash");
    let file = world.authorized_keys("bash");
    let before = world.text(&file);
    make_killable(&world);
    for call in 1.. {
        kill_before(&world, call);
        if world.run(world.command("ssh-key-setup").arg("nas")).end.is_success() {
            assert!(call > 6, "it was killed before each of its calls, {call} in all");
            break;
        }
        let between = world.text(&file);
        assert!(between.starts_with(&before), "other keys are never lost: {between}");
        kill_before(&world, 0);
        let ran = world.tool(&["nas"]).expect_success();
        assert_eq!(ours(&world, "bash").len(), 1, "killed before call {call}\n{}", ran.everything());
        let left = fs::read_dir(file.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing is left on the server");
        fs::write(&file, &before).unwrap();
        fs::remove_file(world.folder("config")).unwrap();
    }
}
