//! Scripts that are there and can't, or must not, be run: reported with path and reason, the others run, exit code 1.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::scripts::{Home, last_line};
use crate::trust::Other;

/// As the Bash scripts did it, but not silently. An after script is another matter: without it a service stays stopped.
#[test]
fn a_script_that_can_not_be_executed_is_skipped_with_a_warning() {
    let home = Home::new();
    home.prepare("good", "touch ran");
    let script = home.sandbox.write("data/bad/prepare-backup.sh", "#!/bin/sh\ntouch ran\n");
    let ran = home.run(&[]).expect_success();
    assert!(home.exists("data/good/ran") && !home.exists("data/bad/ran"));
    let expected = "1 ok, 1 with a warning: bad (prepare-backup.sh is not executable, so it was skipped)";
    assert_eq!(last_line(&ran.stdout), expected);
    let hint = format!("  hint: chmod +x '{}'\n", script.display());
    assert!(ran.stdout.contains(&hint), "{}", ran.everything());
    assert_eq!(home.trouble().preparations[""].summary, expected, "it is pushed with each backup");
    let list = home.run(&["--list"]).expect_success();
    assert!(
        list.stdout.starts_with(&format!("bad: prepare-backup.sh is not executable\n{hint}")),
        "{}",
        list.everything()
    );

    let script = home.after("good", "true");
    fs::set_permissions(&script, Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(home.sandbox.path("data/good/ran")).unwrap();
    let ran = home.run(&[]).expect_code(1);
    assert!(
        last_line(&ran.stdout).contains("1 failed: good (after-backup.sh is not executable)"),
        "{}",
        ran.everything()
    );
    assert!(!home.exists("data/good/ran"), "nothing is stopped that could not be started again");
}

#[test]
fn every_kind_of_unusable_script_is_named() {
    let home = Home::new();
    home.sandbox.script("data/bare/prepare-backup.sh", "touch ran\n");
    home.sandbox.script("data/windows/prepare-backup.sh", "#!/bin/sh\r\ntouch ran\r\n");
    home.sandbox.script("data/windows-bare/prepare-backup.sh", "touch ran\r\n");
    home.sandbox.script("data/binary/prepare-backup.sh", b"\x00\x01");
    home.sandbox.script("data/shell/prepare-backup.sh", "#!/no/such/shell\n");
    home.sandbox.script("data/shell-less/prepare-backup.sh", "#!\n");
    fs::create_dir_all(home.sandbox.path("data/folder/prepare-backup.sh")).unwrap();
    fs::create_dir(home.sandbox.path("data/dangling")).unwrap();
    symlink("nowhere", home.sandbox.path("data/dangling/prepare-backup.sh")).unwrap();
    let open = home.prepare("open", "touch ran");
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let ran = home.run(&["--json"]).expect_code(1);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let reasons: Vec<_> =
        value["services"].as_array().unwrap().iter().map(|s| s["why"].as_str().unwrap()).collect();
    assert_eq!(
        reasons,
        [
            "prepare-backup.sh has no #! line, so /bin/sh runs it",
            "prepare-backup.sh is neither a script nor a program of this machine",
            "prepare-backup.sh is a symlink that can't be followed: No such file or directory (os error 2)",
            "prepare-backup.sh is a folder, not a script",
            "prepare-backup.sh can be written by every user",
            "prepare-backup.sh names a program that isn't there in its #! line: /no/such/shell",
            "prepare-backup.sh names a program that isn't there in its #! line: ",
            "prepare-backup.sh has lines that end in CR LF, as Windows writes them",
            "prepare-backup.sh has lines that end in CR LF, as Windows writes them",
        ]
    );
    assert!(value["services"].as_array().unwrap().iter().all(|s| {
        ["bare", "binary", "dangling", "shell", "shell-less"].contains(&s["service"].as_str().unwrap())
            || s["hint"].is_string()
    }));
    assert!(home.exists("data/bare/ran"), "as Bash runs it");
}

#[test]
fn what_can_be_started_as_it_is_runs_without_a_word() {
    let home = Home::new();
    home.sandbox.script("data/options/prepare-backup.sh", "#! /bin/sh -e\ntouch ran\nfalse\n");
    home.sandbox.script("data/nothing/prepare-backup.sh", "");
    home.sandbox.script("data/program/prepare-backup.sh", fs::read("/bin/true").unwrap());
    let private = home.prepare("private", "touch ran");
    fs::set_permissions(&private, Permissions::from_mode(0o700)).unwrap();
    let ran = home.run(&[]).expect_code(1);
    assert_eq!(
        last_line(&ran.stdout),
        "2 ok, 1 failed: options (exit code 1), 1 with a warning: nothing (prepare-backup.sh has no #! line, so /bin/sh runs it)"
    );
    assert!(home.exists("data/options/ran") && home.exists("data/private/ran"));
}

#[test]
fn a_declaration_that_can_not_be_read_fails_its_service() {
    let home = Home::new();
    home.prepare("a", "# weight: huge\ntouch ran");
    let ran = home.run(&[]).expect_code(1);
    let expected = "0 ok, 1 failed: a (prepare-backup.sh line 2: weight: expected heavy or normal, not huge)";
    assert_eq!(last_line(&ran.stdout), expected);
    let list = home.run(&["--list"]).expect_code(1);
    assert!(list.stdout.contains("line 2: weight: expected heavy"), "{}", list.everything());
    let dry = home.run(&["--dry-run"]).expect_success();
    assert!(dry.stdout.contains("/a/prepare-backup.sh, and fail: line 2: weight: "), "{}", dry.everything());
}

/// On Debian /usr/local belongs to a group of administrators, who may write there.
#[test]
fn a_missing_program_in_a_groups_folder_is_refused() {
    let home = Other::new();
    let tools = home.0.sandbox.path("tools");
    fs::create_dir_all(&tools).unwrap();
    fs::copy("/bin/sh", tools.join("sh")).unwrap();
    symlink("nowhere", tools.join("dangling")).unwrap();
    home.give("tools", "0");
    assert!(Command::new("chgrp").arg("4002").arg(&tools).status().unwrap().success());
    home.mode("tools", 0o2775);
    for program in ["gone", "dangling", "below/gone", "sh"] {
        let program = tools.join(program);
        let text = |ran: &str| format!("#!{}\ntouch \"$HOME/{ran}\"\n", program.display());
        home.0.sandbox.script("data/app/prepare-backup.sh", format!("#!/bin/sh\n{}", text("stopped")));
        home.0.sandbox.script("data/app/after-backup.sh", text("started"));
        home.give("data/app", "4001");
        if program.exists() {
            home.run(&[]).expect_success();
            break;
        }
        let ran = home.run(&[]).expect_code(1);
        let why =
            format!("after-backup.sh names a program that isn't there in its #! line: {}", program.display());
        assert_eq!(last_line(&ran.stdout), format!("0 ok, 1 failed: app ({why})"));
        assert!(!home.0.exists("stopped"), "its after script could not start it again");
    }
    assert!(home.0.exists("stopped"));
}
