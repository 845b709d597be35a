//! Connections: the user's own, kept open by `ssh` itself, and the one that knows nothing but the new folder.
//!
//! Both are only options for `ssh` and `sftp`. The user's is opened once, in the foreground if there is a terminal
//! so that passwords, passphrases and touches of a token reach the person; all later calls go through its control
//! socket and never ask. The other has an empty environment, no agent and a config file of its own, made of the folder's
//! by putting this host's path where the container has `/root/.ssh`.

mod by_options;
mod programs;
mod trouble;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::atomic;
use common::cancel::Cancel;
use common::leftover::{self, Scratch};
use common::process::{self, End, Limits};
use common::progress;
use common::text::escape;

use crate::connection::access::{self, Access};
use crate::connection::container_view;
use crate::connection::failure::{self, Failure, Kind};
use crate::connection::scratch::{SCRATCH, scratch, scratch_place};

/// The folder as the container sees it.
pub(crate) const IN_CONTAINER: &str = "/root/.ssh";

/// The folder's files as a connection uses them, below its temporary folder, which is the home then.
const STAGE: &str = ".ssh";

/// Whose files the programs of a connection see.
#[derive(Debug)]
enum View {
    Yours,
    /// The folder's alone, as root in a container: the folder with the keys.
    Container(PathBuf),
    /// The folder's by options, if the system allows no namespaces.
    Options,
}

/// A way to one host.
#[derive(Debug)]
pub(crate) struct Connection {
    options: Vec<OsString>,
    pub(crate) host: String,
    /// What `ssh` and `sftp` are given.
    destination: String,
    view: View,
    control: Option<PathBuf>,
    cancel: Cancel,
    folder: Scratch,
}

/// Ends the connections that a killed run left open and removes its folders: one of them may still be logged in.
pub(crate) fn clear_leftovers() {
    for leftover in leftover::find(&scratch_place(), SCRATCH) {
        let socket = leftover.path.join("m");
        if socket.exists() {
            end_master(Command::new("ssh").args(kept_open(&socket)), KEPT_OPEN);
        }
        let _ = leftover.remove();
    }
}

/// Ends what `command`, an `ssh` with the options of a control socket, keeps open. If it fails the connection has
/// ended already, or ends by itself after five minutes.
fn end_master(command: &mut Command, destination: &str) {
    command.args(["-O", "exit", "--", destination]);
    let _ = process::capture(command, b"", Limits::within(Duration::from_secs(10)), None);
}

fn option(text: impl Into<OsString>) -> [OsString; 2] {
    ["-o".into(), text.into()]
}

/// The destination of calls that go through a control socket, where it does not matter: `sftp` takes neither a URI
/// nor a bare IPv6 address.
const KEPT_OPEN: &str = "kept-open";

/// Options for a call through a control socket. The user's configuration is not read again, and if the socket is
/// gone the call fails instead of logging in another way.
fn kept_open(socket: &Path) -> Vec<OsString> {
    let path = format!("ControlPath={}", socket.display());
    let texts = [&path, "ControlMaster=no", "BatchMode=yes", "ProxyCommand=false"];
    ["-F".into(), "none".into()].into_iter().chain(texts.into_iter().flat_map(option)).collect()
}

/// Options for an `ssh` that logs in, writes `log`, and stays in the background for calls through `socket`.
fn in_the_background(socket: &Path, log: &Path) -> Vec<OsString> {
    let path = format!("ControlPath={}", socket.display());
    let texts = [&path, "ControlMaster=yes", "ControlPersist=300"];
    let flags = ["-E".into(), log.into(), "-f".into(), "-N".into()];
    flags.into_iter().chain(texts.into_iter().flat_map(option)).collect()
}

