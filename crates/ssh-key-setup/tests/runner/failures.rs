//! Failures, each with its own words and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use common::testing::Ran;

use crate::world::{World, address};

#[track_caller]
fn says(ran: Ran, words: &str) -> Ran {
    let ran = ran.expect_code(1);
    assert!(ran.stderr.contains(words) && ran.stderr.contains("\nhint: "), "{words}\n{}", ran.everything());
    ran
}

#[track_caller]
fn nas_at(world: &World, host_name: &str, port: u16) {
    world.own_ssh(
        &format!("Host nas\n  HostName {host_name}\n  Port {port}\n  User bash\n"),
        &format!(
            "{} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
            if port == 22 { host_name.to_owned() } else { format!("[{host_name}]:{port}") }
        ),
    );
}

/// The tool, where a program answers ssh's question for the password.
#[track_caller]
fn with_password(world: &World) -> std::process::Command {
    let program = world.srv("askpass");
    fs::write(&program, format!("#!/bin/sh\necho '{}'\n", crate::world::PASSWORD)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = world.command("ssh-key-setup");
    command.arg("nas").env("SSH_ASKPASS", "/srv/askpass").env("SSH_ASKPASS_REQUIRE", "force");
    command
}

#[test]
fn each_way_not_to_reach_a_server_has_its_own_words() {
    let world = World::new();
    for (host_name, words) in [
        ("no-such-host.invalid", "the name has no address"),
        ("192.0.2.1", "there is no route to it"),
        ("127.0.0.1", "nothing listens on that port"),
    ] {
        nas_at(&world, host_name, 22);
        says(world.tool(&["nas"]), words);
    }
    assert!(!world.folder("config").exists(), "nothing is written about a host that can't be reached");
}

#[test]
fn a_mistyped_name_leaves_no_key_behind() {
    let world = World::new();
    says(world.tool(&["no-such-host.invalid"]), "the name has no address");
    says(world.tool(&["no-such-host.invalid", "--json"]), "the name has no address");
    assert_eq!(fs::read_dir(world.folder("")).unwrap().count(), 0);
}

#[test]
fn a_path_that_does_not_work_does_not_take_the_place_of_one_that_does() {
    let (world, _server) = World::with_nas(2200, "bash");
    world.tool(&["nas"]).expect_success();
    let texts = || [world.text(&world.folder("config")), world.text(&world.authorized_keys("bash"))];
    let before = texts();
    says(world.tool(&["nas", "--path", "/proc/restic"]), "the path is not writable");
    assert_eq!(texts(), before);
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("sftp:nas:/srv/home/bash/restic"), "{}", ran.everything());
    let moved = world.tool(&["nas", "--path", "elsewhere"]).expect_success();
    assert!(moved.stdout.contains("sftp:nas:/srv/home/bash/elsewhere"), "{}", moved.everything());
    assert!(texts()[1].contains("internal-sftp -d /srv/home/bash/elsewhere"), "{}", texts()[1]);
}

#[test]
fn a_server_that_hangs_after_accepting_is_given_up() {
    let (world, server) = World::with_nas(2200, "bash");
    world.signal(&server, "-STOP");
    let started = Instant::now();
    says(world.tool(&["nas"]), "it does not answer in time");
    assert!(started.elapsed() < Duration::from_secs(55));
}

#[test]
fn a_connection_that_is_cut_half_way_leaves_the_old_keys_and_is_reported() {
    let world = World::new();
    // The fifth session is the one that writes.
    let cut = world.srv("cut");
    fs::write(
        &cut,
        "#!/bin/sh\necho >> /srv/sessions\n[ $(wc -l < /srv/sessions) = 5 ] || exec /usr/lib/openssh/sftp-server\n\
         /usr/lib/openssh/sftp-server | { head -c 200; kill -9 $PPID; }\n",
    )
    .unwrap();
    fs::set_permissions(&cut, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(world.srv("sessions"), "").unwrap();
    fs::set_permissions(world.srv("sessions"), fs::Permissions::from_mode(0o666)).unwrap();
    let server = world.server(2200, "ed25519", "Subsystem sftp /srv/cut");
    world.trust("nas", 2200, "bash", "ed25519");
    let before = world.text(&world.authorized_keys("bash"));
    says(world.tool(&["nas"]), "the connection was lost half-way");
    assert_eq!(world.text(&world.authorized_keys("bash")), before);
    world.stop(server);
    let _server = world.server(2200, "ed25519", "");
    world.tool(&["nas"]).expect_success();
    assert_eq!(world.text(&world.authorized_keys("bash")).matches("backrest-backup-key").count(), 1);
}

#[test]
fn a_server_without_sftp_is_reported() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "# no Subsystem here");
    world.trust("nas", 2200, "bash", "ed25519");
    says(world.tool(&["nas"]), "it has no SFTP subsystem");
}

