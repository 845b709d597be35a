//! Jump hosts: a chain of two ends up in the container's config with what each needs.

use std::fs;

use crate::world::{World, address};

/// `gate`, then `inner` (only known through gate's config), then `nas`.
#[track_caller]
pub(crate) fn chain() -> (World, Vec<crate::world::Server>) {
    let world = World::new();
    let servers = vec![
        world.server(2201, "ed25519", "AllowUsers jumper"),
        world.server(2202, "ed25519", "AllowUsers fish"),
        world.server(2203, "ed25519", "AllowUsers bash"),
    ];
    let host = |alias: &str, port: u16, user: &str, more: &str| {
        format!("Host {alias}\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n{more}")
    };
    let config = host("gate", 2201, "jumper", "")
        + &host("inner", 2202, "fish", "  ProxyJump gate\n")
        + &host("nas", 2203, "bash", "  ProxyJump inner\n");
    let known: String = (2201..=2203)
        .map(|port| format!("{} {}\n", address(port), world.host_key(port, "ed25519")))
        .collect();
    world.own_ssh(&config, &known);
    (world, servers)
}

#[test]
fn a_chain_of_two_is_set_up_with_keys_that_may_only_pass_on() {
    let (world, _servers) = chain();
    let ran = world.tool_with_input(&["nas"], "").expect_code(1);
    assert!(
        ran.stderr.contains("needs the key too") && ran.stderr.contains("--install-on-jump-hosts"),
        "{}",
        ran.everything()
    );
    let ran = world.tool(&["nas", "--install-on-jump-hosts"]).expect_success();
    assert!(
        ran.stdout.contains("through jumper@127.0.0.1, port 2201, then fish@127.0.0.1, port 2202"),
        "{}",
        ran.everything()
    );
    let config = world.text(&world.folder("config"));
    for line in ["Host nas-jump1\n", "Host nas-jump2\n", "ProxyJump nas-jump1\n", "ProxyJump nas-jump2\n"] {
        assert!(config.contains(line), "{config}");
    }
    let gate = world.text(&world.authorized_keys("jumper"));
    assert!(
        gate.contains(
            "restrict,port-forwarding,permitopen=\"127.0.0.1:2202\",command=\"/bin/false\" ssh-ed25519 "
        ),
        "{gate}"
    );

    let mut init = world.in_container("restic");
    world.run(init.args(["-r", "sftp:nas:/srv/home/bash/restic/r", "init"])).expect_success();
    let again = world.tool(&["nas"]).expect_success();
    assert!(again.stdout.contains("unchanged"), "{}", again.everything());

    world.tool(&["nas", "--remove"]).expect_success();
    for account in ["jumper", "fish", "bash"] {
        assert!(!world.text(&world.authorized_keys(account)).contains("backrest-backup-key"), "{account}");
    }
}

#[test]
fn a_chain_is_rotated_on_every_host() {
    let (world, _servers) = chain();
    world.tool(&["nas", "--install-on-jump-hosts"]).expect_success();
    let old = world.text(&world.folder("id_ed25519.pub"));
    world.tool(&["nas", "--rotate", "--install-on-jump-hosts"]).expect_success();
    let new = world.text(&world.folder("id_ed25519.pub"));
    assert_ne!(old, new);
    for account in ["jumper", "fish", "bash"] {
        let keys = world.text(&world.authorized_keys(account));
        assert!(keys.contains(new.trim()) && !keys.contains(old.trim()), "{account}: {keys}");
    }
}

#[test]
fn a_proxy_command_that_jumps_is_understood() {
    let (world, _servers) = chain();
    let config =
        world.text(&world.root(".ssh/config")).replace("ProxyJump gate", "ProxyCommand ssh -q -W %h:%p gate");
    fs::write(world.root(".ssh/config"), config).unwrap();
    let ran = world.tool(&["nas", "--install-on-jump-hosts"]).expect_success();
    assert!(!world.text(&world.folder("config")).contains("ProxyCommand"), "{}", ran.everything());
}

