//! Standard output that can't be written: a full disk and a reader that went away. Every subcommand finishes its work,
//! and none panics. `verify` has its test in [`crate::verify`].

use common::testing::{Sandbox, Unwritable, built};
use serde_json::json;

use crate::backrest::Server;
use crate::home::Home;

#[test]
fn every_command_finishes_its_work_and_reports_a_full_disk_alone() {
    for output in Unwritable::ALL {
        let (home, server) = (Home::new(), Server::start());
        home.install("build-ignore", &built("build-ignore", "build-ignore"));
        let apply = ["hooks", "--apply", server.address.as_str(), "--plan", "nightly", "--yes"];
        // `status` finds something wrong in this home, and its exit code shows it no matter who reads.
        let cases: [(&[&str], i32); 16] = [
            (&["init", "--dry-run"], 0),
            (&["init", "--yes"], 0),
            (&["--dry-run"], 0),
            (&[], 0),
            (&["status"], 1),
            (&["status", "--json"], 1),
            (&["status", "--backrest", &server.address], 1),
            (&["hooks"], 0),
            (&[&apply[..], &["--dry-run"]].concat(), 0),
            (&apply, 0),
            (&[&apply[..], &["--remove"]].concat(), 0),
            (&apply, 0),
            (&["log"], 0),
            (&["log", "--lines", "1"], 0),
            (&["remove", "--dry-run"], 0),
            (&["remove"], 0),
        ];
        for (arguments, code) in cases {
            let ran = home.sandbox.run_unwritable(&home.tool(arguments), output, code);
            let is_applied = server.config()["plans"][0]["backup_flags"] != json!(["--exclude-caches"]);
            let is_done = match arguments {
                ["init", "--yes"] => home.backrest("compose.yaml").exists(),
                [] => home.listener().is_some() && crate::set_up::listener_lines(&home).len() == 1,
                ["hooks", .., "--dry-run" | "--remove"] => !is_applied,
                ["hooks", "--apply", ..] => is_applied,
                ["remove"] => !home.backrest("bridge").exists() && home.listener().is_none(),
                _ => true,
            };
            assert!(is_done, "{arguments:?}: {}", ran.everything());
        }
    }
}

#[test]
fn help_and_version_of_every_tool_fail_on_a_full_disk() {
    let sandbox = Sandbox::new();
    let tools = [
        "backrest-push",
        "build-ignore",
        "create-backrest-pipe",
        "new-container",
        "pipe-listener",
        "pre-backup-actions",
        "ssh-key-setup",
    ];
    for name in tools {
        let tool = built(name, name);
        for argument in ["--help", "--version"] {
            let mut command = sandbox.command(&tool);
            command.arg(argument);
            let ran = sandbox.run_unwritable(&command, Unwritable::FullDisk, 0);
            let why = format!("{name}: write to standard output: No space left on device (os error 28)\n");
            assert_eq!(ran.stderr, why, "{}", ran.everything());
            assert_eq!(sandbox.run_unwritable(&command, Unwritable::ClosedPipe, 0).stderr, "");
            let whole = sandbox.run(&mut command).expect_success();
            assert!(!whole.stdout.contains('\u{1b}') && whole.stdout.ends_with('\n'), "{}", whole.stdout);
        }
    }
}
