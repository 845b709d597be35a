//! Standard output that can't be written: a full disk and a reader that went away. Every subcommand finishes its work,
//! and none panics.

use std::process::Command;

use common::testing::{Ran, Sandbox, built};
use serde_json::json;

use crate::backrest::Server;
use crate::home::Home;

/// Standard output of the tool, as a shell line that runs it.
pub(crate) const FULL: &str = r#"exec "$0" "$@" > /dev/full"#;
/// The reader is gone before the first byte is written.
pub(crate) const CLOSED: &str = r#"exec 3> >(:); wait $!; exec "$0" "$@" >&3 3>&-"#;

#[must_use]
#[track_caller]
fn redirected(home: &Home, arguments: &[&str], script: &str) -> Ran {
    let tool = home.sandbox.path(".local/bin/create-backrest-pipe");
    let mut command: Command = home.with_crontabs("bash");
    command.args(["-c", script]).arg(tool).args(arguments);
    let ran = home.sandbox.run(&mut command);
    assert!(!ran.stderr.contains("panicked"), "{arguments:?}: {}", ran.everything());
    ran
}

#[test]
fn a_full_disk_is_one_line_and_exit_code_1_after_the_work_is_finished() {
    let (home, server) = (Home::new(), Server::start());
    home.install("build-ignore", &built("build-ignore", "build-ignore"));
    let apply = ["hooks", "--apply", server.address.as_str(), "--plan", "nightly", "--yes"];
    let cases: [&[&str]; 12] = [
        &["--help"],
        &["init", "--dry-run"],
        &["init", "--yes"],
        &["--dry-run"],
        &[],
        &["status"],
        &["status", "--json"],
        &["hooks"],
        &[&apply[..], &["--dry-run"]].concat(),
        &apply,
        &["log"],
        &["remove"],
    ];
    for arguments in cases {
        let ran = redirected(&home, arguments, FULL).expect_code(1);
        let why = "create-backrest-pipe: write to standard output: No space left on device (os error 28)";
        assert_eq!(ran.stderr.matches(why).count(), 1, "{arguments:?}: {}", ran.everything());
        if arguments == ["init", "--yes"] {
            assert!(home.backrest("compose.yaml").exists(), "init went on to its end");
        }
        if arguments.is_empty() {
            assert!(home.listener().is_some(), "the set-up went on to its end");
            assert_eq!(crate::set_up::listener_lines(&home).len(), 1);
        }
    }
    assert!(!home.backrest("bridge").exists() && home.listener().is_none(), "the removal went on to its end");
    assert_ne!(server.config()["plans"][0]["backup_flags"], json!(["--exclude-caches"]));
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let (home, server) = (Home::new(), Server::start());
    home.install("build-ignore", &built("build-ignore", "build-ignore"));
    let apply = ["hooks", "--apply", server.address.as_str(), "--plan", "nightly", "--yes"];
    // `status` finds something wrong in this home, and its exit code shows it no matter who reads.
    let cases: [(&[&str], i32); 10] = [
        (&["--help"], 0),
        (&["init", "--dry-run"], 0),
        (&["init", "--yes"], 0),
        (&["--dry-run"], 0),
        (&[], 0),
        (&["status"], 1),
        (&["hooks"], 0),
        (&apply, 0),
        (&["log"], 0),
        (&["remove"], 0),
    ];
    for (arguments, code) in cases {
        let ran = redirected(&home, arguments, CLOSED).expect_code(code);
        assert!(!ran.stderr.contains("write to standard output"), "{arguments:?}: {}", ran.everything());
    }
    assert!(!home.backrest("bridge").exists() && home.listener().is_none());
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
            let run = |script: &str| {
                let mut command = sandbox.command("bash");
                command.args(["-c", script]).arg(&tool).arg(argument);
                sandbox.run(&mut command)
            };
            let ran = run(FULL).expect_code(1);
            let why = format!("{name}: write to standard output: No space left on device (os error 28)\n");
            assert_eq!(ran.stderr, why, "{}", ran.everything());
            assert_eq!(run(CLOSED).expect_success().stderr, "");
            let whole = sandbox.run(sandbox.command(&tool).arg(argument)).expect_success();
            assert!(!whole.stdout.contains('\u{1b}') && whole.stdout.ends_with('\n'), "{}", whole.stdout);
        }
    }
}
