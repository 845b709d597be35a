//! Files that look like dumps and are none: whatever a script made of a dump program that failed, the old dump stays.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scripts::{Home, last_line, wait_for};

/// The one service `app` with this script fails like that.
#[track_caller]
fn is_refused(home: &Home, script: &str, short: &str, detail: &str) {
    home.prepare("app", script);
    let ran = home.run(&[]).expect_code(1);
    assert_eq!(last_line(&ran.stdout), format!("0 ok, 1 failed: app ({short})"), "{}", ran.everything());
    assert!(ran.stdout.contains(&format!("  {detail}")), "{script}\n{}", ran.everything());
}

#[test]
fn a_pipe_hides_that_the_dump_program_failed_but_not_that_it_wrote_nothing() {
    for (name, text) in [
        ("db.sql.gz", "false | gzip >\"$DUMP_DIR/db.sql.gz\""),
        ("db.sql.zst", "false | zstd -q >\"$DUMP_DIR/db.sql.zst\""),
        ("db.gz kind=gzip", "false | gzip >\"$DUMP_DIR/db.gz\""),
        ("db.gz kind=postgres", "false | gzip >\"$DUMP_DIR/db.gz\""),
        ("all.tar", "tar -c missing >\"$DUMP_DIR/all.tar\" 2>/dev/null || :"),
        ("all.tgz", "tar -c missing 2>/dev/null | gzip >\"$DUMP_DIR/all.tgz\""),
    ] {
        let file = name.split(' ').next().unwrap();
        let detail = format!("{file}: expected a dump, but there is nothing in it");
        is_refused(&Home::new(), &format!("# dump: {name}\n{text}"), "dump is empty", &detail);
    }
    let home = Home::new();
    home.prepare("app", "# dump: db.gz min=0\nfalse | gzip >\"$DUMP_DIR/db.gz\"");
    home.run(&[]).expect_success();
}

#[test]
fn an_error_message_is_no_dump_whatever_its_name_promises() {
    for (name, saw) in [
        ("db.sql.gz", "it is not gzip's, as its name says"),
        ("db.zst", "it is not zstd's, as its name says"),
        ("db.sqlite", "it does not start like an SQLite database"),
        ("all.tar", "it ends in the middle of a header"),
        ("dump.rdb", "it does not start like a Redis snapshot"),
    ] {
        let script = format!("# dump: {name}\necho 'Error: no such container' >\"$DUMP_DIR/{name}\"");
        let detail = format!("{name}: expected a whole dump, but {saw}");
        is_refused(&Home::new(), &script, "dump is damaged", &detail);
    }
    let home = Home::new();
    home.prepare("app", "# dump: db.zst kind=any\necho x >\"$DUMP_DIR/db.zst\"");
    home.run(&[]).expect_success();
}

#[test]
fn an_old_dump_from_a_time_when_the_clock_was_wrong_is_old() {
    let home = Home::new();
    let old = home.sandbox.write("data/app/db.sql", "old");
    let wrong = SystemTime::now() + Duration::from_secs(5 * 365 * 86400);
    fs::File::open(&old).unwrap().set_modified(wrong).unwrap();
    let detail = "db.sql: expected a new dump, but it is the old one, written 20";
    is_refused(&home, "# dump: db.sql\n:", "dump is old", detail);
    let detail = "*.sql: expected a new dump, but the newest is of 20";
    is_refused(&home, "# dump: *.sql\n:", "dump is old", detail);
    home.prepare("app", "# dump: db.sql kind=any\necho new >db.sql");
    home.run(&[]).expect_success();
}

#[test]
fn a_dump_that_is_still_written_is_reported() {
    let home = Home::new();
    // Another process writes to it just while it is checked.
    home.sandbox.script(
        "bin/sqlite3",
        "#!/bin/sh\ntouch \"$HOME/data/app/.prepare-backup.dump.backrest-part/db.sqlite\"\nexec /usr/bin/sqlite3 \"$@\"\n",
    );
    home.prepare("app", "# dump: db.sqlite\n/usr/bin/sqlite3 \"$DUMP_DIR/db.sqlite\" 'CREATE TABLE t(a)'");
    let mut command = home.command(&[]);
    let path = format!("{}:/usr/bin:/bin", home.sandbox.path("bin").display());
    let ran = home.sandbox.run(command.env("PATH", path)).expect_code(1);
    let detail = "  db.sqlite: expected a dump that is done, but it changed while it was checked: something still writes to it\n";
    assert!(ran.stdout.contains(detail), "{}", ran.everything());
    assert_eq!(last_line(&ran.stdout), "0 ok, 1 failed: app (dump is still being written)");
    assert!(!home.exists("data/app/db.sqlite"));
    home.run(&[]).expect_success();
}

