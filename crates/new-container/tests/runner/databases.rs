//! The very scripts that are written, run by `pre-backup-actions` against real servers: what is dumped is restored
//! and compared row by row, and everything that can go wrong with a dump stops the backup.
//!
//! The servers are Debian's, each with a folder of its own. `docker` on the path runs the command
//! in question here, in an environment like the container's.

mod mariadb;
mod mongo;
mod postgres;
mod redis;
mod server;
mod sqlite;

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use common::testing::{Ran, Sandbox, built};

use crate::make::tool;

/// A service named `app` with a database, and what its scripts see.
struct Service {
    sandbox: Sandbox,
}

impl Service {
    /// What `new-container app --database KIND` makes.
    #[track_caller]
    fn new(kind: &str) -> Service {
        let sandbox = Sandbox::new();
        sandbox.run(&mut tool(&sandbox, &["app", "--database", kind])).expect_success();
        // docker compose [--project-directory DIR] exec -T database COMMAND…; `stop` and `start` run on-stop and on-start
        let docker = "#!/bin/sh\n[ \"$1\" = compose ] || exit 64\nshift\n[ \"$1\" != version ] || exit 0\n\
             if [ \"$1\" = --project-directory ]; then shift 2; fi\n\
             case $1 in stop | start) exec \"on-$1\" ;; esac\n\
             [ \"$1 $2 $3\" = 'exec -T database' ] || exit 64\n\
             shift 3\n. \"$HOME/container-environment\"\nexec \"$@\"\n";
        sandbox.script("bin/docker", docker);
        sandbox.script("bin/sudo", "#!/bin/sh\nexec \"$@\"\n");
        Service { sandbox }
    }

    /// Replaces the script by the one that `--adopt` writes for the same compose file.
    #[track_caller]
    fn adopt(&self) {
        for file in ["prepare-backup.sh", ".resticignore"] {
            std::fs::remove_file(self.path(file)).expect("remove a file");
        }
        let arguments = ["app", "--adopt", "--yes"];
        self.sandbox.run(&mut tool(&self.sandbox, &arguments)).expect_success();
    }

    /// The variables of the container.
    #[track_caller]
    fn container(&self, variables: &[(&str, &str)]) {
        let lines: Vec<_> =
            variables.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
        self.sandbox.write("container-environment", lines.concat());
    }

    /// A value of its `.env`.
    #[track_caller]
    fn env(&self, name: &str) -> String {
        let text = self.sandbox.read("containers/app/.env");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("{name} is not in {text}")).to_string()
    }

    /// Runs the prepare step.
    #[track_caller]
    #[must_use]
    fn prepare(&self, arguments: &[&str]) -> Ran {
        let mut command = self.sandbox.command(actions());
        command.args(arguments).env("PATH", format!("{}:/usr/bin:/bin", self.sandbox.path("bin").display()));
        self.sandbox.run(&mut command)
    }

    /// Restores as `docs/restore.md` shows: its first block of commands that holds `part`, in the service's data folder.
    #[track_caller]
    fn restore(&self, part: &str) {
        let docs = include_str!("../../../../docs/restore.md");
        let (_, docs) = docs.split_once("## A database\n").expect("the page has this section");
        let mut blocks = docs.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
        let block = blocks.find(|block| block.contains(part)).expect("the docs show how to restore");
        let block = &block.replace("wiki", "app");
        let mut command = self.sandbox.command("bash");
        command.args(["-euo", "pipefail", "-c", block]);
        command.env("PATH", format!("{}:/usr/bin:/bin", self.sandbox.path("bin").display()));
        self.sandbox.run(command.current_dir(self.path(""))).expect_success();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(format!("data/app/{name}"))
    }

    /// The prepare step has to fail with this in its last line, and the dump stays as it was.
    #[track_caller]
    fn is_refused(&self, dump: &str, arguments: &[&str], why: &str) {
        let before = std::fs::read(self.path(dump)).expect("a good dump is there");
        let ran = self.prepare(arguments).expect_code(1);
        let last = ran.stdout.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("0 ok, 1 failed: app (") && last.contains(why),
            "{why}\n{}",
            ran.everything()
        );
        assert!(std::fs::read(self.path(dump)).expect("it is still there") == before, "{}", ran.everything());
    }

    /// The same with a program of the pipeline that ends or fails half way.
    #[track_caller]
    fn with_program(&self, name: &str, script: &str) {
        self.sandbox.script(format!("bin/{name}"), script);
    }

    #[track_caller]
    fn without_program(&self, name: &str) {
        std::fs::remove_file(self.sandbox.path(format!("bin/{name}"))).expect("take a program away");
    }

    /// On a disk that holds what is there and little more.
    #[track_caller]
    fn with_full_disk(&self, act: impl FnOnce()) {
        let data = self.path("");
        let kept = self.sandbox.path("kept");
        std::fs::create_dir(&kept).expect("a folder to keep things in");
        // Whole pages, some for the folders, and a little of the dump.
        let size = copy(&data, &kept) + (64 << 10);
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "none"])
            .arg(&data)
            .status()
            .expect("run mount");
        assert!(mounted.success(), "this test needs root, to mount a small file system");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            copy(&kept, &data);
            act();
        }));
        assert!(Command::new("umount").arg(&data).status().expect("run umount").success());
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}

