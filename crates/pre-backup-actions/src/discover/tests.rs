//! Real files that are scripts, and what else may be in a script's place.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        let home = tempfile::tempdir().unwrap();
        for folder in ["data/app", "containers/app"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        Home(home)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    #[track_caller]
    fn script(&self, path: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.path(path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn look(&self) -> Look {
        look::at(
            PREPARE,
            &(self.path("data/app"), self.path("containers/app")),
            &Checks::new(&Trust::only_us_and_root()),
        )
    }

    #[track_caller]
    fn fitness(&self) -> Fitness {
        self.look().into_script().unwrap().fitness
    }
}

fn fitness_of(content: &[u8], mode: u32) -> Fitness {
    let home = Home::new();
    home.script("data/app/prepare-backup.sh", content, mode);
    home.fitness()
}

#[test]
fn a_script_that_can_be_run_is_not_refused() {
    for (content, mode) in [(&b"#!/bin/sh\n"[..], 0o755), (b"#! /bin/sh -e\n", 0o700), (b"\x7fELF", 0o775)] {
        assert_eq!(fitness_of(content, mode), Fitness::Runs { by_shell: false });
    }
    for content in [&b"echo hello\n"[..], b""] {
        assert_eq!(fitness_of(content, 0o755), Fitness::Runs { by_shell: true });
    }
}

#[test]
fn each_unfit_script_is_refused_with_its_reason() {
    for (content, mode, expected) in [
        (&b"#!/bin/sh\n"[..], 0o757, "can be written by every user"),
        (b"#!/bin/sh\r\necho\r\n", 0o755, "has lines that end in CR LF, as Windows writes them"),
        (b"echo\r\n", 0o755, "has lines that end in CR LF, as Windows writes them"),
        (b"\x00\x01", 0o755, "is neither a script nor a program of this machine"),
        (b"#!/no/such/shell\n", 0o755, "names a program that isn't there in its #! line: /no/such/shell"),
        (b"#!\n", 0o755, "names a program that isn't there in its #! line: "),
    ] {
        match fitness_of(content, mode) {
            Fitness::Refused(refusal) => assert_eq!(refusal.what, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    match fitness_of(b"#!/bin/sh\n", 0o644) {
        Fitness::Skipped(refusal) => assert_eq!(refusal.what, "is not executable"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_a_file_is_refused_and_nothing_is_nothing() {
    let home = Home::new();
    let path = home.path("data/app/prepare-backup.sh");
    let what = || match home.fitness() {
        Fitness::Refused(refusal) => refusal.what,
        other => panic!("{other:?}"),
    };
    assert!(matches!(home.look(), Look::Nothing));
    fs::create_dir(&path).unwrap();
    assert_eq!(what(), "is a folder, not a script");
    fs::remove_dir(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(what(), "is not a regular file");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert!(what().starts_with("is a symlink that can't be followed"));
}

#[test]
fn a_script_may_lie_in_either_root_but_not_in_both() {
    let home = Home::new();
    let other = home.script("containers/app/prepare-backup.sh", b"#!/bin/sh\n", 0o755);
    let script = home.look().into_script().unwrap();
    assert_eq!((script.path.as_path(), script.folder), (other.as_path(), home.path("containers/app")));
    let data = home.path("data/app/prepare-backup.sh");
    fs::hard_link(&other, &data).unwrap();
    assert_eq!(home.look().into_script().unwrap().path, data, "the same file is one script");
    fs::remove_file(&data).unwrap();
    home.script("data/app/prepare-backup.sh", b"#!/bin/sh\n", 0o755);
    match home.fitness() {
        Fitness::Refused(refusal) => {
            assert_eq!(refusal.what, format!("exists twice: {} and {}", data.display(), other.display()));
        }
        other => panic!("{other:?}"),
    }
}
