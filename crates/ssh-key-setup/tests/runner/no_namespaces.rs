//! A system that forbids user and mount namespaces, as a container or a hardened kernel does: the proof is held to the
//! folder by options there, and must not be more generous than the container.

use std::fs;

use common::testing::Ran;

use crate::jump::chain;
use crate::world::World;

impl World {
    /// Runs a program as root where the kernel makes no namespaces.
    #[must_use]
    #[track_caller]
    fn without_namespaces(&self, program: &[&str]) -> Ran {
        let forbid = "for kind in user mnt; do echo 0 > /proc/sys/user/max_${kind}_namespaces || exit 9; done\n\
                      exec \"$@\"";
        let mut command = self.command("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", forbid, "sh"]);
        self.run(command.args(program))
    }

    /// Runs the tool there.
    #[must_use]
    #[track_caller]
    fn bare_tool(&self, arguments: &[&str]) -> Ran {
        self.without_namespaces(&[&["ssh-key-setup"], arguments].concat())
    }
}

#[test]
fn a_host_is_set_up_and_proved_without_namespaces() {
    let (world, _server) = World::with_nas(2200, "bash");
    for kind in ["--user", "--mount"] {
        assert!(!world.without_namespaces(&["unshare", kind, "true"]).end.is_success(), "{kind}");
    }
    world.bare_tool(&["nas"]).expect_success();
    world.run(world.in_container("sftp").args(["-b", "/dev/null", "nas"])).expect_success();
    world.bare_tool(&["--check"]).expect_success();
    world.bare_tool(&["nas", "--rotate"]).expect_success();
    world.bare_tool(&["nas", "--remove"]).expect_success();
}

/// Each way through a jump host is a `ProxyJump` in the folder, and works in the container, or is refused.
#[test]
fn every_nested_ssh_becomes_a_jump_host_or_is_refused() {
    let (world, _servers) = chain();
    let config = world.text(&world.root(".ssh/config"));
    fs::write(world.root("other"), &config).unwrap();
    for proxy in [
        "ssh -q -W %h:%p -p 2201 jumper@127.0.0.1",
        "ssh -F /root/other -W %h:%p gate",
        "/usr/bin/ssh gate -W %h:%p",
        "sh -c 'ssh -W %h:%p gate'",
        "exec ssh -oServerAliveInterval=9 -l jumper -W \"[%h]:%p\" \"gate\"",
    ] {
        let through = config.replace("ProxyJump gate", &format!("ProxyCommand {proxy}"));
        fs::write(world.root(".ssh/config"), through).unwrap();
        let ran = world.bare_tool(&["inner", "--install-on-jump-hosts"]).expect_success();
        let written = world.text(&world.folder("config"));
        assert!(written.contains("ProxyJump inner-jump1\n"), "{proxy}\n{}", ran.everything());
        assert!(!written.contains("ProxyCommand"), "{proxy}\n{written}");
        world.run(world.in_container("sftp").args(["-b", "/dev/null", "inner"])).expect_success();
    }
    world.bare_tool(&["inner", "--remove"]).expect_success();
    for (proxy, words) in [
        ("ssh gate relay %h %p", "goes through another ssh"),
        ("sh -c 'ssh gate relay %h %p'", "goes through another ssh"),
        ("ssh -D 1080 -W %h:%p gate", "goes through another ssh"),
        ("nc -x gate:1080 %h %p", "does not have: OpenBSD's nc"),
        ("cloudflared access ssh --hostname %h", "does not have: cloudflared"),
    ] {
        let through = config.replace("ProxyJump gate", &format!("ProxyCommand {proxy}"));
        fs::write(world.root(".ssh/config"), through).unwrap();
        let ran = world.bare_tool(&["inner", "--install-on-jump-hosts"]).expect_code(1);
        assert!(ran.stderr.contains(words) && ran.stderr.contains("\nhint: "), "{}", ran.everything());
    }
    // The jump host that does not take the key is the one to blame.
    world.keygen("/root/.ssh/k");
    let wrong = config.replace("ProxyJump gate", "ProxyCommand ssh -i ~/.ssh/k -W %h:%p gate");
    fs::write(world.root(".ssh/config"), wrong).unwrap();
    let ran = world.bare_tool(&["inner", "--install-on-jump-hosts"]).expect_code(1);
    assert!(ran.stderr.contains("connect: gate: the key is not accepted"), "{}", ran.everything());
}

/// The user's own files have a `gate` and a key for it; the container has neither.
#[test]
fn a_proof_does_not_use_the_users_own_files() {
    let (world, _servers) = chain();
    world.bare_tool(&["inner", "--install-on-jump-hosts"]).expect_success();
    let config = world.text(&world.folder("config"));
    let own_jump = config.replace("    ProxyJump inner-jump1\n", "");
    fs::write(world.root(".ssh/mine"), "Host inner\n  ProxyCommand ssh -W [%h]:%p gate\n").unwrap();
    for nested in [
        config.replace("    ProxyJump inner-jump1\n", "    ProxyCommand ssh -W [%h]:%p gate\n"),
        config.replace("    ProxyJump inner-jump1\n", "    ProxyCommand sh -c 'ssh -W [%%h]:%%p gate'\n"),
        config.replace("    ProxyJump inner-jump1\n", "    ProxyJump gate\n"),
        // The user's own lines, which hold for our hosts, too.
        format!("{own_jump}ProxyCommand ssh -W [%h]:%p gate\n"),
        format!("{own_jump}Include mine\n"),
        format!("{own_jump}Include ~/.ssh/mine\n"),
    ] {
        assert_ne!(config, nested);
        fs::write(world.folder("config"), &nested).unwrap();
        let in_container = world.run(world.in_container("sftp").args(["-b", "/dev/null", "inner"]));
        let ran = world.bare_tool(&["--check"]);
        assert_eq!(ran.end.is_success(), in_container.end.is_success(), "{nested}\n{}", ran.everything());
    }
}
