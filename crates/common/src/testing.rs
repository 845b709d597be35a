//! The sandbox in which tests run the real binaries: a home of its own, an environment of its own, nothing of the
//! machine's user.
//!
//! Only tests see this (feature `testing`). A failed expectation prints the command, both streams and the tree, and
//! names the line of the test: every helper that asserts has `#[track_caller]`, and panics outside closures, because a
//! closure does not hand the caller on.

#![expect(clippy::panic, reason = "a failed expectation fails the test")]

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::process::{self, End, Limits};
use crate::text::escape;

mod unwritable;

pub use unwritable::Unwritable;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A scratch home with empty `containers/backrest` and `data/backrest`, gone when dropped with all that runs in it.
#[derive(Debug)]
pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    /// A home that holds what every user of Backrest has: both roots with Backrest's own folders.
    #[track_caller]
    pub fn new() -> Sandbox {
        let sandbox = Sandbox::empty();
        for folder in ["containers/backrest", "data/backrest"] {
            fs::create_dir_all(sandbox.home().join(folder)).expect("make a folder in the sandbox");
        }
        sandbox
    }

    /// A home with nothing in it.
    #[track_caller]
    pub fn empty() -> Sandbox {
        let folder = tempfile::Builder::new().prefix("backrest-helpers-").tempdir().expect("make a sandbox");
        fs::create_dir(folder.path().join("home")).expect("make a home");
        fs::create_dir(folder.path().join("tmp")).expect("make a folder for temporary files");
        Sandbox { folder }
    }

    /// The home.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// `path` below the home.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.home().join(path)
    }

    /// Writes a file below the home, with the folders above it.
    #[track_caller]
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a path below the home"))
            .expect("make the folders of a file");
        match fs::write(&path, content) {
            Ok(()) => path,
            Err(error) => panic!("write {}: {error}", path.display()),
        }
    }

    /// Writes an executable file.
    #[track_caller]
    pub fn script(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(path, content);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("make a script executable");
        path
    }

    /// The text of a file below the home.
    #[track_caller]
    pub fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => panic!("read {}: {error}\n{}", path.display(), self.tree()),
        }
    }

    /// A command in the home, whose environment holds `HOME`, `TMPDIR`, `PATH`, `USER` and a UTF-8 locale only.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.home()).env_clear();
        command.env("HOME", self.home()).env("TMPDIR", self.folder.path().join("tmp"));
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env("USER", "tester");
        command
    }

    /// Runs `command`, for at most a minute, and keeps its output.
    #[must_use = "check how the command went: expect_success, expect_code"]
    #[track_caller]
    pub fn run(&self, command: &mut Command) -> Ran {
        self.run_with_input(command, b"")
    }

    /// [`Sandbox::run`] with something on standard input.
    #[must_use = "check how the command went: expect_success, expect_code"]
    #[track_caller]
    pub fn run_with_input(&self, command: &mut Command, input: &[u8]) -> Ran {
        let name = process::command_name(command);
        let limits = Limits::within(Duration::from_secs(60));
        let captured = match process::capture(command, input, limits, None) {
            Ok(captured) => captured,
            Err(error) => panic!("{name}: {error:#}"),
        };
        Ran {
            name,
            end: captured.end,
            stdout: String::from_utf8_lossy(&captured.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&captured.stderr).into_owned(),
            tree: self.tree(),
        }
    }

    /// Every file and folder below the home with its mode and size, sorted: for comparing before and after.
    pub fn tree(&self) -> String {
        let mut lines = Vec::new();
        list(&self.home(), &self.home(), &mut lines);
        lines.sort();
        lines.concat()
    }
}

/// What a test started and something in it outlived (a listener that was killed leaves what keeps its FIFO open, and
/// the action that ran) ends with its home.
impl Drop for Sandbox {
    fn drop(&mut self) {
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let id = process.file_name().to_str().and_then(|id| id.parse().ok()).map(Pid::from_raw);
            if let Some(id) = id.filter(|&id| id != Pid::this() && self.is_home_of(&process.path())) {
                let _ = kill(id, Signal::SIGKILL);
            }
        }
    }
}