#[test]
fn a_checker_that_is_killed_does_not_make_the_dump_a_damaged_one() {
    let home = Home::new();
    home.prepare("app", "# dump: db.sqlite\n/usr/bin/sqlite3 \"$DUMP_DIR/db.sqlite\" 'CREATE TABLE t(a)'");
    let path = format!("{}:/usr/bin:/bin", home.sandbox.path("bin").display());
    // As the kernel does when memory runs out; and a program that can't be started.
    for (checker, why) in
        [("#!/bin/sh\nkill -KILL $$\n", "killed by SIGKILL"), ("no program", "start: sqlite3")]
    {
        home.sandbox.script("bin/sqlite3", checker);
        let ran = home.sandbox.run(home.command(&[]).env("PATH", &path)).expect_success();
        assert!(ran.stdout.contains(why), "{}", ran.everything());
        assert_eq!(last_line(&ran.stdout), "0 ok, 1 with a warning: app (dump could not be proved in full)");
    }
}

#[test]
fn what_dump_dir_was_replaced_with_is_left_alone() {
    let home = Home::new();
    home.sandbox.write("precious/db.sql", "x");
    let script = "# dump: db.sql\nrmdir \"$DUMP_DIR\"; ln -s ../../precious \"$DUMP_DIR\"; touch ../../precious/db.sql";
    let detail = "DUMP_DIR: expected the folder that was made, but something else is there";
    is_refused(&home, script, "DUMP_DIR was replaced", detail);
    assert!(home.exists("precious/db.sql") && !home.exists("data/app/db.sql"));
    let script = "# dump: db.sql\nrmdir \"$DUMP_DIR\"";
    is_refused(&home, script, "dump is missing", "db.sql: expected a new dump, but there is none");
}

#[test]
fn a_dump_may_belong_on_another_disk_than_dump_dir() {
    let home = Home::new();
    let disk = home.sandbox.path("data/app/disk");
    fs::create_dir_all(&disk).unwrap();
    home.prepare(
        "app",
        "# dump: a.sql kind=any\n# dump: disk/b.sql kind=any\necho a >\"$DUMP_DIR/a.sql\"; echo b >\"$DUMP_DIR/b.sql\"",
    );
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&disk).status().unwrap();
    assert!(mounted.success(), "this test needs root, to mount a file system");
    let ran = home.run(&[]);
    let files: Vec<_> =
        fs::read_dir(&disk).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let text = home.lines("data/app/disk/b.sql");
    assert!(Command::new("umount").arg("--lazy").arg(&disk).status().unwrap().success());
    ran.expect_success();
    assert_eq!((files, text), (vec!["b.sql".to_string()], vec!["b".to_string()]));
}

#[test]
fn where_one_dump_can_not_be_put_in_its_place_none_is() {
    let home = Home::new();
    fs::create_dir_all(home.sandbox.path("data/app/z.sql")).unwrap();
    home.sandbox.write("data/app/a.sql", "old");
    let script = "# dump: a.sql kind=any\n# dump: z.sql kind=any\nfor n in a z; do echo new >\"$DUMP_DIR/$n.sql\"; done";
    let detail = format!("{}: is a directory", home.sandbox.path("data/app/z.sql").display());
    is_refused(&home, script, "dump could not be put in its place", &detail);
    assert_eq!(home.lines("data/app/a.sql"), ["old"]);
}

#[test]
fn one_file_that_two_declarations_mean_moves_once() {
    let home = Home::new();
    home.prepare("app", "# dump: *.sql kind=any\n# dump: a.sql kind=any\necho x >\"$DUMP_DIR/a.sql\"");
    home.run(&[]).expect_success();
    assert_eq!(home.lines("data/app/a.sql"), ["x"]);
}

/// Below a symlink within the service the rules of the real folder hold, because that is what restic sees.
#[test]
fn a_dump_behind_a_symlink_is_asked_for_where_it_really_lies() {
    common::testing::built("build-ignore", "build-ignore");
    let home = Home::new();
    home.sandbox.write("data/app/real/.resticignore", "*.sql\n");
    symlink("real", home.sandbox.path("data/app/link")).unwrap();
    let rules = home.sandbox.path("data/app/real/.resticignore");
    let detail = format!(
        "app/real/db.sql: expected to be backed up, but a rule leaves it out: {}:1: *.sql",
        rules.display()
    );
    let script = "# dump: link/db.sql kind=any\necho x >link/db.sql";
    is_refused(&home, script, "dump is left out by the ignore rules", &detail);
    let history = home.run(&["--history", "app"]).expect_success();
    assert!(history.stdout.contains("dump is left out by the ignore rules"), "{}", history.everything());
}

