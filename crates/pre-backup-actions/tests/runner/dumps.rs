//! The dump gate, from the outside: what a script declares has to be there, new, whole, in the backup; else the run
//! fails and the old dump stays.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::scripts::{Home, last_line};
use crate::trust::Other;

/// What is reported of the one service `app` whose script is `text`; the run has to fail.
#[track_caller]
fn refusal(home: &Home, text: &str) -> String {
    home.prepare("app", text);
    let ran = home.run(&[]).expect_code(1);
    let reported: Vec<_> = ran.stdout.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    reported.first().map(|line| (*line).to_string()).unwrap_or_else(|| panic!("{}", ran.everything()))
}

#[test]
fn a_good_dump_takes_the_old_ones_place_and_is_for_the_user_alone() {
    let home = Home::new();
    home.prepare("app", "# dump: db.sql kind=any\necho new >\"$DUMP_DIR/db.sql\"; ls -d \"$DUMP_DIR\"; stat -c %a \"$DUMP_DIR\"");
    let ran = home.run(&[]).expect_success();
    assert!(
        ran.stdout.contains("/data/app/.prepare-backup.dump.backrest-part\napp | 700\napp: ok ("),
        "{}",
        ran.everything()
    );
    assert!(ran.stdout.contains(", db.sql 4 B)\n"), "{}", ran.everything());
    assert_eq!(home.lines("data/app/db.sql"), ["new"]);
    let mode = |path| fs::metadata(home.sandbox.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("data/app/db.sql"), 0o600);
    assert!(!home.exists("data/app/.prepare-backup.dump.backrest-part"));
    // From now on its mode is the user's business.
    fs::set_permissions(home.sandbox.path("data/app/db.sql"), fs::Permissions::from_mode(0o640)).unwrap();
    let ran = home.run(&[]).expect_success();
    assert!(ran.stdout.contains("db.sql 4 B (as before)"), "{}", ran.everything());
    assert_eq!(mode("data/app/db.sql"), 0o640);
}

#[test]
fn a_bad_dump_never_replaces_a_good_one() {
    let home = Home::new();
    home.sandbox.write("data/app/db.sql.gz", "the old one");
    for (text, short, detail) in [
        (": >\"$DUMP_DIR/db.sql.gz\"", "dump is empty", "db.sql.gz: expected a dump, but the file is empty"),
        (
            "printf x >\"$DUMP_DIR/db.sql.gz\"",
            "dump is damaged",
            "db.sql.gz: expected a whole dump (kind=postgres), but the first lines of pg_dump are not there",
        ),
        (
            "seq 100000 | gzip | head -c 2000 >\"$DUMP_DIR/db.sql.gz\"",
            "dump is damaged",
            "db.sql.gz: expected a whole dump (kind=postgres), but the file ends too early",
        ),
        (
            "mkdir \"$DUMP_DIR/db.sql.gz\"",
            "dump is a folder",
            "db.sql.gz: expected a file, but it is a folder; a # dump: line for a folder ends in /",
        ),
        (
            "ln -s /etc/passwd \"$DUMP_DIR/db.sql.gz\"",
            "dump is not a file",
            "db.sql.gz: expected a file, but it is a symlink; a # dump: line names the file itself",
        ),
        (
            "echo x >\"$DUMP_DIR/other\"",
            "dump is old and 1 more",
            "db.sql.gz: expected a new dump, but it is the old one, written ",
        ),
        (": ", "dump is old", "db.sql.gz: expected a new dump, but it is the old one, written "),
    ] {
        home.prepare("app", &format!("# dump: db.sql.gz kind=postgres\n{text}"));
        let ran = home.run(&[]).expect_code(1);
        assert_eq!(
            last_line(&ran.stdout),
            format!("0 ok, 1 failed: app ({short})"),
            "{text}\n{}",
            ran.everything()
        );
        assert!(ran.stdout.contains(&format!("  {detail}")), "{text}\n{}", ran.everything());
        assert_eq!(home.lines("data/app/db.sql.gz"), ["the old one"]);
        assert!(!home.exists("data/app/.prepare-backup.dump.backrest-part"));
    }
}

#[test]
fn what_is_missing_small_or_undeclared_is_reported() {
    let home = Home::new();
    assert_eq!(refusal(&home, "# dump: db.sql\n:"), "db.sql: expected a new dump, but there is none");
    assert_eq!(
        refusal(&home, "# dump: db.sql min=1KiB\necho x >\"$DUMP_DIR/db.sql\""),
        "db.sql: expected at least 1.0 KiB, but it has 2 B"
    );
    assert_eq!(
        refusal(&home, "# dump: a.sql kind=any\nfor n in a b; do echo x >\"$DUMP_DIR/$n.sql\"; done"),
        "b.sql: expected a # dump: line for the files in DUMP_DIR, but there is none"
    );
    assert!(!home.exists("data/app/a.sql"), "all of a service's dumps move, or none");
}