#[test]
fn an_unknown_key_behind_a_jump_host_is_asked_for_through_it() {
    let (world, _servers) = chain();
    let known = world.text(&world.root(".ssh/known_hosts"));
    let known: String =
        known.lines().filter(|line| !line.contains(":2203")).map(|line| format!("{line}\n")).collect();
    fs::write(world.root(".ssh/known_hosts"), known).unwrap();
    let ran = world.tool_with_input(&["nas", "--install-on-jump-hosts"], "yes\n").expect_success();
    assert!(ran.stderr.contains("+--[ED25519 256]--+"), "{}", ran.everything());
}

#[test]
fn a_new_jump_host_is_known_by_all_its_keys_too() {
    let world = World::new();
    let only_for_its_key = world.server(2201, "rsa", "");
    world.stop(only_for_its_key);
    let _gate = world.server(2201, "ed25519", "HostKey /srv/sshd-2201-key-rsa");
    let _nas = world.server(2203, "ed25519", "");
    world.own_ssh(
        "Host gate\n  HostName 127.0.0.1\n  Port 2201\n  User jumper\n\
         Host nas\n  HostName 127.0.0.1\n  Port 2203\n  User bash\n  ProxyJump gate\n",
        "",
    );
    let arguments = ["nas", "--install-on-jump-hosts", "--accept-new-host-key"];
    world.tool(&arguments).expect_success();
    let known = world.text(&world.folder("known_hosts"));
    for key in [world.host_key(2201, "ed25519"), world.host_key(2201, "rsa")] {
        assert!(known.contains(&format!("{} {key}\n", address(2201))), "{known}");
    }
}

#[test]
fn a_jump_host_that_does_not_pass_on_is_named() {
    let world = World::new();
    let _gate = world.server(2201, "ed25519", "AllowTcpForwarding no");
    let _nas = world.server(2203, "ed25519", "");
    world.own_ssh(
        "Host gate\n  HostName 127.0.0.1\n  Port 2201\n  User jumper\n\
         Host nas\n  HostName 127.0.0.1\n  Port 2203\n  User bash\n  ProxyJump gate\n",
        &format!(
            "{} {}\n{} {}\n",
            address(2201),
            world.host_key(2201, "ed25519"),
            address(2203),
            world.host_key(2203, "ed25519")
        ),
    );
    let ran = world.tool(&["nas", "--install-on-jump-hosts"]).expect_code(1);
    assert!(ran.stderr.contains("the jump host does not pass the connection on"), "{}", ran.everything());
}

#[test]
fn a_jump_host_that_is_no_openssh_gets_the_restriction_in_words_it_knows() {
    let world = World::new();
    let gate = world.dropbear(2201);
    let _nas = world.server(2203, "ed25519", "ListenAddress ::1");
    world.own_ssh(
        "Host gate\n  HostName 127.0.0.1\n  Port 2201\n  User jumper\n\
         Host nas\n  HostName ::1\n  Port 2203\n  User bash\n  ProxyJump gate\n",
        &format!("{} {}\n[::1]:2203 {}\n", address(2201), gate.host_key(), world.host_key(2203, "ed25519")),
    );
    world.tool(&["nas", "--install-on-jump-hosts"]).expect_success();
    let keys = world.text(&world.authorized_keys("jumper"));
    assert!(
        keys.contains("no-agent-forwarding,no-X11-forwarding,no-pty,permitopen=\"[::1]:2203\",command="),
        "{keys}"
    );
    world.tool(&["nas", "--rotate", "--install-on-jump-hosts"]).expect_success();
    world.tool(&["nas", "--remove"]).expect_success();
    assert!(!world.text(&world.authorized_keys("jumper")).contains("backrest-backup-key"));
}

