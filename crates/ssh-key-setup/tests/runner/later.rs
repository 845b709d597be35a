//! Again and later: check, remove, several hosts, old folders, other people.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use common::testing::wait_until;

use crate::world::{World, address};

#[test]
fn check_proves_and_changes_nothing() {
    let (world, server) = World::with_nas(2200, "bash");
    let none = world.tool(&["nas", "--check"]).expect_code(1);
    assert!(none.stderr.contains("hint: set a host up first"), "{}", none.everything());
    world.tool(&["nas"]).expect_success();
    let before = fs::metadata(world.folder("config")).unwrap().modified().unwrap();
    for arguments in [&["nas", "--check"][..], &["--check"]] {
        let ran = world.tool(arguments).expect_success();
        assert!(ran.stdout.contains("renamed and removed"), "{}", ran.everything());
    }
    assert_eq!(fs::metadata(world.folder("config")).unwrap().modified().unwrap(), before);
    fs::set_permissions(world.folder("id_ed25519"), fs::Permissions::from_mode(0o644)).unwrap();
    let ran = world.tool(&["--check"]).expect_code(1);
    assert!(ran.stderr.contains("id_ed25519: others than its owner may read"), "{}", ran.everything());
    fs::set_permissions(world.folder(""), fs::Permissions::from_mode(0o755)).unwrap();
    world.tool(&[]).expect_success();
    assert_eq!((world.mode(&world.folder("")), world.mode(&world.folder("id_ed25519"))), (0o700, 0o600));
    world.stop(server);
    let ran = world.tool(&["--check"]).expect_code(1);
    assert!(ran.stderr.contains("nothing listens on that port"), "{}", ran.everything());
}

#[test]
fn remove_takes_the_key_off_the_server_and_the_entry_away() {
    let (world, server) = World::with_nas(2200, "bash");
    let before = world.text(&world.authorized_keys("bash"));
    fs::create_dir(world.folder("")).unwrap();
    let theirs = "Host mine\n  Port 1\n# no newline at the end";
    fs::write(world.folder("config"), theirs).unwrap();
    world.tool(&["nas"]).expect_success();
    let config = world.text(&world.folder("config"));
    assert!(config.contains("Host nas\n") && config.ends_with(theirs), "{config}");
    world.tool(&["nas", "--remove"]).expect_success();
    assert_eq!(world.text(&world.authorized_keys("bash")), before);
    assert_eq!(world.text(&world.folder("config")), theirs);
    assert_eq!(world.text(&world.folder("known_hosts")), "");
    let again = world.tool(&["nas", "--remove"]).expect_code(1);
    assert!(again.stderr.contains("nas is not set up here"), "{}", again.everything());
    world.tool(&["nas"]).expect_success();
    world.stop(server);
    let gone = world.tool(&["nas", "--remove"]).expect_code(1);
    assert!(gone.stderr.contains("--offline"), "{}", gone.everything());
    world.tool(&["nas", "--remove", "--offline"]).expect_success();
    assert_eq!(world.text(&world.folder("config")), theirs);
}

#[test]
fn a_file_of_the_folder_that_was_broken_by_hand_is_named_and_kept() {
    let (world, _server) = World::with_nas(2200, "bash");
    world.tool(&["nas"]).expect_success();
    for (name, from, to, words) in [
        ("config", "# <<< ssh-key-setup <<<\n", "", "are not both present, in this order"),
        ("config", "\"alias\":", "\"alas\":", "a line between the marks was changed by hand"),
        ("known_hosts", "# <<< ssh-key-setup <<<\n", "", "are not both present, in this order"),
    ] {
        let whole = world.text(&world.folder(name));
        let broken = whole.replace(from, to);
        fs::write(world.folder(name), &broken).unwrap();
        let ran = world.tool(&["nas"]).expect_code(1);
        assert!(ran.stderr.contains(&format!("data/backrest/ssh/{name}: ")), "{}", ran.everything());
        assert!(ran.stderr.contains(words) && ran.stderr.contains("\nhint: "), "{}", ran.everything());
        assert_eq!(world.text(&world.folder(name)), broken);
        fs::write(world.folder(name), whole).unwrap();
    }
    world.tool(&["--check"]).expect_success();
}

