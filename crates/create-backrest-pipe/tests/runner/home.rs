//! A home with the tools installed in it and a crontab of its own.
//!
//! What a reader gets wrong: `crontab` writes to one place for the whole machine. The tests run it in a mount
//! namespace in which a folder of the sandbox lies over that place, so no real crontab is touched; this works for
//! root and for an ordinary user.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::testing::{Ran, Sandbox, built, cargo, copy_program, wait_until};

const IN_OWN_CRONTABS: &str = r#"mount --bind "$1" /var/spool/cron/crontabs && shift && exec "$@""#;

/// The sandbox, the installed tools and the crontabs.
pub(crate) struct Home {
    pub(crate) sandbox: Sandbox,
}

impl Home {
    /// A home in which the tools are installed in `.local/bin`, with a client that is linked statically.
    #[track_caller]
    pub(crate) fn new() -> Home {
        let home = Home { sandbox: Sandbox::new() };
        fs::create_dir_all(home.sandbox.path(".crontabs")).unwrap();
        fs::create_dir_all(home.sandbox.path(".local/bin")).unwrap();
        home.install("create-backrest-pipe", Path::new(env!("CARGO_BIN_EXE_create-backrest-pipe")));
        home.install("pipe-listener", listener());
        home.install("backrest-send", client());
        home
    }

    /// Copies `program` to `.local/bin`.
    #[track_caller]
    pub(crate) fn install(&self, name: &str, program: &Path) {
        let target = self.sandbox.path(".local/bin").join(name);
        let program = &fs::canonicalize(program).unwrap();
        // A hard link is as good and costs nothing; across file systems it has to be a copy.
        if fs::hard_link(program, &target).is_err() {
            copy_program(program, &target);
        }
    }

    /// `path` below Backrest's container folder.
    pub(crate) fn backrest(&self, path: &str) -> PathBuf {
        self.sandbox.path("containers/backrest").join(path)
    }

    /// A command that sees this home's crontabs only.
    pub(crate) fn with_crontabs(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.sandbox.command("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", IN_OWN_CRONTABS, "sh"]);
        command.arg(self.sandbox.path(".crontabs")).arg(program.as_ref());
        command
    }

    /// `create-backrest-pipe` with `arguments`, to be changed and run.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = self.with_crontabs(self.sandbox.path(".local/bin/create-backrest-pipe"));
        command.args(arguments);
        command
    }

    /// Runs `create-backrest-pipe` with `arguments`.
    #[must_use]
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(&mut self.tool(arguments))
    }

    /// Puts everything in place, which has to succeed.
    #[track_caller]
    pub(crate) fn set_up(&self) -> Ran {
        self.run(&[]).expect_success()
    }

    /// The user's crontab; `None` where there is none.
    #[track_caller]
    pub(crate) fn crontab(&self) -> Option<String> {
        let listed = self.sandbox.run(self.with_crontabs("crontab").arg("-l"));
        match listed.stderr.contains("no crontab for") {
            true => None,
            false => Some(listed.expect_success().stdout),
        }
    }

    /// Makes `text` the user's crontab.
    #[track_caller]
    pub(crate) fn set_crontab(&self, text: &str) {
        self.sandbox.run_with_input(self.with_crontabs("crontab").arg("-"), text.as_bytes()).expect_success();
    }

    /// The process of the listener that holds its lock.
    #[track_caller]
    pub(crate) fn listener(&self) -> Option<i32> {
        let text = fs::read_to_string(self.backrest("state/listener.lock")).ok()?;
        let process = text.split(' ').nth(1)?.parse().ok()?;
        self.is_ours(process).then_some(process)
    }

    /// Every process that was started from this home and still runs.
    #[track_caller]
    pub(crate) fn processes(&self, name: &str) -> Vec<i32> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(|&id| self.is_ours(id) && command_line(id).contains(name)).collect()
    }

    /// Waits until exactly that many listeners run: a child of one looks like it until it has become another program.
    #[track_caller]
    pub(crate) fn expect_listeners(&self, count: usize) {
        wait_until(&format!("{count} listeners"), || {
            self.processes("pipe-listener --container-root").len() == count
        });
    }

    /// What distinguishes one set-up from another: every file with its mode, size, inode and, if it is a link, its target.
    #[track_caller]
    pub(crate) fn everything(&self) -> String {
        let inode = |path: &str| fs::symlink_metadata(self.backrest(path)).map(|there| there.ino()).ok();
        let pipes = [inode("bridge/backrest-pipe"), inode("backrest-pipe")];
        let link = fs::read_link(self.backrest("backrest-pipe")).ok();
        format!("{}{pipes:?} {link:?}\n{:?}", self.sandbox.tree(), self.crontab())
    }

    #[track_caller]
    fn is_ours(&self, process: i32) -> bool {
        command_line(process).contains(self.sandbox.home().to_str().unwrap())
    }
}

#[track_caller]
fn command_line(process: i32) -> String {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

/// The real listener, built once for all tests.
#[track_caller]
fn listener() -> &'static Path {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT.get_or_init(|| built("pipe-listener", "pipe-listener"))
}

/// The real client, linked statically as `cargo xtask build` links it, built once for all tests.
#[track_caller]
pub(crate) fn client() -> &'static Path {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT.get_or_init(|| {
        let version = Command::new("rustc").arg("-vV").output().expect("ask rustc").stdout;
        let version = String::from_utf8(version).unwrap();
        let triple = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        // target/debug/deps/<test>
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let mut cargo = cargo();
        cargo.args(["build", "--quiet", "--package", "backrest-send", "--bin", "backrest-send"]);
        // With an explicit target the flags leave procedural macros alone, which can't be static.
        cargo.args(["--target", triple, "--target-dir"]).arg(target);
        cargo.env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
        assert!(cargo.status().expect("start cargo").success());
        target.join(triple).join("debug/backrest-send")
    })
}

/// Starts `command` with nothing to read and its output dropped.
#[track_caller]
pub(crate) fn in_background(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