impl Connection {
    /// With nothing but the folder: `config` and `known_hosts` are these texts, keys are the folder's.
    pub(crate) fn isolated(
        folder: &Path,
        config: &str,
        known_hosts: &str,
        host: &str,
        cancel: &Cancel,
    ) -> Result<Connection> {
        let scratch = scratch()?;
        let stage = scratch.path().join(STAGE);
        fs::create_dir(&stage).context("make a temporary folder")?;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name != "config" && name != "known_hosts" {
                symlink(entry.path(), stage.join(name)).context("link a key")?;
            }
        }
        atomic::write(&stage.join("known_hosts"), known_hosts.as_bytes(), 0o600)?;
        let mut options: Vec<OsString> = Vec::new();
        let view = if container_view::is_available() {
            atomic::write(&stage.join("config"), config.as_bytes(), 0o600)?;
            View::Container(folder.to_path_buf())
        } else {
            by_options::write(scratch.path(), &stage, config)?;
            options.extend(["-F".into(), stage.join("config").into()]);
            // Without quotes, which restic's -o takes for its own: the path is a plain one.
            options.extend(option(format!("UserKnownHostsFile={}/known_hosts", stage.display())));
            View::Options
        };
        let strict = [
            "BatchMode=yes",
            // For a host of the user's own lines, which may say nothing about it.
            "ConnectTimeout=20",
            "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes",
            "IdentityAgent=none",
            // A connection that is kept open would let anyone in, with any key or none.
            "ControlMaster=no",
            "ControlPath=none",
            "LogLevel=INFO",
        ];
        options.extend(strict.into_iter().flat_map(option));
        let connection = Connection {
            options,
            host: host.to_owned(),
            destination: host.to_owned(),
            view,
            control: None,
            cancel: cancel.clone(),
            folder: scratch,
        };
        connection.check_programs()?;
        Ok(connection)
    }

    /// The user's own way, logged in and kept open until this is dropped. Host keys are checked against `trusted` and
    /// the user's own files. `through` is the connection to the jump host before it.
    pub(crate) fn open(
        access: &Access,
        trusted: &str,
        own_known_hosts: &[PathBuf],
        through: Option<&Connection>,
        cancel: &Cancel,
    ) -> Result<Connection> {
        let folder = scratch()?;
        let trusted_file = folder.path().join("known_hosts");
        atomic::write(&trusted_file, trusted.as_bytes(), 0o600)?;
        // Before the flags, which may hold a jump host of the user's: ssh takes the first of each.
        let mut options = through.map(Connection::proxy_options).unwrap_or_default();
        options.extend(access.flags());
        options.extend(access::plain_options());
        options.extend(option("StrictHostKeyChecking=yes").into_iter().chain(option("UpdateHostKeys=no")));
        options.extend(option(access::known_hosts_option(&trusted_file, own_known_hosts)));
        // Debug lines go to the log only. With -v ssh would leave its proxy command our standard error, too, and the
        // command would be ended for that.
        options.extend(option("LogLevel=DEBUG1"));
        let (host, destination, cancel) = (access.host.clone(), access.host.clone(), cancel.clone());
        Connection { options, host, destination, view: View::Yours, control: None, cancel, folder }
            .logged_in()
    }

    /// The same way, logged in once and kept open: it goes on working when the server no longer takes the key.
    pub(crate) fn logged_in(mut self) -> Result<Connection> {
        let (socket, log) = (self.folder.path().join("m"), self.folder.path().join("log"));
        // Before the others: ssh takes the first of each.
        let mut command = self.bare_program("ssh");
        command.args(in_the_background(&socket, &log)).args(&self.options).arg("--").arg(&self.destination);
        let asks = matches!(self.view, View::Yours) && fs::File::open("/dev/tty").is_ok();
        let end = match asks {
            true => process::foreground(&mut command)?,
            false => self.capture(&mut command, b"")?.end,
        };
        if !end.is_success() {
            // Ctrl-C at the question for a password goes to both of us.
            let end = if self.cancel.is_cancelled() { End::Cancelled } else { end };
            let log = fs::read(&log).unwrap_or_default();
            return Err(failure::of_ssh(&log, end).about(&self.host, self.login()));
        }
        self.options = kept_open(&socket);
        self.destination = KEPT_OPEN.to_owned();
        self.control = Some(socket);
        Ok(self)
    }

    /// What makes `ssh` go through this connection.
    pub(crate) fn proxy_options(&self) -> Vec<OsString> {
        let socket = self.control.as_deref().unwrap_or(Path::new("none"));
        let words: Vec<String> =
            kept_open(socket).iter().map(|word| word.to_string_lossy().into_owned()).collect();
        // No ProxyJump=none beside it: ssh takes the first of the two and then ignores the other.
        let proxy = format!("ProxyCommand=ssh {} -W [%h]:%p -- {KEPT_OPEN}", words.join(" "));
        option(proxy).into_iter().chain(option("ProxyUseFdpass=no")).collect()
    }

    /// `ssh OPTIONS EXTRA -- HOST COMMAND…`, ready to run.
    pub(crate) fn ssh(&self, extra: &[&str], remote: &[&str]) -> Command {
        let mut command = self.program("ssh");
        command.args(extra).arg("--").arg(&self.destination).args(remote);
        command
    }

    /// Logs in and has the server prove its host keys, all of them, under the one that is trusted. Returns the file
    /// that holds them then; if the server does not know how, it is unchanged.
    pub(crate) fn proved_host_keys(&self) -> Result<PathBuf> {
        // The server proves them before it answers to a session, whatever the session comes to.
        let mut command = self.program("ssh");
        command.args(option("UpdateHostKeys=yes")).args(option("HashKnownHosts=no"));
        command.args(["-T", "-s", "--"]).arg(&self.destination).arg("sftp");
        let _ = self.capture(&mut command, b"")?;
        Ok(self.folder.path().join(STAGE).join("known_hosts"))
    }

    /// `sftp OPTIONS HOST`, which reads its commands from standard input.
    pub(crate) fn sftp(&self) -> Command {
        let mut command = self.program("sftp");
        command.args(["-b", "-"]).arg("--").arg(&self.destination);
        command
    }

    /// Runs one of the above to its end. None of them asks anything, so a terminal can show that it takes long.
    pub(crate) fn capture(&self, command: &mut Command, input: &[u8]) -> Result<process::Captured> {
        let limits = Limits::within(Duration::from_secs(60));
        progress::during(
            || format!("waiting for {}", escape(self.host.as_bytes())),
            || process::capture(command, input, limits, Some(&self.cancel)),
        )
    }

    /// Whether the connection that is kept open still is.
    pub(crate) fn is_open(&self) -> bool {
        let mut command = self.ssh(&["-O", "check"], &[]);
        self.control.is_some()
            && self.capture(&mut command, b"").is_ok_and(|checked| checked.end.is_success())
    }

    pub(crate) fn options(&self) -> &[OsString] {
        &self.options
    }

    /// The server's file that holds the key which logged in, as sshd named it: where the server looks for keys. sshd
    /// names it with the first session, not before: `Remote: /home/me/.ssh/authorized_keys:3: key options: …`.
    pub(crate) fn keys_file(&self) -> Option<String> {
        self.logged(|line| {
            let place = line.split_once("Remote: ")?.1.split_once(": key options:")?.0;
            Some(place.rsplit_once(':')?.0.to_owned())
        })
    }

    /// What the server says it is: `OpenSSH_9.2p1 Debian-2`.
    pub(crate) fn software(&self) -> Option<String> {
        self.logged(|line| Some(line.split_once("remote software version ")?.1.trim().to_owned()))
    }

    fn logged(&self, read: impl Fn(&str) -> Option<String>) -> Option<String> {
        let log = fs::read(self.folder.path().join("log")).ok()?;
        String::from_utf8_lossy(&log).lines().find_map(read)
    }

    /// A folder for files on their way from or to the server, gone with the connection.
    pub(crate) fn local(&self) -> PathBuf {
        self.folder.path().join("transfer")
    }

    /// What a failure of a command over this connection means. Over a control socket a refused subsystem comes without
    /// a word: the session is over, and the connection is still there.
    pub(crate) fn failure(&self, stderr: &[u8], end: End) -> Failure {
        let failure = failure::of_ssh(stderr, end);
        let wordless =
            failure.kind == Kind::Lost && !String::from_utf8_lossy(stderr).contains("Connection closed by");
        if wordless && self.is_open() {
            return Failure {
                kind: Kind::NoSftp,
                message: "the session is refused".to_owned(),
                cure: self.sftp_cure(),
            };
        }
        match failure.kind {
            Kind::NoSftp => Failure { cure: self.sftp_cure(), ..failure },
            Kind::NotClean => self.greeted(failure),
            _ => failure,
        }
    }

    pub(crate) fn login(&self) -> failure::Login {
        if matches!(self.view, View::Yours) { failure::Login::Yours } else { failure::Login::Folder }
    }

    /// A program in the environment of this connection, without its options.
    pub(crate) fn bare_program(&self, name: &str) -> Command {
        let (mut command, home) = match &self.view {
            View::Yours => return Command::new(name),
            View::Options => (Command::new(name), self.folder.path()),
            View::Container(folder) => {
                let stage = self.folder.path().join(STAGE);
                let mut command = container_view::enter(&stage, &[self.folder.path(), folder]);
                command.arg(name);
                (command, Path::new("/root"))
            }
        };
        command.env_clear().env("HOME", home);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        command
    }

    fn program(&self, name: &str) -> Command {
        let mut command = self.bare_program(name);
        command.args(&self.options);
        command
    }
}

/// Ends the connection that `ssh` keeps open.
impl Drop for Connection {
    fn drop(&mut self) {
        if self.control.is_some() {
            end_master(&mut self.program("ssh"), &self.destination);
        }
    }
}
