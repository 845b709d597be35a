//! Standard output that is full or has no reader never stops the work half-way.

use std::process::Command;

use common::testing::{Ran, Sandbox};

use crate::make::tool;

/// Runs `command` with its standard output redirected by the shell.
#[must_use]
#[track_caller]
fn redirected(sandbox: &Sandbox, command: &Command, to: &str) -> Ran {
    let mut shell = sandbox.command("bash");
    shell.arg("-c").arg(format!("exec \"$@\" {to}")).arg("bash");
    shell.arg(command.get_program()).args(command.get_args());
    sandbox.run(&mut shell)
}

/// The subcommands, each with whether it makes the service `app`.
const COMMANDS: &[(&[&str], bool)] = &[
    (&["app", "--database", "postgres"], true),
    (&["app", "--dry-run"], false),
    (&["--shell-init", "bash"], false),
    (&["--list-templates"], false),
    (&["shop", "--adopt", "--dry-run"], false),
];

/// A home with a service that can be adopted.
#[track_caller]
fn home() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("containers/shop/compose.yaml", "services: {db: {image: postgres}}\n");
    sandbox
}

#[test]
fn a_full_disk_behind_standard_output_is_reported_after_the_work() {
    for (arguments, makes) in COMMANDS {
        let sandbox = home();
        let ran = redirected(&sandbox, &tool(&sandbox, arguments), ">/dev/full").expect_code(1);
        let expected = "new-container: write to standard output: No space left on device (os error 28)\n";
        assert!(ran.stderr.ends_with(expected), "{}", ran.everything());
        assert_eq!(sandbox.path("data/app/prepare-backup.sh").is_file(), *makes, "{}", ran.everything());
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    for (arguments, makes) in COMMANDS {
        let sandbox = home();
        // The subshell's reader is gone before the tool starts.
        let ran = redirected(&sandbox, &tool(&sandbox, arguments), "> >(exec 0<&-; exit)").expect_success();
        assert!(!ran.stderr.contains("standard output"), "{}", ran.everything());
        assert_eq!(sandbox.path("data/app/prepare-backup.sh").is_file(), *makes, "{}", ran.everything());
    }
}
