//! A person's own ssh configuration that is not made for programs, and lines of their own in the folder's.

use std::fs;

use crate::world::{World, address};

/// All that could get in the way of a program that calls ssh.
const BUSY: &str = "Include more\n\
    Host *\n\
    \x20 ControlMaster auto\n\
    \x20 ControlPath /run/own-%C\n\
    \x20 ControlPersist yes\n\
    \x20 LogLevel QUIET\n\
    \x20 SendEnv *\n\
    \x20 ForwardAgent yes\n\
    \x20 LocalForward 2299 127.0.0.1:22\n\
    \x20 RequestTTY force\n\
    \x20 RemoteCommand date\n\
    \x20 PermitLocalCommand yes\n\
    \x20 LocalCommand echo this is local\n\
    \x20 CanonicalizeHostname yes\n\
    \x20 VisualHostKey yes\n\
    \x20 EscapeChar none\n";

#[test]
fn a_configuration_full_of_conveniences_is_no_hindrance() {
    let (world, _server) = World::with_nas(2200, "bash");
    fs::rename(world.root(".ssh/config"), world.root(".ssh/more")).unwrap();
    fs::write(world.root(".ssh/config"), BUSY).unwrap();
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("bash@127.0.0.1, port 2200"), "{}", ran.everything());
    for words in ["LocalForward", "RemoteCommand", "ControlPath", "ForwardAgent"] {
        assert!(!world.text(&world.folder("config")).contains(words), "{words}");
    }
    let mut init = world.in_container("restic");
    world.run(init.args(["-r", "sftp:nas:/srv/home/bash/restic/r", "init"])).expect_success();
    // Quiet as it is, a failure still has its own words.
    world.own_ssh(&world.text(&world.root(".ssh/config")), "");
    let ran = world.tool(&["nas", "--port", "2201", "--alias", "other"]).expect_code(1);
    assert!(ran.stderr.contains("nothing listens on that port"), "{}", ran.everything());
}

#[test]
fn a_connection_that_is_kept_open_proves_nothing() {
    let (world, _server) = World::with_nas(2200, "bash");
    fs::create_dir(world.folder("")).unwrap();
    let theirs =
        "Host *\n  ControlMaster auto\n  ControlPath /run/kept-%C\n  ControlPersist yes\n  LogLevel QUIET\n";
    fs::write(world.folder("config"), theirs).unwrap();
    world.tool(&["nas"]).expect_success();
    // Anyone who comes through this gets in, with any key.
    let mut open = world.in_container("ssh");
    world.run(open.args(["-fN", "-o", "ControlPersist=yes", "nas"])).expect_success();
    world.tool(&["nas", "--rotate"]).expect_success();
    let file = world.authorized_keys("bash");
    let keys = world.text(&file);
    fs::write(&file, keys.lines().next().unwrap()).unwrap();
    let ran = world.tool(&["--check"]).expect_code(1);
    assert!(ran.stderr.contains("the key is not accepted"), "{}", ran.everything());
}

#[test]
fn an_agent_with_many_keys_is_no_hindrance_where_the_key_is_named() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "MaxAuthTries 3");
    world.own_ssh(
        "Host nas\n  HostName 127.0.0.1\n  Port 2200\n  User bash\n",
        &format!("{} {}\n", address(2200), world.host_key(2200, "ed25519")),
    );
    fs::rename(world.root(".ssh/id_ed25519"), world.root("my key")).unwrap();
    let script = "eval \"$(ssh-agent -a /run/agent)\" >/run/agent.pid && for n in 1 2 3 4 5; do \
                  ssh-keygen -q -t ed25519 -N '' -f /run/key$n && ssh-add -q /run/key$n; done";
    world.run(world.command("sh").args(["-c", script])).expect_success();
    let tool = |arguments: &[&str]| {
        world.run(world.command("ssh-key-setup").args(arguments).env("SSH_AUTH_SOCK", "/run/agent"))
    };
    let ran = tool(&["nas"]).expect_code(1);
    assert!(
        ran.stderr.contains("the key is not accepted") && ran.stderr.contains("--identity"),
        "{}",
        ran.everything()
    );
    tool(&["nas", "--identity", "/root/my key"]).expect_success();
}

#[test]
fn a_type_of_key_that_the_user_is_limited_to_is_no_limit_to_the_container() {
    let (world, _server) = World::with_nas(2200, "bash");
    world
        .run(world.command("ssh-keygen").args(["-q", "-t", "rsa", "-N", "", "-f", "/root/.ssh/id_rsa"]))
        .expect_success();
    world.authorize("bash", &world.root(".ssh/id_rsa.pub"));
    let config = world.text(&world.root(".ssh/config")) + "  PubkeyAcceptedAlgorithms rsa-sha2-512\n";
    fs::write(world.root(".ssh/config"), config).unwrap();
    world.tool(&["nas"]).expect_success();
}

#[test]
fn a_folder_for_temporary_files_with_an_odd_name_is_no_hindrance() {
    let (world, _server) = World::with_nas(2200, "bash");
    let odd = format!("/run/tmp/a b%c {}", "long".repeat(30));
    world.run(world.command("mkdir").arg(&odd)).expect_success();
    for arguments in [&["nas"][..], &["nas", "--rotate"], &["nas", "--remove"]] {
        world.run(world.command("ssh-key-setup").args(arguments).env("TMPDIR", &odd)).expect_success();
    }
}
