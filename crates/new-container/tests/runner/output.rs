//! Standard output that is full or has no reader never stops the work half-way.

use common::testing::{Sandbox, Unwritable};

use crate::make::tool;

/// The subcommands, each with the service that gets a prepare-backup.sh.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["app", "--database", "postgres"], "app"),
    (&["app", "--dry-run"], ""),
    (&["--shell-init", "bash"], ""),
    (&["--list-templates"], ""),
    (&["shop", "--adopt", "--dry-run"], ""),
    (&["shop", "--adopt", "--yes"], "shop"),
];

/// A home with a service that can be adopted.
#[track_caller]
fn home() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("data/shop/db/file", "");
    sandbox.write("containers/shop/compose.yaml", "services: {db: {image: postgres}}\n");
    sandbox
}

#[test]
fn every_command_finishes_its_work_and_reports_a_full_disk_alone() {
    for output in Unwritable::ALL {
        for &(arguments, makes) in COMMANDS {
            let sandbox = home();
            let ran = sandbox.run_unwritable(&tool(&sandbox, arguments), output, 0);
            for service in ["app", "shop"] {
                let is_made = sandbox.path(format!("data/{service}/prepare-backup.sh")).is_file();
                assert_eq!(is_made, makes == service, "{}", ran.everything());
            }
        }
    }
}