#[test]
fn a_little_more_than_allowed_is_too_much() {
    let home = Home::new();
    let script =
        "# dump: db.sql max-shrink=50% kind=any\nhead -c $(cat size) /dev/zero >\"$DUMP_DIR/db.sql\"";
    home.prepare("app", script);
    for (size, is_taken) in [(1000, true), (499, false), (500, true)] {
        home.sandbox.write("data/app/size", size.to_string());
        home.run(&[]).expect_code(if is_taken { 0 } else { 1 });
    }
}

/// Interrupted before it is known whether the dump is in the backup, the run has not done well.
#[test]
fn an_interruption_while_the_rules_are_asked_fails_the_run() {
    let home = Home::new();
    let tool = home.sandbox.path("alone/pre-backup-actions");
    home.sandbox.script("alone/build-ignore", "#!/bin/sh\ntouch \"$HOME/asked\"; sleep 60\n");
    common::testing::copy_program(env!("CARGO_BIN_EXE_pre-backup-actions"), &tool);
    home.sandbox.write("data/app/.resticignore", "*.log\n");
    home.prepare("app", "# dump: db.sql kind=any\necho x >\"$DUMP_DIR/db.sql\"");
    let child = home.sandbox.command(&tool).stdout(std::process::Stdio::piped()).spawn().unwrap();
    wait_for(&home.sandbox.path("asked"));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        (output.status.code(), last_line(&printed)),
        (Some(1), "0 ok, 1 failed: app (interrupted)"),
        "{printed}"
    );
}

/// The README's own script of long: what sqlite3 3.40 makes of a locked database exits with 0.
#[test]
fn a_dump_of_a_locked_database_never_replaces_a_good_one() {
    let home = Home::new();
    let locked = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n/**** ERROR: (5) database is locked *****/\nROLLBACK; -- due to errors\n";
    home.sandbox.write("data/app/locked", locked);
    home.sandbox.write("data/app/dump.sql", "the good one");
    let detail = "dump.sql: expected a whole dump, but sqlite3 wrote an error into it: /**** ERROR: (5) database is locked *****/";
    is_refused(&home, "# dump: dump.sql\ncp locked \"$DUMP_DIR/dump.sql\"", "dump is damaged", detail);
    assert_eq!(home.lines("data/app/dump.sql"), ["the good one"]);
    // Not declared, it is judged all the same; what the script has done can't be undone.
    home.prepare("app", "cp locked dump.sql.part; mv dump.sql.part dump.sql");
    let ran = home.run(&[]).expect_success();
    let expected = "0 ok, 1 with a warning: app (dump.sql is not a good dump)";
    assert_eq!(last_line(&ran.stdout), expected, "{}", ran.everything());
    assert!(
        ran.stdout.contains("database is locked *****/; in the script: # dump: dump.sql\n"),
        "{}",
        ran.everything()
    );
    // A good one is recognised, and how to declare it is shown; what was there before is not the script's.
    home.sandbox.write("data/app/other.sql", "Error: not of this run");
    std::thread::sleep(Duration::from_millis(50));
    let good = "PRAGMA foreign_keys=OFF;\\nBEGIN TRANSACTION;\\nCREATE TABLE t(a);\\nCOMMIT;\\n";
    home.prepare("app", &format!("printf '{good}' >dump.sql"));
    let ran = home.run(&[]).expect_success();
    assert_eq!(last_line(&ran.stdout), "1 ok", "{}", ran.everything());
    assert!(
        ran.stdout.contains("  dump.sql is not declared; in the script: # dump: dump.sql\n"),
        "{}",
        ran.everything()
    );
}

#[test]
fn what_is_not_proved_is_never_called_ok() {
    let home = Home::new();
    let text =
        "# dump: db.sql.age\nprintf 'age-encryption.org/v1\\n-> X25519 x\\n' >\"$DUMP_DIR/db.sql.age\"";
    home.prepare("app", text);
    let ran = home.run(&[]).expect_success();
    assert_eq!(last_line(&ran.stdout), "0 ok, 1 unproved: app (dump is encrypted)");
    assert!(ran.stdout.starts_with("app: unproved: dump is encrypted ("), "{}", ran.everything());
    assert!(ran.stdout.contains("  db.sql.age: it is encrypted (age), so nothing in it could be checked\n"));
    assert!(home.trouble().is_empty(), "it is not trouble");
    let ran = home.run(&["--json"]).expect_success();
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&value["services"][0]["result"], &value["services"][0]["dumps"][0]["proof"]),
        (&"unproved".into(), &"unproved".into())
    );
}