#[test]
fn a_start_file_that_prints_is_reported() {
    let world = World::new();
    fs::write(world.srv("home/bash/.bashrc"), "echo Welcome to this server\n").unwrap();
    let _server = world.server(2200, "ed25519", "Subsystem sftp /usr/lib/openssh/sftp-server");
    world.trust("nas", 2200, "bash", "ed25519");
    let ran = says(world.tool(&["nas"]), "something prints text into the SFTP session");
    assert!(ran.stderr.contains("it prints \"Welcome to this server\""), "{}", ran.everything());
}

#[test]
fn no_access_of_the_users_own_is_reported() {
    let (world, _server) = World::with_nas(2200, "bash");
    fs::remove_file(world.authorized_keys("bash")).unwrap();
    let ran = says(world.tool(&["nas"]), "the key is not accepted");
    assert!(ran.stderr.contains("make sure that `ssh nas` lets you in"), "{}", ran.everything());
}

#[test]
fn a_key_that_stands_there_but_is_not_taken_comes_with_the_likely_reason() {
    // The user gets in with a key of another file; ours goes where sshd does not look.
    let world = World::new();
    fs::rename(world.authorized_keys("bash"), world.srv("keys")).unwrap();
    fs::set_permissions(world.srv("keys"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(world.srv("../etc/ssh/sshd_config"), "AuthorizedKeysFile /srv/keys\n").unwrap();
    let _server = world.server(2200, "ed25519", "AuthorizedKeysFile /srv/keys");
    world.trust("nas", 2200, "bash", "ed25519");
    let ran = says(world.tool(&["nas", "--authorized-keys", ".ssh/authorized_keys"]), "but is not accepted");
    assert!(ran.stderr.contains("sshd looks for keys elsewhere"), "{}", ran.everything());
    assert!(ran.stderr.contains("--authorized-keys /srv/keys"), "{}", ran.everything());
}

#[test]
fn a_home_that_others_can_write_is_the_likely_reason() {
    let world = World::new();
    fs::set_permissions(world.srv("home/bash"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::remove_file(world.authorized_keys("bash")).unwrap();
    let _server = world.server(2200, "ed25519", "");
    world.trust("nas", 2200, "bash", "ed25519");
    let ran = says(world.run(&mut with_password(&world)), "but is not accepted");
    assert!(
        ran.stderr.contains("/srv/home/bash can be written by others (mode 777)"),
        "{}",
        ran.everything()
    );
    assert!(ran.stderr.contains("chmod go-w /srv/home/bash"), "{}", ran.everything());
}

#[test]
fn a_server_that_takes_passwords_only_is_reported() {
    let world = World::new();
    fs::write(world.srv("../etc/ssh/sshd_config"), "PubkeyAuthentication no\n").unwrap();
    let _server = world.server(2200, "ed25519", "PubkeyAuthentication no");
    world.trust("nas", 2200, "bash", "ed25519");
    let ran = says(world.run(&mut with_password(&world)), "but is not accepted");
    assert!(ran.stderr.contains("keys are not accepted (PubkeyAuthentication no)"), "{}", ran.everything());
}

#[test]
fn a_full_disk_is_reported_and_nothing_is_left_behind() {
    let (world, _server) = World::with_nas(2200, "bash");
    let full = "/srv/home/bash/full";
    fs::create_dir(world.srv("home/bash/full")).unwrap();
    world
        .run(world.command("mount").args(["-t", "tmpfs", "-o", "size=8k,uid=3001,mode=755", "tmpfs", full]))
        .expect_success();
    world
        .run(world.command("dd").args(["if=/dev/zero", "of=/srv/home/bash/full/zeros", "status=none"]))
        .expect_code(1);
    says(world.tool(&["nas", "--path", full]), "the disk is full");
    let left = world.run(world.command("ls").args(["-A", full])).expect_success();
    assert_eq!(left.stdout, "zeros\n");
}

#[test]
fn a_full_disk_leaves_the_old_authorized_keys() {
    let world = World::new();
    let home = "/srv/home/bash";
    let keys = world.text(&world.authorized_keys("bash"));
    world
        .run(world.command("mount").args(["-t", "tmpfs", "-o", "size=12k,uid=3001,mode=755", "tmpfs", home]))
        .expect_success();
    let script = "mkdir -m 700 .ssh && printf %s \"$0\" > .ssh/authorized_keys && chown -R 3001 .ssh && \
                  dd if=/dev/zero of=zeros status=none; ls -A .ssh";
    world.run(world.command("env").args(["-C", home, "sh", "-c", script, &keys])).expect_success();
    let _server = world.server(2200, "ed25519", "");
    world.trust("nas", 2200, "bash", "ed25519");
    says(world.tool(&["nas"]), "the disk is full");
    let after = world
        .run(
            world
                .command("sh")
                .args(["-c", "cat /srv/home/bash/.ssh/authorized_keys; ls -A /srv/home/bash/.ssh"]),
        )
        .expect_success();
    assert_eq!(after.stdout, format!("{keys}authorized_keys\n"));
}

#[test]
fn an_account_that_is_shut_out_is_reported_with_the_server() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "AllowUsers jumper");
    world.trust("nas", 2200, "bash", "ed25519");
    let ran = says(world.tool(&["nas"]), "connect: nas: the key is not accepted");
    assert!(ran.stderr.contains("sshd may shut the account out (AllowUsers"), "{}", ran.everything());
}

#[test]
fn an_account_that_is_let_in_from_some_addresses_only_is_the_likely_reason() {
    // The user's own ssh comes from another address of this machine than the container will.
    let world = World::new();
    let only = "AllowUsers jumper bash@127.0.0.2";
    fs::write(world.srv("../etc/ssh/sshd_config"), format!("{only}\n")).unwrap();
    let _server = world.server(2200, "ed25519", only);
    world.own_ssh(
        "Host nas\n  HostName 127.0.0.1\n  Port 2200\n  User bash\n  BindAddress 127.0.0.2\n",
        &format!("{} {}\n", address(2200), world.host_key(2200, "ed25519")),
    );
    let ran = says(world.tool(&["nas"]), "but is not accepted");
    assert!(
        ran.stderr.contains(
            "hint: the account is let in from some addresses only (AllowUsers jumper bash@127.0.0.2)\n"
        ),
        "{}",
        ran.everything()
    );
}

#[test]
fn a_folder_on_the_way_of_a_symlink_that_others_can_write_is_the_likely_reason() {
    let world = World::new();
    let (link, folder) = (world.authorized_keys("bash"), world.srv("home/bash/dots"));
    fs::create_dir(&folder).unwrap();
    fs::rename(&link, folder.join("keys")).unwrap();
    std::os::unix::fs::symlink("../dots/keys", &link).unwrap();
    std::os::unix::fs::chown(&folder, Some(3001), Some(3001)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let _server = world.server(2200, "ed25519", "");
    world.trust("nas", 2200, "bash", "ed25519");
    let ran = says(world.run(&mut with_password(&world)), "but is not accepted");
    assert!(
        ran.stderr.contains("hint: /srv/home/bash/dots can be written by others (mode 777)"),
        "{}",
        ran.everything()
    );
}

#[test]
fn a_folder_of_another_user_is_refused() {
    let world = World::new();
    fs::create_dir(world.folder("")).unwrap();
    std::os::unix::fs::chown(world.folder(""), Some(3000), Some(3000)).unwrap();
    says(world.tool(&["nas"]), "it belongs to user 3000, not to you (user 0)");
}

#[test]
fn a_proxy_command_with_a_program_that_the_container_lacks_is_refused() {
    let world = World::new();
    world
        .own_ssh("Host nas\n  HostName 127.0.0.1\n  ProxyCommand cloudflared access ssh --hostname %h\n", "");
    says(world.tool(&["nas"]), "a program that Backrest's container does not have: cloudflared");
}

#[test]
fn names_that_the_container_can_not_resolve_come_with_the_line_for_compose() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "");
    world.own_ssh(
        "Host nas\n  HostName nas.lan\n  Port 2200\n  User bash\n",
        &format!("[nas.lan]:2200 {}\n{} x\n", world.host_key(2200, "ed25519"), address(1)),
    );
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stderr.contains("in the container it is the container"), "{}", ran.everything());
}
