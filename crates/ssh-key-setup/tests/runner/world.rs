//! A little world for OpenSSH: namespaces of its own (mounts, network, processes) with accounts, homes and servers.
//!
//! OpenSSH takes homes from the password file and not from `$HOME`, so the machine's `/root`, `/etc/passwd`, `/etc/ssh`
//! and `/srv` are covered by scratch ones inside the namespaces. Nothing of the machine's own is read or written, every
//! port is free, and all processes end with the world. It needs root.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::testing::{Ran, Sandbox, copy_program, wait_until, wait_within};

/// Accounts on the servers, with their shells. `me` and root are the people who run the tool.
const ACCOUNTS: [(&str, u32, &str); 6] = [
    ("me", 3000, "/bin/bash"),
    ("bash", 3001, "/bin/bash"),
    ("dash", 3002, "/bin/dash"),
    ("fish", 3003, "/usr/bin/fish"),
    ("locked", 3004, "/usr/sbin/nologin"),
    ("jumper", 3005, "/bin/bash"),
];

/// Where `cargo xtask test` puts what Debian's release lacks; in the world at `/srv/tools`.
pub(crate) const TOOLS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../tools");
/// What the servers' accounts have as password.
pub(crate) const PASSWORD: &str = "correct horse";
const HASH: &str =
    "$6$abcdefgh$yIZAF3gQPvtKZO/9qOJKffAKKbtS3ef3qmwyugk4uWVjX8YZf/GV3A8SkFxEPY0T56CcilGrHKLffBsp6dLMG.";

/// The clone may lie below `/root` or `/tmp`, so what is needed of it comes before these are covered.
const SETUP: &str = "set -e
mount --bind \"$S/srv\" /srv
if [ -d \"$TOOLS\" ]; then mount --bind \"$TOOLS\" /srv/tools; fi
mount --bind \"$S/root\" /root
mount --bind \"$S/etc/ssh\" /etc/ssh
for file in passwd group shadow hosts; do mount --bind \"$S/etc/$file\" /etc/$file; done
mount -t tmpfs tmpfs /run
mkdir -m 755 /run/sshd
mkdir -m 1777 /run/tmp
mount --bind /run/tmp /tmp
mount -t proc proc /proc
ip link set lo up
echo ready
exec sleep 3600";

/// The world. Paths of `/root` and `/srv` can be reached from outside with [`World::root`] and [`World::srv`].
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    holder: Child,
    inside: String,
}

/// A running sshd.
pub(crate) struct Server {
    port: u16,
    child: Child,
}

impl World {
    #[track_caller]
    pub(crate) fn new() -> World {
        for program in [
            "unshare",
            "nsenter",
            "ip",
            "/usr/sbin/sshd",
            "ssh-keygen",
            "sftp",
            "restic",
            "fish",
            "dash",
            "dropbear",
            "script",
            "strace",
            "sudo",
        ] {
            let found = Command::new("sh").args(["-c", "command -v -- \"$0\"", program]).output();
            assert!(
                found.is_ok_and(|found| found.status.success()),
                "{program} is missing: apt-get install util-linux iproute2 openssh-server openssh-client restic fish dash dropbear-bin bsdutils strace sudo"
            );
        }
        let sandbox = Sandbox::empty();
        let scratch = sandbox.home();
        for folder in [
            "root/.ssh",
            "root/containers/backrest",
            "root/data/backrest",
            "srv/home",
            "srv/bin",
            "srv/tools",
            "etc/ssh",
        ] {
            fs::create_dir_all(scratch.join(folder)).expect("make a folder of the world");
        }
        fs::set_permissions(scratch.join("root/.ssh"), Permissions::from_mode(0o700)).expect("close .ssh");
        let (tool, inside) = (env!("CARGO_BIN_EXE_ssh-key-setup"), scratch.join("srv/bin/ssh-key-setup"));
        if fs::hard_link(tool, &inside).is_err() {
            copy_program(tool, &inside);
        }
        write_accounts(&scratch.join("etc"));
        for (name, uid, _) in ACCOUNTS {
            let home = scratch.join("srv/home").join(name);
            fs::create_dir_all(&home).expect("make a home");
            chown(&home, Some(uid), Some(uid)).expect("give a home away (these tests need root)");
        }
        let mut holder = Command::new("unshare");
        let namespaces = "--mount --net --pid --fork --kill-child --propagation private --";
        holder
            .args(namespaces.split(' '))
            .args(["sh", "-c", SETUP])
            .env("S", &scratch)
            .env("TOOLS", TOOLS)
            .stdout(Stdio::piped());
        let mut holder = holder.spawn().expect("start unshare");
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("the namespaces' output");
        BufReader::new(stdout).read_line(&mut line).expect("hear from the namespaces");
        assert_eq!(line, "ready\n", "the namespaces could not be made: these tests need root");
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let inside = fs::read_to_string(children).expect("find the namespaces").trim().to_owned();
        let world = World { sandbox, holder, inside };
        world.keygen("/root/.ssh/id_ed25519");
        for (name, ..) in ACCOUNTS {
            world.authorize(name, &world.root(".ssh/id_ed25519.pub"));
        }
        world
    }