#[test]
fn a_dump_may_be_written_in_place_but_has_to_be_new() {
    let home = Home::new();
    home.prepare("app", "# dump: backup/db.sql kind=any\nmkdir -p backup; echo x >backup/db.sql");
    home.run(&[]).expect_success();
    let reported = refusal(&home, "# dump: backup/db.sql\ntouch -d yesterday backup/db.sql");
    assert!(
        reported
            .starts_with("backup/db.sql: expected one made since the script started, but it was written 20"),
        "{reported}"
    );
}

#[test]
fn a_pattern_means_the_new_files() {
    let home = Home::new();
    home.sandbox.write("data/app/dumps/old.sql", "old");
    fs::File::open(home.sandbox.path("data/app/dumps/old.sql"))
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    home.prepare("app", "# dump: dumps/*.sql kind=any\necho 1 >dumps/a.sql; echo 22 >dumps/b.sql");
    let ran = home.run(&[]).expect_success();
    assert!(ran.stdout.contains(", dumps/*.sql 5 B)"), "{}", ran.everything());
    home.prepare("app", "# dump: dumps/*.sql kind=any\necho 333 >\"$DUMP_DIR/c.sql\"");
    home.run(&[]).expect_success();
    assert_eq!(home.lines("data/app/dumps/c.sql"), ["333"]);
    for file in ["a.sql", "b.sql", "c.sql"] {
        fs::remove_file(home.sandbox.path(format!("data/app/dumps/{file}"))).unwrap();
    }
    let reported = refusal(&home, "# dump: dumps/*.sql\n:");
    assert_eq!(
        reported,
        "dumps/*.sql: expected a new dump, but the newest is of 1970-01-01T00:00:00+00:00, before the script started"
    );
}

#[test]
fn a_dump_that_shrinks_too_much_is_refused_until_it_is_accepted() {
    let home = Home::new();
    let script =
        "# dump: db.sql max-shrink=20% kind=any\nhead -c $(cat size) /dev/zero >\"$DUMP_DIR/db.sql\"";
    home.sandbox.write("data/app/size", "1000");
    home.prepare("app", script);
    home.run(&[]).expect_success();
    home.sandbox.write("data/app/size", "810");
    let ran = home.run(&[]).expect_success();
    assert!(ran.stdout.contains("db.sql 810 B (-19 %)"), "{}", ran.everything());
    home.sandbox.write("data/app/size", "500");
    let reported = refusal(&home, script);
    assert_eq!(
        reported,
        "db.sql: expected at most 20 % less than the last good one (810 B), but it has 500 B, 38 % less"
    );
    assert_eq!(fs::metadata(home.sandbox.path("data/app/db.sql")).unwrap().len(), 810);
    // A bad one is never what the next is compared with.
    refusal(&home, script);
    home.run(&["--accept-shrunk"]).expect_success();
    assert_eq!(fs::metadata(home.sandbox.path("data/app/db.sql")).unwrap().len(), 500);
    home.run(&[]).expect_success();
}

#[test]
fn a_dump_that_half_vanished_is_a_warning_where_nothing_is_declared() {
    let home = Home::new();
    home.prepare("app", "# dump: db.sql kind=any\nhead -c $(cat size) /dev/zero >\"$DUMP_DIR/db.sql\"");
    home.sandbox.write("data/app/size", "1000");
    home.run(&[]).expect_success();
    home.sandbox.write("data/app/size", "100");
    let ran = home.run(&[]).expect_success();
    assert_eq!(last_line(&ran.stdout), "0 ok, 1 with a warning: app (dump shrank by 90 %)");
    assert!(
        ran.stdout.contains("  db.sql: the last good one had 1000 B, but it has 100 B, 90 % less\n"),
        "{}",
        ran.everything()
    );
}

/// What has shrunk is compared with the last one that was not, until a person accepts it.
#[test]
fn a_dump_that_shrank_is_no_new_measure() {
    let home = Home::new();
    home.prepare("app", "# dump: db.sql kind=any\nhead -c $(cat size) /dev/zero >\"$DUMP_DIR/db.sql\"");
    home.sandbox.write("data/app/size", "100000");
    home.run(&[]).expect_success();
    home.sandbox.write("data/app/size", "1000");
    for _ in 0..2 {
        let ran = home.run(&[]).expect_success();
        let expected = "0 ok, 1 with a warning: app (dump shrank by 99 %)";
        assert_eq!(last_line(&ran.stdout), expected, "{}", ran.everything());
        assert_eq!(home.trouble().preparations[""].summary, expected, "it is pushed as that");
        assert!(ran.stdout.contains("--accept-shrunk"), "{}", ran.everything());
    }
    let ran = home.run(&["--accept-shrunk"]).expect_success();
    assert_eq!(last_line(&ran.stdout), "1 ok");
    assert_eq!(last_line(&home.run(&[]).expect_success().stdout), "1 ok");
    assert!(home.trouble().is_empty());
}

