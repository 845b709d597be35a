//! The servers that people have beside Debian's own OpenSSH, each the real program, each result seen with restic in a
//! place where nothing but the written folder is.
//!
//! `cargo xtask test` puts AsyncSSH and the newest OpenSSH below `target/tools`.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::testing::wait_until;

use crate::world::{TOOLS, World, address};

/// The place in the world of what `cargo xtask test` puts in place.
#[track_caller]
pub(crate) fn tool_folder(name: &str) -> String {
    let is_there = Path::new(TOOLS).join(name).is_dir();
    assert!(is_there, "{name} is missing: run cargo xtask test once, which puts it below target/tools");
    format!("/srv/tools/{name}")
}

/// A server, which ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
pub(crate) fn key(world: &World, name: &str, options: &[&str]) -> String {
    let path = format!("/srv/{name}");
    world
        .run(world.command("ssh-keygen").args(["-q", "-N", "", "-C", "host", "-f", &path]).args(options))
        .expect_success();
    world.text(&world.srv(&format!("{name}.pub"))).split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[track_caller]
pub(crate) fn know(world: &World, port: u16, user: &str, host_key: &str) {
    world.own_ssh(
        &format!("Host nas\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n"),
        &format!("{} {host_key}\n", address(port)),
    );
}

#[track_caller]
pub(crate) fn restic_works(world: &World, path: &str) {
    let mut init = world.in_container("restic");
    world.run(init.args(["-r", &format!("sftp:nas:{path}"), "init"])).expect_success();
}

#[track_caller]
pub(crate) fn our_lines(world: &World) -> Vec<String> {
    let keys = world.text(&world.authorized_keys("bash"));
    keys.lines().filter(|line| line.contains("backrest-backup-key")).map(str::to_owned).collect()
}

/// ProFTPD for the account `bash`, which reads keys from `/srv/proftpd-keys/ACCOUNT`.
#[track_caller]
fn proftpd(world: &World, port: u16) -> Running {
    let host_key = key(world, "proftpd", &["-t", "rsa", "-b", "3072", "-m", "PEM"]);
    fs::create_dir(world.srv("proftpd-keys")).unwrap();
    let config = format!(
        "ModulePath /usr/lib/proftpd\nLoadModule mod_sftp.c\nServerType standalone\nServerName t\nPort {port}\n\
         DefaultAddress 127.0.0.1\nSocketBindTight on\nUser root\nGroup root\nUseReverseDNS off\nRequireValidShell off\n\
         PidFile /srv/proftpd.pid\nScoreboardFile /srv/proftpd.score\nDelayEngine off\nSystemLog /srv/proftpd.log\n\
         WtmpLog off\nSFTPEngine on\nSFTPLog /srv/sftp.log\nSFTPHostKey /srv/proftpd\n\
         SFTPAuthorizedUserKeys file:/srv/proftpd-keys/%u\nSFTPAuthMethods publickey\nAllowOverwrite on\n\
         AllowStoreRestart on\n"
    );
    fs::write(world.srv("proftpd.conf"), config).unwrap();
    let mut command = world.command("proftpd");
    command.args(["-n", "-q", "-c", "/srv/proftpd.conf"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("ProFTPD listens", || {
        let greeting = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && head -c 4 <&3");
        world.run(world.command("bash").args(["-c", &greeting])).stdout == "SSH-"
    });
    know(world, port, "bash", &host_key);
    Running(child)
}

#[test]
fn proftpd_gets_the_key_in_its_own_form_by_hand() {
    let world = World::new();
    let _server = proftpd(&world, 2200);
    let exported = |path: &str| {
        let mut command = world.command("ssh-keygen");
        world.run(command.args(["-e", "-f", path])).expect_success().stdout
    };
    let own = exported("/root/.ssh/id_ed25519.pub");
    fs::write(world.srv("proftpd-keys/bash"), &own).unwrap();
    let before = world.text(&world.authorized_keys("bash"));
    let ran = world.tool(&["nas"]).expect_code(1);
    let start =
        ran.stdout.find("---- BEGIN SSH2 PUBLIC KEY").unwrap_or_else(|| panic!("{}", ran.everything()));
    assert!(ran.stderr.contains("SFTPAuthorizedUserKeys"), "{}", ran.everything());
    assert_eq!(world.text(&world.authorized_keys("bash")), before);
    // What it prints is what is pasted.
    fs::write(world.srv("proftpd-keys/bash"), format!("{own}{}", &ran.stdout[start..])).unwrap();
    let ran = world.tool(&["nas", "--path", "/srv/home/bash/restic"]).expect_success();
    assert!(ran.stdout.contains("a shell and a port forward are refused"), "{}", ran.everything());
    restic_works(&world, "/srv/home/bash/restic/r");
    world.tool(&["--check"]).expect_success();
}

/// The newest OpenSSH, in a root of its own over which the world's accounts, servers and folder lie.
struct Newest<'a> {
    world: &'a World,
    root: String,
}

impl Newest<'_> {
    #[track_caller]
    fn of(world: &World) -> Newest<'_> {
        let root = tool_folder("openssh-trixie");
        let script =
            "set -e; r=$1; mount --bind \"$r\" \"$r\"; mount -t tmpfs tmpfs $r/run; mkdir -m 755 $r/run/sshd
            mount --bind /srv $r/srv; mount --rbind /dev $r/dev; mount -t proc proc $r/proc
            for file in passwd group shadow; do mount --bind /etc/$file $r/etc/$file; done";
        world.run(world.command("sh").args(["-c", script, "sh", &root])).expect_success();
        Newest { world, root }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.world.command("chroot");
        command.args([&self.root, program]);
        command
    }

    /// Whether its ssh reads the written folder.
    #[track_caller]
    fn reads_the_folder(&self, alias: &str) -> String {
        let mount = "mkdir -p \"$1/root/.ssh\" && mount --bind /root/data/backrest/ssh \"$1/root/.ssh\"";
        self.world.run(self.world.command("sh").args(["-c", mount, "sh", &self.root])).expect_success();
        let ran = self.world.run(self.command("ssh").args(["-G", alias]));
        let unmount = "umount \"$1/root/.ssh\"";
        self.world.run(self.world.command("sh").args(["-c", unmount, "sh", &self.root])).expect_success();
        ran.expect_success().stdout
    }
}