    /// What the servers have logged last, for a test that fails.
    fn print_server_logs(&self) {
        let entries = fs::read_dir(self.srv("")).into_iter().flatten().flatten();
        for path in
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "log"))
        {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("{}:\n{}", path.display(), lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }

    /// A path below `/root`, from outside.
    pub(crate) fn root(&self, path: &str) -> PathBuf {
        self.sandbox.path("root").join(path)
    }

    /// A path below `/srv`, from outside.
    pub(crate) fn srv(&self, path: &str) -> PathBuf {
        self.sandbox.path("srv").join(path)
    }

    /// The text of a file, by its path from outside.
    #[track_caller]
    pub(crate) fn text(&self, path: &Path) -> String {
        fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("read {}: {error}\n{}", path.display(), self.sandbox.tree()))
    }

    /// The mode of a file, by its path from outside.
    #[track_caller]
    pub(crate) fn mode(&self, path: &Path) -> u32 {
        fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
            & 0o7777
    }

    /// A command inside, as root, with an environment of its own.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.sandbox.command("nsenter");
        command.args([
            "--target",
            &self.inside,
            "--mount",
            "--net",
            "--pid",
            "--root",
            "--wdns=/",
            "--",
            program,
        ]);
        command
            .env("HOME", "/root")
            .env("USER", "root")
            .env("TMPDIR", "/run/tmp")
            .env("PATH", "/srv/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Runs a command to its end.
    #[must_use]
    #[track_caller]
    pub(crate) fn run(&self, command: &mut Command) -> Ran {
        self.sandbox.run(command)
    }

    /// Runs the tool as root.
    #[must_use]
    #[track_caller]
    pub(crate) fn tool(&self, arguments: &[&str]) -> Ran {
        self.run(self.command("ssh-key-setup").args(arguments))
    }

    /// Runs the tool with something to read.
    #[track_caller]
    #[must_use]
    pub(crate) fn tool_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        self.sandbox.run_with_input(self.command("ssh-key-setup").args(arguments), input.as_bytes())
    }

    /// A file of the written folder, by its path from outside.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root("data/backrest/ssh").join(name)
    }

    /// A command where `/root/.ssh` is the written folder and the environment is empty: as in the container.
    pub(crate) fn in_container(&self, program: &str) -> Command {
        self.in_container_with("/root/data/backrest/ssh", program)
    }

    /// The same with another folder.
    pub(crate) fn in_container_with(&self, folder: &str, program: &str) -> Command {
        let mut command = self.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg(
            "mount --bind -o ro \"$1\" /root/.ssh && shift && mount -t tmpfs tmpfs /home && \
             exec env -i HOME=/root PATH=/usr/bin:/bin RESTIC_PASSWORD=x RESTIC_CACHE_DIR=/run/tmp/cache \"$@\"",
        );
        command.args(["sh", folder, program]);
        command
    }

    /// Makes a key pair inside.
    #[track_caller]
    pub(crate) fn keygen(&self, path: &str) {
        let mut command = self.command("ssh-keygen");
        self.run(command.args(["-q", "-t", "ed25519", "-N", "", "-C", "own", "-f", path])).expect_success();
    }

    /// Lets a public key in at an account.
    #[track_caller]
    pub(crate) fn authorize(&self, account: &str, public: &Path) {
        let uid = ACCOUNTS.iter().find(|(name, ..)| *name == account).expect("an account").1;
        let folder = self.srv(&format!("home/{account}/.ssh"));
        fs::create_dir_all(&folder).expect("make .ssh");
        let file = folder.join("authorized_keys");
        let old = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, old + &self.text(public)).expect("write authorized_keys");
        for (path, mode) in [(&folder, 0o700), (&file, 0o600)] {
            chown(path, Some(uid), Some(uid)).expect("give .ssh away");
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("close .ssh");
        }
    }

    /// An account's authorized_keys.
    pub(crate) fn authorized_keys(&self, account: &str) -> PathBuf {
        self.srv(&format!("home/{account}/.ssh/authorized_keys"))
    }

    /// Starts an sshd with one host key and these lines of configuration.
    #[track_caller]
    pub(crate) fn server(&self, port: u16, key_type: &str, lines: &str) -> Server {
        let name = format!("sshd-{port}");
        let key = format!("/srv/{name}-key-{key_type}");
        if !self.srv(&format!("{name}-key-{key_type}")).exists() {
            let mut keygen = self.command("ssh-keygen");
            self.run(keygen.args(["-q", "-t", key_type, "-N", "", "-C", "host", "-f", &key]))
                .expect_success();
        }
        let config = format!(
            "{lines}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {key}\nPidFile /srv/{name}.pid\nUsePAM no\n\
             PermitRootLogin no\nLogLevel DEBUG1\n\
             KexAlgorithms curve25519-sha256\n{}",
            if lines.contains("Subsystem") { "" } else { "Subsystem sftp internal-sftp\n" }
        );
        fs::write(self.srv(&name), config).expect("write sshd's configuration");
        let log = self.srv(&format!("{name}.log"));
        let _ = fs::remove_file(&log);
        let mut command = self.command("/usr/sbin/sshd");
        command.args(["-D", "-f", &format!("/srv/{name}"), "-E", &format!("/srv/{name}.log")]);
        // From OpenSSH 9.8 on a client whose connections break off is shut out for a while; older ones don't know it.
        let patient = ["-o", "PerSourcePenalties=no"];
        let mut asked = self.command("/usr/sbin/sshd");
        asked.args(["-t", "-f", &format!("/srv/{name}")]).args(patient);
        if self.run(&mut asked).end.is_success() {
            command.args(patient);
        }
        // Where a test stops the server, the shell that started the tests may end meanwhile: the kernel then wakes what
        // is stopped in the group that it leaves behind.
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start sshd");
        let printed = || fs::read_to_string(&log).unwrap_or_default();
        let why = || format!("sshd does not start: {}", printed());
        wait_within(Duration::from_secs(20), why, || printed().contains("Server listening"));
        Server { port, child }
    }

    /// Ends a server; connections that it has made go on.
    #[track_caller]
    pub(crate) fn stop(&self, mut server: Server) {
        self.signal(&server, "-TERM");
        server.child.wait().expect("wait for sshd");
    }

    /// Sends a signal to a server's listening process.
    #[track_caller]
    pub(crate) fn signal(&self, server: &Server, signal: &str) {
        let file = self.srv(&format!("sshd-{}.pid", server.port));
        // sshd makes the file a moment before it writes into it.
        wait_until("sshd has written its number", || self.text(&file).ends_with('\n'));
        let pid = self.text(&file);
        self.run(self.command("kill").args([signal, pid.trim()])).expect_success();
    }

    /// The public host key of a server: `ssh-ed25519 AAAA…`.
    #[track_caller]
    pub(crate) fn host_key(&self, port: u16, key_type: &str) -> String {
        let text = self.text(&self.srv(&format!("sshd-{port}-key-{key_type}.pub")));
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// Writes root's own ssh config and known_hosts.
    #[track_caller]
    pub(crate) fn own_ssh(&self, config: &str, known_hosts: &str) {
        fs::write(self.root(".ssh/config"), config).expect("write config");
        fs::write(self.root(".ssh/known_hosts"), known_hosts).expect("write known_hosts");
    }

    /// A server with an alias `nas` that root knows and gets into: the plain case.
    #[track_caller]
    pub(crate) fn with_nas(port: u16, account: &str) -> (World, Server) {
        let world = World::new();
        let server = world.server(port, "ed25519", "");
        world.trust("nas", port, account, "ed25519");
        (world, server)
    }

    /// Makes root know a server under an alias.
    #[track_caller]
    pub(crate) fn trust(&self, alias: &str, port: u16, account: &str, key_type: &str) {
        self.own_ssh(
            &format!("Host {alias}\n  HostName 127.0.0.1\n  Port {port}\n  User {account}\n"),
            &format!("{} {}\n", address(port), self.host_key(port, key_type)),
        );
    }
}

