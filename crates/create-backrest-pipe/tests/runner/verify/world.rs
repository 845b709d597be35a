//! A home with services, a dump and rules, the Backrest that backs it up, and the user who verifies.
//!
//! What a reader gets wrong: only what is older than the backup has to be in it, so a home is made a while before.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use common::contract::verification::{Outcome, Verification};
use common::testing::{Ran, Sandbox, built, copy_program, newest_restic};
use serde_json::json;

use super::server::Server;
use crate::home::client;

/// Who runs the tool if the tests run as root.
const OTHER_USER: u32 = 65534;

/// A home and its Backrest.
pub(super) struct World {
    pub(super) sandbox: Sandbox,
    pub(super) server: Server,
    /// The data root, below the home.
    data: &'static str,
}

/// Longer than what the tool allows clocks to differ.
pub(crate) const OLD_ENOUGH: Duration = Duration::from_millis(3200);

impl World {
    /// A home with two services, a dump and an ignore file, and nothing backed up yet.
    #[track_caller]
    pub(super) fn new() -> World {
        World::with(|_| {})
    }

    /// The same with more files, all of which are old enough for a backup to hold them.
    #[track_caller]
    pub(super) fn with(more: impl FnOnce(&Sandbox)) -> World {
        World::at("data", more)
    }

    /// The same with another data root, which may lie in the container root.
    #[track_caller]
    pub(super) fn at(data: &'static str, more: impl FnOnce(&Sandbox)) -> World {
        let sandbox = Sandbox::new();
        let top = sandbox.home().parent().unwrap().to_path_buf();
        fs::set_permissions(&top, fs::Permissions::from_mode(0o755)).unwrap();
        for (name, path) in programs() {
            let target = top.join(name);
            if fs::hard_link(path, &target).is_err() {
                copy_program(path, &target);
            }
        }
        sandbox.write(format!("{data}/wiki/.resticignore"), "*.log\n/cache/\n");
        sandbox.write(format!("{data}/wiki/pages/start.txt"), "welcome");
        sandbox.write(format!("{data}/wiki/pages/größe \u{1b}[31m"), "name");
        sandbox.write(format!("{data}/wiki/access.log"), "left out");
        sandbox.write(format!("{data}/wiki/cache/x"), "left out");
        sandbox.write(format!("{data}/photos/large.raw"), noise(700_000));
        sandbox.write("containers/wiki/compose.yaml", "services: {}\n");
        sandbox.script(format!("{data}/wiki/prepare-backup.sh"), "#!/bin/sh\n# dump: db.json kind=json\n");
        sandbox.write(format!("{data}/wiki/db.json"), "[]");
        more(&sandbox);
        let home = sandbox.home();
        let settings = format!("BACKUP_MOUNT={0}\nDATA_ROOT={0}/{data}\n", home.display());
        sandbox.write("containers/backrest/.env", settings);
        let repository = top.join("server");
        fs::create_dir(&repository).unwrap();
        let roots = ["data", "containers"].map(|root| sandbox.path(root));
        let roots: Vec<&Path> = roots
            .iter()
            .map(PathBuf::as_path)
            .filter(|root| root.ends_with("containers") || data == "data")
            .collect();
        let hooks = json!([{ "conditions": ["CONDITION_SNAPSHOT_START"], "onError": "ON_ERROR_CANCEL",
                             "actionCommand": { "command": "#!/bridge/backrest-send\npre-backups\n" } }]);
        let server = Server::start(&newest_restic(), &repository, &roots, &hooks);
        server.init();
        let world = World { sandbox, server, data };
        world.own();
        world.tool_of("build-ignore", &[]).expect_success();
        std::thread::sleep(OLD_ENOUGH);
        world
    }

    /// Makes the user who runs the tool the owner of the home.
    #[track_caller]
    pub(super) fn own(&self) {
        if nix::unistd::geteuid().is_root() {
            let top = self.sandbox.home().parent().unwrap().to_path_buf();
            let owner = format!("{OTHER_USER}:{OTHER_USER}");
            let changed = Command::new("chown")
                .args(["-hR", &owner])
                .arg(top.join("home"))
                .arg(top.join("tmp"))
                .status();
            assert!(changed.unwrap().success());
        }
    }