#[test]
fn on_failure_continue_lets_the_backup_go_on() {
    let home = Home::new();
    home.prepare("app", "# dump: db.sql\n# on-failure: continue\n: >\"$DUMP_DIR/db.sql\"");
    home.prepare("other", "true");
    let ran = home.run(&[]).expect_success();
    assert_eq!(last_line(&ran.stdout), "1 ok, 1 with a warning: app (dump is empty)");
}

#[test]
fn a_dump_outside_its_service_is_refused() {
    let home = Home::new();
    for path in ["../other/db.sql", "/tmp/db.sql"] {
        home.prepare("app", &format!("# dump: {path}\ntouch ran"));
        let ran = home.run(&[]).expect_code(1);
        let expected = format!(
            "0 ok, 1 failed: app (prepare-backup.sh line 2: dump: expected a path that stays below the service's folder, not {path})"
        );
        assert_eq!(last_line(&ran.stdout), expected);
    }
    fs::create_dir(home.sandbox.path("elsewhere")).unwrap();
    symlink(home.sandbox.path("elsewhere"), home.sandbox.path("data/app/out")).unwrap();
    let reported = refusal(&home, "# dump: out/db.sql\necho x >out/db.sql");
    let expected = format!(
        "out/db.sql: expected to be in the service's folder, but it leads to {}",
        home.sandbox.path("elsewhere").display()
    );
    assert_eq!(reported, expected);
}

#[test]
fn a_symlinked_service_is_not_in_the_backup_and_reported() {
    let home = Home::new();
    home.sandbox.script(
        "elsewhere/app/prepare-backup.sh",
        "#!/bin/sh\n# dump: db.sql kind=any\necho x >\"$DUMP_DIR/db.sql\"\n",
    );
    symlink(home.sandbox.path("elsewhere/app"), home.sandbox.path("data/linked")).unwrap();
    let ran = home.run(&[]).expect_code(1);
    assert_eq!(last_line(&ran.stdout), "0 ok, 1 failed: linked (dump is not in the backup)");
}

#[test]
fn one_dump_of_two_services_is_refused() {
    let home = Home::new();
    home.prepare("app", "# dump: db.sql kind=any\necho x >\"$DUMP_DIR/db.sql\"");
    symlink("app", home.sandbox.path("data/twin")).unwrap();
    let ran = home.run(&[]).expect_code(1);
    assert!(ran.stdout.contains("db.sql is declared by twin too\n"), "{}", ran.everything());
    assert!(last_line(&ran.stdout).starts_with("0 ok, 2 failed: app (dump is declared by two services)"));
}

#[test]
fn what_a_killed_run_left_in_dump_dir_is_gone() {
    let home = Home::new();
    home.sandbox.write("data/app/.prepare-backup.dump/stale", "x");
    home.prepare(
        "app",
        "# dump: db.sql kind=any\n[ -z \"$(ls -A \"$DUMP_DIR\")\" ]\necho x >\"$DUMP_DIR/db.sql\"",
    );
    home.run(&[]).expect_success();
    // A symlink of that name is taken away, not followed.
    home.sandbox.write("precious/file", "x");
    symlink(home.sandbox.path("precious"), home.sandbox.path("data/app/.prepare-backup.dump")).unwrap();
    home.run(&[]).expect_success();
    assert!(home.exists("precious/file"));
}

#[test]
fn a_dump_that_the_ignore_rules_leave_out_is_reported_with_the_rule() {
    // It is asked; beside us it is found.
    common::testing::built("build-ignore", "build-ignore");
    let home = Home::new();
    home.sandbox.write("data/app/.resticignore", "# mine\n*.gz\n");
    home.sandbox.write("data/kept/.resticignore", "*.log\n");
    home.prepare("app", "# dump: db.sql.gz kind=gzip\necho x | gzip >\"$DUMP_DIR/db.sql.gz\"");
    home.prepare("kept", "# dump: db.sql.gz kind=gzip\necho x | gzip >\"$DUMP_DIR/db.sql.gz\"");
    home.prepare("without", "true");
    let ran = home.run(&[]).expect_code(1);
    assert_eq!(last_line(&ran.stdout), "2 ok, 1 failed: app (dump is left out by the ignore rules)");
    let rules = home.sandbox.path("data/app/.resticignore");
    let expected = format!(
        "  app/db.sql.gz: expected to be backed up, but a rule leaves it out: {}:2: *.gz\n",
        rules.display()
    );
    assert!(ran.stdout.contains(&expected), "{}", ran.everything());
    home.prepare(
        "app",
        "# on-failure: continue\n# dump: db.sql.gz kind=gzip\necho x | gzip >\"$DUMP_DIR/db.sql.gz\"",
    );
    home.run(&[]).expect_success();
}