/// Ends what started it; sshd itself ends with the world.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server's name in known_hosts.
pub(crate) fn address(port: u16) -> String {
    if port == 22 { "127.0.0.1".to_owned() } else { format!("[127.0.0.1]:{port}") }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_server_logs();
        }
        // unshare ends its child with itself, and with it, the namespace's first process, everything in there.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[track_caller]
fn write_accounts(etc: &Path) {
    let mut passwd =
        String::from("root:x:0:0:root:/root:/bin/bash\nsshd:x:102:65534::/run/sshd:/usr/sbin/nologin\n");
    let mut group = String::from("root:x:0:\nnogroup:x:65534:\n");
    let mut shadow = String::from("root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n");
    for (name, uid, shell) in ACCOUNTS {
        passwd += &format!("{name}:x:{uid}:{uid}::/srv/home/{name}:{shell}\n");
        group += &format!("{name}:x:{uid}:\n");
        shadow += &format!("{name}:{HASH}:19000:0:99999:7:::\n");
    }
    let hosts = "127.0.0.1 localhost gate inner nas.lan\n".to_owned();
    for (file, text, mode) in [
        ("passwd", passwd, 0o644),
        ("group", group, 0o644),
        ("shadow", shadow, 0o600),
        ("hosts", hosts, 0o644),
    ] {
        fs::write(etc.join(file), text).expect("write the accounts");
        fs::set_permissions(etc.join(file), Permissions::from_mode(mode)).expect("set a mode");
    }
}