    pub(super) fn flag(&self) -> String {
        format!("--exclude-file={}", self.sandbox.path("containers/backrest/ignorefile.txt").display())
    }

    /// A backup with the ignore file and a new dump.
    #[track_caller]
    pub(super) fn back_up(&self) {
        self.back_up_with(&[]);
    }

    #[track_caller]
    pub(super) fn back_up_with(&self, flags: &[&str]) {
        let flag = self.flag();
        let flags: Vec<&str> = std::iter::once(flag.as_str()).chain(flags.iter().copied()).collect();
        self.server.back_up(&flags, || self.dump());
    }

    #[track_caller]
    pub(super) fn dump(&self) {
        self.sandbox.write(
            format!("{}/wiki/db.json", self.data),
            json!({ "pages": "x".repeat(200_000) }).to_string(),
        );
    }

    #[track_caller]
    pub(super) fn as_user(&self, name: &str) -> Command {
        self.as_user_run(self.sandbox.home().with_file_name(name))
    }

    pub(super) fn as_user_run(&self, program: impl AsRef<Path>) -> Command {
        let program = program.as_ref();
        if !nix::unistd::geteuid().is_root() {
            return self.sandbox.command(program);
        }
        let mut command = self.sandbox.command("setpriv");
        let id = OTHER_USER.to_string();
        command.args([
            "--reuid",
            &id,
            "--regid",
            &id,
            "--clear-groups",
            "--inh-caps=-all",
            "--bounding-set=-all",
        ]);
        command.arg(program);
        command
    }

    #[must_use]
    #[track_caller]
    pub(super) fn tool_of(&self, name: &str, arguments: &[&str]) -> Ran {
        self.sandbox.run(self.as_user(name).args(arguments))
    }

    #[track_caller]
    pub(super) fn verify_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.as_user("create-backrest-pipe");
        command.args(["verify", "--plan", "nightly", "--wait", "0s", "--backrest", &self.server.address]);
        command.args(arguments);
        command
    }

    #[must_use]
    #[track_caller]
    pub(super) fn verify(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(&mut self.verify_command(arguments))
    }

    /// Verifies with `--json` and returns what was found; the exit code has to fit.
    #[track_caller]
    pub(super) fn found(&self) -> Verification {
        self.found_in_sample(3)
    }

    #[track_caller]
    pub(super) fn found_in_sample(&self, count: u32) -> Verification {
        let ran = self.verify(&["--json", "--sample", &count.to_string()]);
        let found: Verification = match serde_json::from_str(&ran.stdout) {
            Ok(found) => found,
            Err(error) => panic!("{error}\n{}", ran.everything()),
        };
        ran.expect_code(i32::from(found.outcome != Outcome::Proved));
        self.expect_nothing_left();
        let kept = Verification::load(&self.sandbox.path("containers/backrest/state/verification.json"));
        assert_eq!(kept.unwrap().as_ref(), Some(&found));
        found
    }

    #[track_caller]
    pub(super) fn expect_nothing_left(&self) {
        let temporary = self.sandbox.home().with_file_name("tmp");
        let left: Vec<_> =
            fs::read_dir(temporary).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The tools, built once for all tests.
#[track_caller]
fn programs() -> &'static [(&'static str, PathBuf)] {
    static BUILT: OnceLock<Vec<(&str, PathBuf)>> = OnceLock::new();
    BUILT.get_or_init(|| {
        vec![
            ("create-backrest-pipe", PathBuf::from(env!("CARGO_BIN_EXE_create-backrest-pipe"))),
            ("build-ignore", built("build-ignore", "build-ignore")),
            ("pre-backup-actions", built("pre-backup-actions", "pre-backup-actions")),
            ("pipe-listener", built("pipe-listener", "pipe-listener")),
            ("backrest-push", built("backrest-push", "backrest-push")),
            ("backrest-send", client().to_path_buf()),
        ]
    })
}

/// Bytes that don't compress, the same each time.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}