#[test]
fn old_algorithms_do_not_break_the_newest_ssh_in_the_container() {
    let (world, _server) = World::with_nas(2200, "bash");
    let newest = Newest::of(&world);
    let config = world.text(&world.root(".ssh/config"));
    let old = "  HostKeyAlgorithms +ssh-rsa,ssh-dss\n  PubkeyAcceptedAlgorithms +ssh-rsa,ssh-dss\n  \
               KexAlgorithms +diffie-hellman-group1-sha1\n  Ciphers +3des-cbc\n  MACs ^hmac-sha2-256\n";
    fs::write(world.root(".ssh/config"), format!("{config}{old}")).unwrap();
    let ran = world.tool(&["nas"]).expect_success();
    assert!(
        ran.stderr.contains("left out for the container") && ran.stderr.contains("ssh-dss"),
        "{}",
        ran.everything()
    );
    let written = world.text(&world.folder("config"));
    for line in [
        "    HostKeyAlgorithms +ssh-rsa\n",
        "    PubkeyAcceptedAlgorithms +ssh-rsa\n",
        "    KexAlgorithms +diffie-hellman-group1-sha1\n",
        "    Ciphers +3des-cbc\n",
        "    MACs ^hmac-sha2-256\n",
    ] {
        assert!(written.contains(line), "{written}");
    }
    let seen = newest.reads_the_folder("nas");
    assert!(seen.contains("mlkem768x25519-sha256") && seen.contains("diffie-hellman-group1-sha1"), "{seen}");
    // A keyword of another system's ssh in the user's own lines breaks no host either.
    fs::write(world.folder("config"), format!("{written}Host mac\n  UseKeychain yes\n")).unwrap();
    newest.reads_the_folder("nas");
    world.tool(&["--check"]).expect_success();
}

