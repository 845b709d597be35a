//! A database server as a process of the test, with a folder of its own, killed when dropped.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::testing::wait_within;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;

pub(super) struct Server {
    child: Child,
    pub(super) folder: TempDir,
}

/// A folder that the server's user may use. Short: the path of a Unix socket has at most 107 bytes.
#[track_caller]
pub(super) fn folder(user: Option<&str>) -> TempDir {
    let folder = tempfile::Builder::new().prefix("db-").tempdir_in("/tmp").expect("make a folder");
    if let Some(user) = user.filter(|_| geteuid().is_root()) {
        let user = User::from_name(user)
            .expect("ask for a user")
            .unwrap_or_else(|| panic!("there is no user {user}"));
        chown(folder.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("give a folder away");
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("open a folder");
    folder
}

/// `program`, as `user` if we are root: PostgreSQL refuses to run as root.
pub(super) fn command_as(user: &str, program: impl AsRef<Path>) -> Command {
    if !geteuid().is_root() {
        return Command::new(program.as_ref());
    }
    let mut command = Command::new("runuser");
    command.args(["-u", user, "--"]).arg(program.as_ref());
    command
}

impl Server {
    /// Starts `command` and waits until `is_ready` holds.
    #[track_caller]
    pub(super) fn start(command: &mut Command, folder: TempDir, is_ready: impl Fn() -> bool) -> Server {
        let log = fs::File::create(folder.path().join("server.log")).expect("make a log");
        command.stdout(log.try_clone().expect("share a log")).stderr(log).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let server = Server { child, folder };
        let log = server.folder.path().join("server.log");
        let printed = || fs::read_to_string(&log).unwrap_or_default();
        wait_within(Duration::from_secs(60), printed, is_ready);
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        // Nothing of it is to be kept, so it need not take its time.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// What `command` prints; it has to do well.
#[track_caller]
pub(super) fn output(command: &mut Command) -> String {
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Whether `command` does well.
pub(super) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