#[test]
fn what_build_ignore_can_not_answer_is_a_warning() {
    let home = Home::new();
    home.sandbox.write("data/app/.resticignore", "*.gz\n");
    home.prepare("app", "# dump: db.sql kind=any\necho x >\"$DUMP_DIR/db.sql\"");
    // Alone in a folder: no build-ignore beside it, none on the path.
    let alone = home.sandbox.path("alone");
    fs::create_dir(&alone).unwrap();
    common::testing::copy_program(env!("CARGO_BIN_EXE_pre-backup-actions"), alone.join("pre-backup-actions"));
    let mut command = home.sandbox.command(alone.join("pre-backup-actions"));
    let ran = home.sandbox.run(command.env("PATH", "/usr/bin:/bin")).expect_success();
    assert_eq!(last_line(&ran.stdout), "0 ok, 1 with a warning: app (dump could not be proved in full)");
    assert!(
        ran.stdout.contains("could not be checked: start: build-ignore: No such file"),
        "{}",
        ran.everything()
    );
    for (answer, why) in [
        ("left out", "could not be checked: build-ignore's answer can't be read"),
        (r#"{"path":"x","outcome":"unknown","why":"gone"}"#, "could not be checked: gone"),
    ] {
        home.sandbox.script("alone/build-ignore", format!("#!/bin/sh\necho '{answer}'\n"));
        let ran = home.sandbox.run(&mut command).expect_success();
        assert!(
            ran.stdout.contains(why) && ran.stdout.contains("0 ok, 1 with a warning"),
            "{}",
            ran.everything()
        );
    }
}

/// A container may write into DUMP_DIR as another user.
#[test]
fn a_dump_dir_that_can_not_be_removed_is_reported_until_it_is_gone() {
    let home = Other::new();
    let make =
        "mkdir -p \"$DUMP_DIR/dump/sub\"; echo x >\"$DUMP_DIR/dump/sub/f\"; chmod 500 \"$DUMP_DIR/dump/sub\"";
    home.prepare("app", &format!("# dump: dump/ kind=any\n{make}"));
    let ran = home.run(&[]).expect_success();
    assert!(!ran.stdout.contains("can't be removed"), "{}", ran.everything());
    // The old dump is in DUMP_DIR then, and no file in its folder can be removed.
    let reported = |ran: &common::testing::Ran, number: &str| {
        let path = home.0.sandbox.path(format!("data/app/.prepare-backup.dump{number}.backrest-part"));
        let path = path.display();
        let line = format!(
            "  {path}: DUMP_DIR can't be removed: Permission denied (os error 13); sudo rm -r '{path}'\n"
        );
        ran.stdout.contains(&line)
    };
    let is_warned = |ran: &common::testing::Ran| {
        last_line(&ran.stdout) == "0 ok, 1 with a warning: app (DUMP_DIR can't be removed)"
    };
    let ran = home.run(&[]).expect_success();
    assert!(is_warned(&ran) && reported(&ran, ""), "{}", ran.everything());
    assert!(home.0.exists("data/app/dump/sub/f"), "the step is done all the same");
    let ran = home.run(&[]).expect_success();
    assert!(is_warned(&ran) && reported(&ran, "") && reported(&ran, ".2"), "{}", ran.everything());
    // Of a step that fails, too.
    home.prepare("app", "# dump: db.sql kind=any\nexit 3");
    let ran = home.run(&[]).expect_code(1);
    assert_eq!(last_line(&ran.stdout), "0 ok, 1 failed: app (exit code 3)");
    assert!(reported(&ran, "") && reported(&ran, ".2") && !reported(&ran, ".3"), "{}", ran.everything());
    for left in [".prepare-backup.dump.backrest-part", ".prepare-backup.dump.2.backrest-part"] {
        fs::remove_dir_all(home.0.sandbox.path("data/app").join(left)).unwrap();
    }
    home.prepare("app", "# dump: db.sql kind=any\necho x >\"$DUMP_DIR/db.sql\"");
    assert_eq!(last_line(&home.run(&[]).expect_success().stdout), "1 ok");
}