#[test]
fn the_newest_openssh_is_a_server_like_the_others() {
    let world = World::new();
    let newest = Newest::of(&world);
    let host_key = key(&world, "sshd-newest", &["-t", "ed25519"]);
    let config = "Port 2200\nListenAddress 127.0.0.1\nHostKey /srv/sshd-newest\nPidFile /srv/newest.pid\nUsePAM no\n\
                  Subsystem sftp internal-sftp\n";
    fs::write(world.srv("newest.conf"), config).unwrap();
    let mut command = newest.command("/usr/sbin/sshd");
    command.args(["-D", "-f", "/srv/newest.conf", "-E", "/srv/newest.log"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _server = Running(child);
    wait_until("sshd listens", || world.srv("newest.pid").exists());
    know(&world, 2200, "bash", &host_key);
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("a shell, a port forward and an agent are refused"), "{}", ran.everything());
    restic_works(&world, "/srv/home/bash/restic/r");
    world.tool(&["nas", "--remove"]).expect_success();
}

/// The account `locked` in a folder of its own, its keys outside of it in `/srv/keys`, as docs/ssh.md proposes it.
#[track_caller]
fn locked_in(world: &World) -> crate::world::Server {
    let keys = world.srv("keys");
    fs::create_dir(&keys).unwrap();
    let home = world.srv("home/locked");
    std::os::unix::fs::chown(&home, Some(0), Some(0)).unwrap();
    fs::create_dir(home.join("backups")).unwrap();
    std::os::unix::fs::chown(home.join("backups"), Some(3004), Some(3004)).unwrap();
    fs::copy(world.root(".ssh/id_ed25519.pub"), keys.join("locked")).unwrap();
    let ways = "Match User locked\n ChrootDirectory %h\n AuthorizedKeysFile /srv/keys/%u\n ForceCommand internal-sftp\n \
                DisableForwarding yes\nMatch all";
    let server = world.server(2200, "ed25519", ways);
    world.trust("nas", 2200, "locked", "ed25519");
    server
}

/// The line to put in, from the end of a hint.
#[track_caller]
fn line_of(hint: &str) -> String {
    let start = hint.find("restrict,command=").unwrap_or_else(|| panic!("{hint}"));
    hint[start..].lines().next().unwrap().to_owned()
}

#[test]
fn a_key_outside_of_the_chroot_is_adopted_once_root_has_put_it_in() {
    let world = World::new();
    let _server = locked_in(&world);
    let arguments = ["nas", "--path", "/backups"];
    let ran = world.tool(&arguments).expect_code(1);
    assert!(ran.stderr.contains("/srv/keys"), "{}", ran.everything());
    let keys = world.srv("keys/locked");
    fs::write(&keys, format!("{}{}\n", world.text(&keys), line_of(&ran.stderr))).unwrap();
    let ran = world.tool(&arguments).expect_success();
    assert!(ran.stdout.contains("put in by another person"), "{}", ran.everything());
    restic_works(&world, "/backups/r");
    world.tool(&["nas"]).expect_success();
    // A new key waits for root, and the old one goes on working until then.
    let ran = world.tool(&["nas", "--rotate"]).expect_code(1);
    let line = line_of(&ran.stderr);
    world.run(world.in_container("restic").args(["-r", "sftp:nas:/backups/r", "snapshots"])).expect_success();
    fs::write(&keys, format!("{}{line}\n", world.text(&keys))).unwrap();
    let old = world.text(&world.folder("id_ed25519.pub"));
    let ran = world.tool(&["nas"]).expect_code(1);
    assert!(ran.stderr.contains(old.trim()), "{}", ran.everything());
    let kept: String = world
        .text(&keys)
        .lines()
        .filter(|line| !line.contains(old.trim()))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&keys, kept).unwrap();
    world.tool(&["nas"]).expect_success();
    assert_ne!(old, world.text(&world.folder("id_ed25519.pub")));
}

#[test]
fn a_second_factor_is_called_one_and_nothing_is_left_there() {
    let world = World::new();
    let _server = world.server(
        2200,
        "ed25519",
        "Match User bash\n AuthenticationMethods publickey,password\nMatch all",
    );
    world.trust("nas", 2200, "bash", "ed25519");
    let (answered, seen) =
        world.on_a_terminal("ssh-key-setup nas || true", "password:", crate::world::PASSWORD);
    assert_eq!(answered, 1, "{seen}");
    assert!(seen.contains("wants a second factor: after the key it wants password"), "{seen}");
    assert!(our_lines(&world).is_empty());
}

#[test]
fn a_greeting_in_the_place_of_sftp_is_quoted() {
    let world = World::new();
    let greeting = "ForceCommand echo Please login as the user debian rather than root.";
    let _server = world.server(2200, "ed25519", greeting);
    world.trust("nas", 2200, "bash", "ed25519");
    let ran = world.tool(&["nas"]).expect_code(1);
    assert!(
        ran.stderr.contains("it prints \"Please login as the user debian rather than root.\""),
        "{}",
        ran.everything()
    );
}

#[test]
fn an_account_without_a_shell_is_named_where_sftp_needs_one() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "Subsystem sftp /usr/lib/openssh/sftp-server");
    world.trust("nas", 2200, "locked", "ed25519");
    let ran = world.tool(&["nas"]).expect_code(1);
    assert!(ran.stderr.contains("the account's shell is nologin"), "{}", ran.everything());
}

#[test]
fn a_check_has_the_containers_own_ssh_read_the_config() {
    use std::os::unix::fs::PermissionsExt as _;
    let (world, _server) = World::with_nas(2200, "bash");
    world.tool(&["nas"]).expect_success();
    let newest = Newest::of(&world);
    // In the place of Docker: the newest ssh, as a container has it.
    let docker = format!(
        "#!/bin/sh\ncase $1 in ps) echo 1234 garethgeorge/backrest:latest;; exec) shift 3; exec chroot {} \"$@\";; esac\n",
        newest.root
    );
    fs::write(world.srv("bin/docker"), docker).unwrap();
    fs::set_permissions(world.srv("bin/docker"), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = world.tool(&["--check"]).expect_success();
    assert!(ran.stdout.contains("read by ssh in Backrest's container"), "{}", ran.everything());
    let config = world.text(&world.folder("config"));
    fs::write(world.folder("config"), format!("{config}Host old\n  HostKeyAlgorithms ssh-dss\n")).unwrap();
    let ran = world.tool(&["--check"]).expect_code(1);
    assert!(ran.stderr.contains("refuses config: "), "{}", ran.everything());
}