#[test]
fn several_hosts_live_in_one_folder_with_a_key_each() {
    let world = World::new();
    let _servers = [world.server(2201, "ed25519", ""), world.server(2202, "ed25519", "")];
    let host = |name: &str, port: u16, user: &str| {
        format!("Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n")
    };
    let known: String =
        [2201, 2202].map(|port| format!("{} {}\n", address(port), world.host_key(port, "ed25519"))).concat();
    world.own_ssh(&(host("one", 2201, "bash") + &host("two", 2202, "dash")), &known);
    world.tool(&["one"]).expect_success();
    world.tool(&["two", "--path", "b"]).expect_success();
    assert!(world.folder("id_ed25519").exists() && world.folder("id_ed25519_two").exists());
    let both = world.tool(&["--json"]).expect_success();
    let json: serde_json::Value = serde_json::from_str(&both.stdout).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["hosts"][0]["repository"], "sftp:one:/srv/home/bash/restic");
    assert_eq!(json["hosts"][1]["repository"], "sftp:two:/srv/home/dash/b");
    assert_eq!(json["hosts"][1]["changed"], false);
    assert_eq!(json["hosts"][0]["checks"][0]["name"], "connect");
    world.tool(&["one", "--remove"]).expect_success();
    let left = world.tool(&["--check"]).expect_success();
    assert!(left.stdout.contains("sftp:two:") && !left.stdout.contains("sftp:one:"), "{}", left.everything());
}

#[test]
fn one_host_that_fails_does_not_keep_the_others_from_being_proved() {
    let world = World::new();
    let (one, _two) = (world.server(2201, "ed25519", ""), world.server(2202, "ed25519", ""));
    let host =
        |name: &str, port: u16| format!("Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  User bash\n");
    let known: String =
        [2201, 2202].map(|port| format!("{} {}\n", address(port), world.host_key(port, "ed25519"))).concat();
    world.own_ssh(&(host("one", 2201) + &host("two", 2202)), &known);
    world.tool(&["one"]).expect_success();
    world.tool(&["two"]).expect_success();
    world.stop(one);
    let ran = world.tool(&["--json"]).expect_code(1);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&json["hosts"][0]["ok"], &json["hosts"][1]["ok"]),
        (&false.into(), &true.into()),
        "{}",
        ran.everything()
    );
    assert!(json["hosts"][0]["error"].as_str().unwrap().contains("nothing listens"), "{}", ran.everything());
}

#[test]
fn a_folder_of_the_old_script_goes_on_working_under_its_old_key_name() {
    let (world, _server) = World::with_nas(2200, "bash");
    fs::create_dir(world.folder("")).unwrap();
    world.keygen("/root/data/backrest/ssh/id_rsa");
    let public = world.text(&world.folder("id_rsa.pub"));
    let file = world.authorized_keys("bash");
    fs::write(&file, world.text(&file) + &public).unwrap();
    fs::write(
        world.folder("config"),
        "Host nas\n  HostName 127.0.0.1\n  User bash\n  IdentityFile /root/.ssh/id_rsa\n  Port 2200\nHost *\n  IdentityFile x\n",
    )
    .unwrap();
    let ran = world.tool(&[]).expect_success();
    assert!(ran.stdout.contains("sftp:nas:/srv/home/bash/restic"), "{}", ran.everything());
    assert!(!world.folder("id_ed25519").exists(), "{}", ran.everything());
    assert_eq!(world.text(&world.folder("id_rsa.pub")), public);
    let keys = world.text(&file);
    assert_eq!(keys.matches(public.split(' ').nth(1).unwrap()).count(), 1, "{keys}");
}

