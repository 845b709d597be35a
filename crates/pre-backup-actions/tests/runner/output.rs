//! Standard output that can't be written: every mode finishes its work and none panics.

use common::testing::Unwritable;

use crate::scripts::Home;

/// Each mode in turn, and the scripts that it runs of each service. (`--after --if-due` prints nothing if nothing is due.)
const MODES: &[(&[&str], &[&str])] = &[
    (&["--dry-run"], &[]),
    (&["--dry-run", "--json"], &[]),
    (&["--list"], &[]),
    (&["--list", "--json"], &[]),
    (&["--jobs", "1"], &["prepare"]),
    (&["--journal"], &[]),
    (&["--journal", "--json"], &[]),
    (&["--after", "--dry-run"], &[]),
    (&["--after"], &["after"]),
    (&["--after"], &[]),
    (&["--json"], &["prepare"]),
    (&["--after", "--json"], &["after"]),
    (&["--after-deadline", "1ms"], &["prepare"]),
    (&["--after", "--if-due"], &["after"]),
    (&["--after", "--all"], &["after"]),
    (&["--history"], &[]),
    (&["--history", "app"], &[]),
    (&["--history", "--json"], &[]),
    (&["--prove", "data/app", "--only", "app"], &[]),
    (&["--prove", "data/app", "--only", "app", "--json"], &[]),
];

#[test]
fn every_mode_finishes_its_work_and_reports_a_full_disk_alone() {
    for output in Unwritable::ALL {
        let home = Home::new();
        for service in ["app", "wiki"] {
            home.prepare(
                service,
                "# dump: db.sql kind=any\necho dumping; echo x >db.sql; echo prepare >>~/ran",
            );
            home.after(service, "echo starting; echo after >>~/ran");
        }
        let mut all = Vec::new();
        for (arguments, scripts) in MODES {
            let ran = home.sandbox.run_unwritable(&home.command(arguments), output, 0);
            all.extend(scripts.iter().flat_map(|script| [*script; 2]));
            assert_eq!(home.lines("ran"), all, "{}", ran.everything());
            if let Some(last) = scripts.last() {
                assert_eq!(home.journal().exists(), *last == "prepare", "{}", ran.everything());
            }
        }
        assert_eq!(home.lines("data/wiki/db.sql"), ["x"]);
    }
}

#[test]
fn a_failure_keeps_its_exit_code() {
    let home = Home::new();
    home.prepare("app", "exit 3");
    for output in Unwritable::ALL {
        let ran = home.sandbox.run_unwritable(&home.command(&[]), output, 1);
        assert!(home.trouble().preparations[""].is_failure, "{}", ran.everything());
    }
}
