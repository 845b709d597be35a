//! Several plans and several Backrests: each preparation has a key, and what one backup needs no other takes away.

use std::fs;

use crate::scripts::{Home, last_line};

/// A service that notes down what was done with it.
#[track_caller]
fn service(home: &Home, name: &str) {
    home.sandbox.write(format!("data/{name}/up"), "");
    home.prepare(name, "rm up; echo prepared >>log");
    home.after(name, "touch up; echo back >>log");
}

fn log(home: &Home, name: &str) -> Vec<String> {
    home.lines(&format!("data/{name}/log"))
}

#[test]
fn a_service_held_by_two_backups_starts_when_the_last_one_ends() {
    let home = Home::new();
    service(&home, "wiki");
    service(&home, "photos");
    home.run(&["--key", "home/nightly"]).expect_success();
    let ran = home.run(&["--key", "nas/weekly", "--only", "wiki"]).expect_success();
    assert_eq!(log(&home, "wiki"), ["prepared"], "it is stopped already\n{}", ran.everything());
    assert!(ran.stdout.contains("  prepared already, for a backup that goes on\n"), "{}", ran.everything());
    let json = home.run(&["--journal", "--json"]).expect_success();
    let journal: common::contract::journal::Journal = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(journal.entries[1].keys, ["home/nightly", "nas/weekly"], "{}", json.everything());
    let ran = home.run(&["--after", "--key", "home/nightly"]).expect_success();
    assert_eq!(
        ran.stdout,
        "photos: ok (0 ms)\nwiki: stays prepared for nas/weekly\nafter the backup: 1 ok\n"
            .replace("0 ms", took(&ran.stdout))
    );
    assert!(home.exists("data/photos/up") && !home.exists("data/wiki/up"));
    home.run(&["--after", "--key", "home/nightly"]).expect_success();
    assert!(!home.exists("data/wiki/up"), "once more changes nothing");
    home.run(&["--after", "--key", "nas/weekly"]).expect_success();
    assert!(home.exists("data/wiki/up") && !home.journal().exists());
    assert_eq!(log(&home, "wiki"), ["prepared", "back"]);
}

fn took(stdout: &str) -> &str {
    stdout.split(['(', ')']).nth(1).unwrap_or_default()
}

#[test]
fn a_new_preparation_undoes_what_its_own_backrest_left_open_and_nothing_of_anothers() {
    let home = Home::new();
    service(&home, "wiki");
    service(&home, "photos");
    home.run(&["--key", "home/nightly", "--only", "wiki"]).expect_success();
    home.run(&["--key", "nas/weekly", "--only", "photos"]).expect_success();
    assert_eq!(
        (log(&home, "wiki"), log(&home, "photos")),
        (vec!["prepared".into()], vec!["prepared".into()])
    );
    // The same Backrest runs one backup at a time, so the one before is over.
    home.run(&["--key", "home/other", "--only", "wiki"]).expect_success();
    assert_eq!(log(&home, "wiki"), ["prepared", "back", "prepared"]);
    assert_eq!(log(&home, "photos"), ["prepared"]);
    // Without a key all that is open is undone, as ever.
    home.run(&["--after"]).expect_success();
    assert!(home.exists("data/wiki/up") && home.exists("data/photos/up") && !home.journal().exists());
}

#[test]
fn a_preparation_that_failed_is_made_again_for_the_next_backup() {
    let home = Home::new();
    service(&home, "wiki");
    home.prepare("wiki", "echo prepared >>log; [ -e ../fixed ]");
    home.run(&["--key", "home/nightly"]).expect_code(1);
    home.sandbox.write("data/fixed", "");
    home.run(&["--key", "nas/weekly"]).expect_success();
    assert_eq!(log(&home, "wiki"), ["prepared", "prepared"]);
    home.run(&["--after", "--key", "nas/weekly"]).expect_success();
    assert_eq!(log(&home, "wiki").len(), 2, "the first backup goes on, perhaps");
    home.run(&["--after", "--key", "home/nightly"]).expect_success();
    assert_eq!(log(&home, "wiki").last().unwrap(), "back");
}

#[test]
fn trouble_is_kept_for_each_backup() {
    let home = Home::new();
    home.prepare("wiki", "exit 3");
    home.prepare("photos", "true");
    home.run(&["--key", "home/nightly"]).expect_code(1);
    home.run(&["--key", "home/photos", "--only", "photos"]).expect_success();
    let trouble = home.trouble();
    assert_eq!(trouble.preparations.keys().collect::<Vec<_>>(), ["home/nightly"]);
    assert_eq!(trouble.preparations["home/nightly"].summary, "1 ok, 1 failed: wiki (exit code 3)");
    let ran = home.run(&["--key", "home/x", "--only", "nothing"]).expect_code(1);
    assert!(ran.stderr.contains("no service of that name"), "{}", ran.everything());
    home.prepare("wiki", "true");
    home.run(&["--key", "home/nightly"]).expect_success();
    assert!(home.trouble().is_empty());
}

#[test]
fn a_failed_after_step_is_tried_by_the_next_backup_of_any_plan() {
    let home = Home::new();
    service(&home, "wiki");
    home.after("wiki", "echo back >>log; [ -e ../fixed ]");
    home.run(&["--key", "home/nightly"]).expect_success();
    home.run(&["--after", "--key", "home/nightly"]).expect_code(1);
    fs::write(home.sandbox.path("data/fixed"), "").unwrap();
    let ran = home.run(&["--after", "--key", "nas/weekly"]).expect_success();
    assert_eq!(last_line(&ran.stdout), "after the backup: 1 ok");
    assert!(home.trouble().is_empty());
}
