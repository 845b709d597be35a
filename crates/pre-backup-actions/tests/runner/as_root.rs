//! What a run with sudo leaves in the tools' own folders, and the command that makes it the user's again. These tests need
//! root, to give files away.

use std::os::unix::fs::chown;
use std::process::Command;

use crate::trust::{Other, USER};

/// After a run with sudo, the command of the hint is enough: state and logs are the tools' alone.
#[test]
fn what_a_run_as_root_left_comes_back_by_the_command_of_the_hint() {
    let folders = ["containers/backrest", "containers/backrest/state", "containers/backrest/state/actions"];
    for given in 0..=folders.len() {
        let home = Other::new();
        home.prepare("app", "#!/bin/sh\necho done\n");
        home.run(&[]).expect_success();
        assert!(
            home.0.exists("containers/backrest/state/actions/lock")
                && home.0.exists("containers/backrest/logs")
        );
        home.give("containers/backrest", "0");
        // What an earlier command for the folder alone has given back.
        let path = |folder| home.0.sandbox.path(folder);
        folders[..given].iter().for_each(|folder| chown(path(folder), Some(4001), Some(4001)).unwrap());
        let ran = home.run(&[]).expect_code(1);
        let hint = ran.stderr.lines().find_map(|line| line.strip_prefix("hint: "));
        let command = hint.and_then(|hint| Some(&hint[hint.find("sudo chown ")?..]));
        assert!(command.is_some(), "{given}: no command in {}", ran.everything());
        let command = command.unwrap_or_default().replace("sudo ", "").replace("$USER", USER);
        for part in command.split(" && ") {
            let is_of_all = part.ends_with("/backrest");
            assert_ne!(is_of_all, part.contains(" -R "), "{given}: {command}");
        }
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
        home.run(&[]).expect_success();
    }
}

#[test]
fn a_log_a_history_or_a_journal_of_root_gets_the_command_that_helps() {
    let home = Other::new();
    home.prepare("app", "#!/bin/sh\necho done\n");
    home.0.after("app", "#!/bin/sh\ntrue\n");
    home.give("data/app", USER);
    for (file, folder) in [
        ("logs/actions/app.log", "logs"),
        ("state/actions/history/app.jsonl", "state"),
        ("state/actions/journal", "state"),
    ] {
        let ran = home.run(&[]).expect_success();
        assert!(!ran.stderr.contains("hint: "), "{}", ran.everything());
        home.give(&format!("containers/backrest/{file}"), "0");
        let path = home.0.sandbox.path(format!("containers/backrest/{folder}"));
        let ran = home.run(&[]).expect_success();
        let hint = format!("\nhint: sudo chown -R $USER {}\n", path.display());
        assert!(ran.stderr.contains(&hint), "{file}: {}", ran.everything());
        home.give("containers/backrest", USER);
    }
}