#[test]
fn a_jump_host_without_sftp_is_reported_with_the_line_to_put_in() {
    let world = World::new();
    let _gate = world.server(2201, "ed25519", "# no Subsystem here");
    let _nas = world.server(2203, "ed25519", "");
    world.own_ssh(
        "Host gate\n  HostName 127.0.0.1\n  Port 2201\n  User jumper\n\
         Host nas\n  HostName 127.0.0.1\n  Port 2203\n  User bash\n  ProxyJump gate\n",
        &[2201, 2203].map(|port| format!("{} {}\n", address(port), world.host_key(port, "ed25519"))).concat(),
    );
    let ran = world.tool(&["nas", "--install-on-jump-hosts"]).expect_code(1);
    let (_, line) = ran.stderr.split_once("by hand, and run this again: ").expect("the line to put in");
    let file = world.authorized_keys("jumper");
    fs::write(&file, world.text(&file) + line).unwrap();
    world.tool(&["nas"]).expect_success();
}

#[test]
fn a_nested_ssh_becomes_a_jump_host_that_works_in_the_container() {
    let (world, _servers) = chain();
    let config = world.text(&world.root(".ssh/config"));
    world.keygen("/root/.ssh/k");
    for proxy in [
        "ssh -W [%h]:%p gate",
        "ssh -o ServerAliveInterval=9 -W %h:%p gate",
        "ssh -W %h:%p -o ServerAliveInterval=9 gate",
        "ssh gate nc %h %p",
        "ssh -i ~/.ssh/id_ed25519 -W %h:%p gate 2>/dev/null",
    ] {
        let direct = config.replace("ProxyJump gate", &format!("ProxyCommand {proxy}"));
        fs::write(world.root(".ssh/config"), direct).unwrap();
        let ran = world.tool(&["inner", "--install-on-jump-hosts"]).expect_success();
        assert!(
            world.text(&world.folder("config")).contains("ProxyJump inner-jump1\n"),
            "{}",
            ran.everything()
        );
        let mut listing = world.in_container("sftp");
        world.run(listing.args(["-b", "/dev/null", "inner"])).expect_success();
        world.tool(&["inner", "--remove"]).expect_success();
    }
    // The jump host does not take this key: it is the one to blame.
    let wrong = config.replace("ProxyJump gate", "ProxyCommand ssh -i ~/.ssh/k -W %h:%p gate");
    fs::write(world.root(".ssh/config"), wrong).unwrap();
    let ran = world.tool(&["inner", "--install-on-jump-hosts"]).expect_code(1);
    assert!(ran.stderr.contains("connect: gate: the key is not accepted"), "{}", ran.everything());
}

#[test]
fn a_nested_ssh_that_is_not_understood_is_refused_before_anything_is_put_in() {
    let (world, _servers) = chain();
    let config =
        world.text(&world.root(".ssh/config")).replace("ProxyJump gate", "ProxyCommand ssh gate relay %h %p");
    fs::write(world.root(".ssh/config"), config).unwrap();
    let ran = world.tool(&["inner", "--install-on-jump-hosts"]).expect_code(1);
    assert!(ran.stderr.contains("goes through another ssh"), "{}", ran.everything());
    assert!(!world.text(&world.authorized_keys("jumper")).contains("backrest-backup-key"));
}

/// A folder of an earlier version may hold a nested ssh: it works with the user's own files, and fails in the container.
#[test]
fn a_proof_sees_no_files_but_the_folders() {
    let (world, _servers) = chain();
    world.tool(&["inner", "--install-on-jump-hosts"]).expect_success();
    let config = world.text(&world.folder("config"));
    let nested = config
        .replace("    ProxyJump inner-jump1\n", "    ProxyCommand ssh -W [%h]:%p gate\n")
        .replace("\"jump\":\"inner-jump1\"", "\"proxy_command\":\"ssh -W [%h]:%p gate\"");
    assert_ne!(config, nested);
    fs::write(world.folder("config"), nested).unwrap();
    world.tool(&["--check"]).expect_code(1);
    world.run(world.in_container("sftp").args(["-b", "/dev/null", "inner"])).expect_code(255);
    // Written anew it is a jump host.
    world.tool(&["inner", "--install-on-jump-hosts"]).expect_success();
    world.run(world.in_container("sftp").args(["-b", "/dev/null", "inner"])).expect_success();
}