/// Only the depths that a pattern can match are walked, and what the user can't enter holds no dump of theirs.
#[test]
fn a_folder_that_can_not_be_entered_is_no_obstacle_to_a_pattern() {
    let other = crate::trust::Other::new();
    fs::create_dir_all(other.0.sandbox.path("data/app/postgres/deep")).unwrap();
    for pattern in ["*.sql.gz", "**/*.sql.gz", "{a,b}.sql.gz"] {
        other.prepare("app", &format!("# dump: {pattern} kind=gzip\necho x | gzip >a.sql.gz"));
        other.give("data/app/postgres", "4002");
        other.mode("data/app/postgres", 0o700);
        let ran = other.run(&[]).expect_success();
        assert_eq!(last_line(&ran.stdout), "1 ok", "{pattern}\n{}", ran.everything());
    }
}

/// What `pg_dump -Fd` writes is one dump: it replaces the old folder in one step.
#[test]
fn a_folder_can_be_a_dump() {
    let home = Home::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dumps/bookworm/pg.folder");
    for (declaration, folder) in [("pg/ kind=postgres", "pg"), ("pg/*", "pg"), ("backup/pg/", "backup/pg")] {
        let mkdir = format!("mkdir -p \"$DUMP_DIR/$(dirname {folder})\"");
        let script = format!("# dump: {declaration}\n{mkdir}; cp -r {source} \"$DUMP_DIR/{folder}\"");
        for run in ["first", "second"] {
            home.prepare("app", &script);
            let ran = home.run(&[]).expect_success();
            assert_eq!(last_line(&ran.stdout), "1 ok", "{declaration}, {run}\n{}", ran.everything());
            assert!(
                home.exists(&format!("data/app/{folder}/toc.dat"))
                    && !home.exists("data/app/.prepare-backup.dump.backrest-part")
            );
        }
        let cut =
            format!("{script}; rm \"$DUMP_DIR\"/{folder}/3*.dat.gz; echo x >\"$DUMP_DIR/{folder}/new\"");
        home.prepare("app", &cut);
        let ran = home.run(&[]).expect_code(1);
        assert!(
            last_line(&ran.stdout).starts_with("0 ok, 1 failed: app (dump is damaged"),
            "{declaration}\n{}",
            ran.everything()
        );
        assert!(!home.exists(&format!("data/app/{folder}/new")), "the old one stays");
        fs::remove_dir_all(home.sandbox.path("data/app")).unwrap();
    }
}

/// What a backup holds is checked as it was before the backup, except that it is neither new nor in the backup.
#[test]
fn files_that_were_read_back_are_proved_again() {
    use common::contract::proof::{Proof, ProofOutcome};
    let home = Home::new();
    home.prepare("app", "# dump: db/*.sql.gz kind=postgres min=1KiB\n# dump: x.age\n# dump: gone.tar\nfalse");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dumps/bookworm/pg.sql");
    home.sandbox.write("back/x.age", "age-encryption.org/v1\n-> X25519 x\n");
    let pack = "mkdir -p back/db; gzip -c \"$0\" >back/db/a.sql.gz; head -c 1500 back/db/a.sql.gz >back/db/cut.sql.gz";
    home.sandbox.run(home.sandbox.command("sh").args(["-c", pack, source])).expect_success();
    let back = home.sandbox.path("back").display().to_string();
    let before = home.sandbox.tree();
    let ran = home.run(&["--prove", &back, "--only", "app", "--json"]).expect_code(1);
    assert_eq!(home.sandbox.tree(), before, "nothing is written");
    let proof: Proof = serde_json::from_str(&ran.stdout).unwrap();
    let outcomes: Vec<_> = proof
        .dumps
        .iter()
        .map(|dump| dump.files.iter().map(|file| file.outcome).collect::<Vec<_>>())
        .collect();
    let expected =
        vec![vec![ProofOutcome::Proved, ProofOutcome::Fault], vec![ProofOutcome::Unproved], vec![]];
    assert_eq!(outcomes, expected, "{}", ran.everything());
    assert_eq!(proof.dumps[2].fault.as_deref(), Some("expected a dump, but there is none"));
    let ran = home.run(&["--prove", &back]).expect_code(1);
    assert!(ran.stdout.contains("db/a.sql.gz: ok\n"), "{}", ran.everything());
    home.prepare("other", "true");
    let ran = home.run(&["--prove", &back]).expect_code(1);
    assert!(ran.stderr.contains("name one with --only"), "{}", ran.everything());
}