#[test]
fn the_setting_names_the_hosts_of_a_bare_run() {
    let (world, _server) = World::with_nas(2200, "bash");
    fs::write(world.root("containers/backrest/.env"), "BACKREST_SSH_HOST=nas\n").unwrap();
    let ran = world.tool(&[]).expect_success();
    assert!(ran.stdout.contains("sftp:nas:"), "{}", ran.everything());
}

#[test]
fn flags_override_what_ssh_says_and_are_remembered() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "");
    world.own_ssh("", &format!("{} {}\n", address(2200), world.host_key(2200, "ed25519")));
    fs::rename(world.root(".ssh/id_ed25519"), world.root("my key")).unwrap();
    let arguments =
        ["127.0.0.1", "--port", "2200", "--user", "dash", "--identity", "/root/my key", "--alias", "box"];
    world.tool(&arguments).expect_success();
    let ran = world.tool(&["box"]).expect_success();
    assert!(
        ran.stdout.contains("dash@127.0.0.1, port 2200") && ran.stdout.contains("unchanged"),
        "{}",
        ran.everything()
    );
}

#[test]
fn another_account_does_not_silently_take_a_hosts_place() {
    let (world, _server) = World::with_nas(2200, "bash");
    world.tool(&["nas"]).expect_success();
    let before = world.text(&world.folder("config"));
    let ran = world.tool(&["nas", "--user", "dash"]).expect_code(1);
    assert!(ran.stderr.contains("nas is set up for the account bash\nhint: "), "{}", ran.everything());
    assert_eq!(world.text(&world.folder("config")), before);
    world.tool(&["nas", "--user", "dash", "--alias", "second"]).expect_success();
    world.tool(&["--check"]).expect_success();
}

#[test]
fn paths_with_blanks_and_quotes_are_proved_too() {
    let (world, _server) = World::with_nas(2200, "bash");
    let ran = world.tool(&["nas", "--path", "my 'old' \"backups\" [*] ü\\"]).expect_success();
    assert!(world.srv("home/bash/my 'old' \"backups\" [*] ü\\").is_dir(), "{}", ran.everything());
    assert_eq!(fs::read_dir(world.srv("home/bash/my 'old' \"backups\" [*] ü\\")).unwrap().count(), 0);
}

#[test]
fn a_key_that_an_administrator_put_in_works_without_access_of_ones_own() {
    let world = World::new();
    let bare = world.tool(&[]).expect_success();
    let line =
        bare.stdout.lines().find(|line| line.trim().starts_with("restrict,")).unwrap().trim().to_owned();
    // A chroot with the keys outside of it, as docs/ssh.md proposes it.
    let keys = world.srv("keys");
    fs::create_dir(&keys).unwrap();
    fs::write(keys.join("locked"), line + "\n").unwrap();
    let home = world.srv("home/locked");
    std::os::unix::fs::chown(&home, Some(0), Some(0)).unwrap();
    fs::create_dir(home.join("backups")).unwrap();
    std::os::unix::fs::chown(home.join("backups"), Some(3004), Some(3004)).unwrap();
    let ways = "Match User locked\n ChrootDirectory %h\n AuthorizedKeysFile /srv/keys/%u\n ForceCommand internal-sftp\n DisableForwarding yes\nMatch all";
    let _server = world.server(2200, "ed25519", ways);
    world.trust("nas", 2200, "locked", "ed25519");
    let ran = world.tool(&["nas", "--path", "/backups"]).expect_success();
    assert!(ran.stdout.contains("put in by another person"), "{}", ran.everything());
    assert!(ran.stderr.contains("nothing was changed there"), "{}", ran.everything());
    let again = world.tool(&["nas"]).expect_success();
    assert!(
        again.stdout.contains("sftp:nas:/backups\n") && again.stdout.contains("unchanged"),
        "{}",
        again.everything()
    );
}

