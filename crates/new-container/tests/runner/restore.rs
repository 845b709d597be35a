//! `docs/restore.md`: its commands for a file, a service and the whole host, with a backup by real restic. Backrest's
//! part is done by restic as Backrest calls it: the folder above as the snapshot's top, and the name alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use common::testing::{Sandbox, newest_restic};

const PAGE: &str = include_str!("../../../../docs/restore.md");
const NOTES: &str = "data/wiki/data/notes.md";

/// The blocks of commands below a heading of the page.
#[track_caller]
fn blocks(heading: &str) -> Vec<&'static str> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).expect("the page has this section");
    let section = section.split("\n## ").next().unwrap_or_default();
    section.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// A home that was backed up as `/userdata`.
struct Restored {
    sandbox: Sandbox,
}

impl Restored {
    #[track_caller]
    fn new() -> Restored {
        let sandbox = Sandbox::new();
        for path in [NOTES, "data/wiki/uploads/1.jpg", "containers/wiki/compose.yaml"] {
            sandbox.write(path, format!("this is {path}"));
        }
        fs::set_permissions(sandbox.path(NOTES), fs::Permissions::from_mode(0o640)).unwrap();
        chown(sandbox.path("data/wiki/uploads/1.jpg"), Some(999), Some(999)).unwrap();
        sandbox.script("bin/docker", "#!/bin/sh\necho \"$PWD $*\" >> \"$HOME/docker.log\"\n");
        sandbox.script("bin/create-backrest-pipe", "#!/bin/sh\n");
        sandbox
            .script("bin/sudo", "#!/bin/sh\nif [ \"$1\" = --preserve-env ]; then shift; fi\nexec \"$@\"\n");
        std::os::unix::fs::symlink(newest_restic(), sandbox.path("bin/restic")).unwrap();
        sandbox.write("password", "for a test");
        let restored = Restored { sandbox };
        restored.types(
            "mkdir userdata && cp --archive data containers userdata
             export RESTIC_REPOSITORY=~/backups/home RESTIC_PASSWORD_FILE=~/password
             restic init --quiet && restic backup --quiet userdata && rm -r userdata",
        );
        restored
    }

    #[track_caller]
    fn types(&self, commands: &str) {
        let mut shell = self.sandbox.command("bash");
        shell.args(["-euc", commands]);
        shell.env("PATH", format!("{}:/usr/bin:/bin", self.sandbox.path("bin").display()));
        self.sandbox.run(&mut shell).expect_success();
    }

    /// What *Restore to path* in Backrest does.
    #[track_caller]
    fn backrest_restores(&self, path: &str, target: &str) {
        let (above, name) = path.rsplit_once('/').expect("an absolute path");
        self.types(&format!(
            "export RESTIC_REPOSITORY=~/backups/home RESTIC_PASSWORD_FILE=~/password
             restic restore --quiet 'latest:{above}' --include '/{name}' --target ~/data/backrest{target}"
        ));
    }

    /// Every file is as it was, in content, mode and owner.
    #[track_caller]
    fn is_as_it_was(&self) {
        for (path, mode, owner) in [
            (NOTES, 0o640, 0),
            ("data/wiki/uploads/1.jpg", 0o644, 999),
            ("containers/wiki/compose.yaml", 0o644, 0),
        ] {
            assert_eq!(self.sandbox.read(path), format!("this is {path}"));
            let metadata = fs::metadata(self.sandbox.path(path)).unwrap();
            assert_eq!((metadata.mode() & 0o777, metadata.uid()), (mode, owner), "{path}");
        }
    }
}

#[test]
fn a_file_and_a_service_come_back_as_they_were() {
    let restored = Restored::new();
    let [file] = blocks("A file")[..] else { panic!("one block") };
    restored.sandbox.write(NOTES, "damaged");
    restored.backrest_restores("/userdata/data/wiki/data/notes.md", "/tmp/restore-1");
    restored.types(file);
    restored.is_as_it_was();

    restored
        .types("rm -r data/backrest/tmp data/wiki/uploads && echo damaged > containers/wiki/compose.yaml");
    restored.backrest_restores("/userdata/data/wiki", "/tmp/restore-1");
    restored.backrest_restores("/userdata/containers/wiki", "/tmp/restore-2");
    let [service] = blocks("A service")[..] else { panic!("one block") };
    restored.types(service);
    restored.is_as_it_was();
    let home = restored.sandbox.home().display().to_string();
    let expected = format!(
        "{home} compose --project-directory {home}/containers/wiki down\n{home}/containers/wiki compose up -d database\n\
         {home}/containers/wiki compose up -d\n"
    );
    assert_eq!(restored.sandbox.read("docker.log"), expected);
    assert!(restored.sandbox.path("containers/wiki.old/compose.yaml").is_file());
}

#[test]
fn the_whole_host_comes_back_on_new_hardware() {
    let restored = Restored::new();
    restored.types("rm -r data containers");
    let blocks = blocks("The whole host, on new hardware");
    restored.types(&format!(
        "mkdir -p userdata\n{}",
        blocks.join("\n").replace(
            "cd ~/containers/backrest",
            "mkdir -p ~/containers/backrest && cd ~/containers/backrest"
        )
    ));
    restored.is_as_it_was();
}

/// The targets that the page names are where compose.yaml mounts a folder that can be written to.
#[test]
fn each_target_is_mounted_for_writing() {
    let compose = include_str!("../../../../compose.yaml");
    let rows: Vec<_> = PAGE.lines().filter(|line| line.starts_with("| `/")).collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in rows {
        let cells: Vec<_> = row.split('`').collect();
        let (target, folder) = (Path::new(cells[1]), Path::new(cells[3]));
        let mounted = target.parent().unwrap().display();
        let source = folder.parent().unwrap().display().to_string();
        let [inside, outside] =
            [format!("${{DATA_DIR}}{mounted}:{mounted}\n"), format!(":-{source}}}:{mounted}\n")];
        assert!(compose.contains(&inside) || compose.contains(&outside), "{row}");
        assert_eq!(target.file_name(), folder.file_name());
    }
}