/// As the client `docker` answers without its plugin: `compose version` with three lines, anything else with its help.
const WITHOUT_COMPOSE: &str = "#!/bin/sh
[ \"$*\" != 'compose version' ] || { echo 'docker: unknown command: docker compose' >&2; exit 1; }
case $1 in
ps) echo 'id app app app running'; exit ;;
compose) seq -f 'line %g of the help' 100 >&2; exit 125 ;;
esac
";

#[test]
fn without_the_compose_plugin_each_script_fails_with_one_line() {
    let why = "docker compose does not work: is the Compose plugin installed? See: docker compose version";
    for kind in ["postgres", "mariadb", "mysql", "mongo", "redis"] {
        let service = Service::new(kind);
        service.with_program("docker", WITHOUT_COMPOSE);
        for _ in ["as new-container writes it", "as --adopt does"] {
            let ran = service.prepare(&["--json"]).expect_code(1);
            let log = service.sandbox.read("containers/backrest/logs/actions/app.log");
            assert!(
                ran.stdout.contains("1 failed") || ran.stdout.contains("\"failed\""),
                "{}",
                ran.everything()
            );
            assert!(log.contains(why) && !log.contains("of the help"), "{kind}: {log}");
            std::fs::remove_file(service.sandbox.path("containers/backrest/logs/actions/app.log")).unwrap();
            service.adopt();
        }
    }
    let sandbox = Sandbox::new();
    sandbox.run(&mut tool(&sandbox, &["app", "--stop"])).expect_success();
    sandbox.script("bin/docker", WITHOUT_COMPOSE);
    let service = Service { sandbox };
    let ran = service.prepare(&[]).expect_code(1);
    assert!(ran.stdout.contains(why) && !ran.stdout.contains("of the help"), "{}", ran.everything());
    for note in [".stopped-for-backup", ".stopped-for-backup.part"] {
        assert!(!service.path(note).exists(), "nothing was stopped");
    }
    service.sandbox.write("data/app/.stopped-for-backup", "id app app app running\n");
    service.sandbox.script("bin/docker", WITHOUT_COMPOSE.replace("app running", "exited"));
    let ran = service.prepare(&["--after", "--all"]).expect_code(1);
    assert!(ran.stdout.contains(why) && !ran.stdout.contains("of the help"), "{}", ran.everything());
    assert!(service.path(".stopped-for-backup").exists(), "a later run has to start it");
}

/// The tool that runs the scripts, with the one beside it that it asks.
#[track_caller]
fn actions() -> &'static PathBuf {
    static ACTIONS: OnceLock<PathBuf> = OnceLock::new();
    ACTIONS.get_or_init(|| {
        built("build-ignore", "build-ignore");
        built("pre-backup-actions", "pre-backup-actions")
    })
}

/// Copies all that is in a folder; returns its size in whole pages.
#[track_caller]
fn copy(from: &std::path::Path, to: &std::path::Path) -> u64 {
    let mut size = 0;
    for entry in std::fs::read_dir(from).expect("list a folder").flatten() {
        if entry.path().is_dir() {
            let folder = to.join(entry.file_name());
            std::fs::create_dir(&folder).expect("make a folder");
            size += 4096 + copy(&entry.path(), &folder);
        } else if entry.path().is_file() {
            let length = std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copy a file");
            size += length.next_multiple_of(4096);
        }
    }
    size
}