#[test]
fn a_configuration_that_asks_programs_is_reported() {
    let (world, _server) = World::with_nas(2200, "bash");
    let config = world.text(&world.root(".ssh/config"));
    fs::write(
        world.root(".ssh/config"),
        format!("Match originalhost nas exec \"true\"\n  Compression yes\n{config}"),
    )
    .unwrap();
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stderr.contains("asks a program (Match exec)"), "{}", ran.everything());
    assert!(world.text(&world.folder("config")).contains("    Compression yes\n"));
}

#[test]
fn an_agent_of_the_users_own_is_used_once_and_not_in_the_proof() {
    let (world, _server) = World::with_nas(2200, "bash");
    let script = "eval \"$(ssh-agent -a /run/agent)\" >/run/agent.pid && ssh-add -q /root/.ssh/id_ed25519 && \
                  rm /root/.ssh/id_ed25519";
    world.run(world.command("sh").args(["-c", script])).expect_success();
    let mut command = world.command("ssh-key-setup");
    world.run(command.arg("nas").env("SSH_AUTH_SOCK", "/run/agent")).expect_success();
    // From here on there is no agent, and no key but the folder's.
    fs::remove_file(world.root(".ssh/id_ed25519.pub")).unwrap();
    world.tool(&["--check"]).expect_success();
    let mut init = world.in_container("restic");
    world.run(init.args(["-r", "sftp:nas:/srv/home/bash/restic/r", "init"])).expect_success();
}

#[test]
fn a_server_in_tailscale_is_reported_with_the_hook_and_the_line_for_compose() {
    let world = World::new();
    world.run(world.command("ip").args(["address", "add", "100.64.0.9/32", "dev", "lo"])).expect_success();
    let _server = world.server(2200, "ed25519", "ListenAddress 100.64.0.9");
    fs::write(world.srv("../etc/hosts"), "127.0.0.1 localhost\n100.64.0.9 nas.tail1234.ts.net\n").unwrap();
    world.own_ssh(
        "Host nas\n  HostName nas.tail1234.ts.net\n  Port 2200\n  User bash\n",
        &format!("[nas.tail1234.ts.net]:2200 {}\n", world.host_key(2200, "ed25519")),
    );
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("start-tailscale before the backup"), "{}", ran.everything());
    assert!(ran.stderr.contains("extra_hosts: [\"nas.tail1234.ts.net:100.64.0.9\"]"), "{}", ran.everything());
    let json = world.tool(&["nas", "--json"]).expect_success();
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["hosts"][0]["start_tailscale_first"], true, "{json}");
    assert_eq!(json["hosts"][0]["mount"], "${DATA_DIR}/ssh:/root/.ssh:ro", "{json}");
    let check = world.tool(&["--check", "--json"]).expect_success();
    assert!(check.stdout.contains("\"start_tailscale_first\": true"), "{}", check.everything());
}

#[test]
fn one_run_at_a_time() {
    let (world, server) = World::with_nas(2200, "bash");
    world.signal(&server, "-STOP");
    let mut first = world.command("ssh-key-setup");
    let mut first = first.arg("nas").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let lock = world.root("containers/backrest/state/ssh-key-setup.lock");
    wait_until("it has the lock", || fs::metadata(&lock).is_ok_and(|found| found.len() > 0));
    let ran = world.tool(&["nas"]).expect_code(1);
    assert!(ran.stderr.contains("another ssh-key-setup is running: process "), "{}", ran.everything());
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn the_host_may_be_typed_in_every_way_that_ssh_takes() {
    let (world, _server) = World::with_nas(2200, "bash");
    fs::remove_file(world.root(".ssh/config")).unwrap();
    let ran = world.tool(&["ssh://dash@127.0.0.1:2200"]).expect_success();
    assert!(ran.stdout.contains("sftp:127.0.0.1:/srv/home/dash/restic"), "{}", ran.everything());
    let ran = world.tool(&["bash@127.0.0.1", "--port", "2200", "--alias", "second"]).expect_success();
    assert!(ran.stdout.contains("sftp:second:/srv/home/bash/restic"), "{}", ran.everything());
}