impl Sandbox {
    /// Whether the process of that folder in /proc was started from here, runs here, or writes here.
    fn is_home_of(&self, process: &Path) -> bool {
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        let own = self.folder.path();
        String::from_utf8_lossy(&command).contains(&format!("{}/", own.display()))
            || ["cwd", "fd/1"]
                .iter()
                .any(|link| fs::read_link(process.join(link)).is_ok_and(|path| path.starts_with(own)))
    }
}

impl Default for Sandbox {
    fn default() -> Sandbox {
        Sandbox::new()
    }
}

fn list(folder: &Path, home: &Path, lines: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let below = path.strip_prefix(home).unwrap_or(&path);
        let mut line =
            format!("{} {:o}", escape(below.as_os_str().as_encoded_bytes()), metadata.permissions().mode());
        if metadata.is_file() {
            let _ = write!(line, " {} bytes", metadata.len());
        }
        lines.push(line + "\n");
        if metadata.is_dir() {
            list(&path, home, lines);
        }
    }
}

/// A command that has finished, with its output.
#[derive(Debug)]
pub struct Ran {
    name: String,
    /// How it ended.
    pub end: End,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    tree: String,
}

impl Ran {
    /// Panics, with everything there is to see, unless it exited with `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Ran {
        assert!(self.end == End::Exited(code), "expected exit code {code}\n{}", self.everything());
        self
    }

    /// Panics unless it exited with 0.
    #[track_caller]
    pub fn expect_success(self) -> Ran {
        self.expect_code(0)
    }

    /// The command, both streams and the tree, for the message of an assertion.
    pub fn everything(&self) -> String {
        let Ran { name, end, stdout, stderr, tree } = self;
        format!("$ {name}\n{end}\n--- standard output\n{stdout}--- standard error\n{stderr}--- tree\n{tree}")
    }
}

/// Copies a program that is to be started, with cp. A file that this process had open for writing would be open as well
/// in whatever another test starts at that moment, and can't be started until that is over (ETXTBSY).
#[track_caller]
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let (from, to) = (from.as_ref(), to.as_ref());
    let status = Command::new("cp").arg("--").args([from, to]).status().expect("start cp");
    assert!(status.success(), "copy {} to {}", from.display(), to.display());
}

/// Waits until `is_so`; panics with `what` after longer than anything takes on a busy machine.
#[track_caller]
pub fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    wait_within(PATIENCE, || what.to_owned(), is_so);
}

/// [`wait_until`] for at most `patience`; `what` is only read then, and can show a log.
#[track_caller]
pub fn wait_within(patience: Duration, what: impl Fn() -> String, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < end, "not within {} s: {}", patience.as_secs(), what());
        thread::sleep(Duration::from_millis(10));
    }
}

/// The newest restic that Debian has, as `cargo xtask test` puts it in place beside the system's.
#[track_caller]
pub fn newest_restic() -> PathBuf {
    let in_workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/restic-trixie/usr/bin/restic");
    let program = std::env::var_os("RESTIC_NEWEST").map(PathBuf::from).unwrap_or(in_workspace);
    assert!(program.is_file(), "no restic at {}: `cargo xtask test` puts it there", program.display());
    program
}

/// Another binary of this workspace, built now if it isn't there yet.
#[track_caller]
pub fn built(package: &str, binary: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    // target/<profile>/deps/<test>
    let profile = test.parent().and_then(Path::parent).expect("the folder of built binaries");
    let path = profile.join(binary);
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--package", package, "--bin", binary]);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let limits = Limits::within(Duration::from_secs(600));
    process::capture(&mut cargo, b"", limits, None)
        .and_then(process::Captured::success)
        .expect("build a binary");
    path
}

/// Cargo, for a build from within a test. What the outer cargo set for this test's own package is left out: some
/// build scripts (ring's) look at it and would build everything that depends on them anew, back and forth.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let about_the_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
    for (name, _) in std::env::vars_os() {
        if about_the_package.iter().any(|start| name.as_encoded_bytes().starts_with(start.as_bytes())) {
            cargo.env_remove(name);
        }
    }
    cargo
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn what_runs_in_a_sandbox_ends_with_it() {
        let sandbox = Sandbox::new();
        let mut inside = sandbox.command("sleep").arg("300").spawn().unwrap();
        let mut outside = Command::new("sleep").arg("300").spawn().unwrap();
        drop(sandbox);
        assert_eq!(inside.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
        assert!(outside.try_wait().unwrap().is_none());
        outside.kill().unwrap();
        outside.wait().unwrap();
    }
}
