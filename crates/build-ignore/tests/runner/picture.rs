//! A change of the picture is one line of the next run, and of that run alone.

use std::fs;

use common::contract::picture::Picture;
use common::testing::Sandbox;

use crate::command_line::PROGRAM;

#[track_caller]
fn run(sandbox: &Sandbox) -> String {
    sandbox.run(&mut sandbox.command(PROGRAM)).expect_success().stderr
}

#[track_caller]
fn warns_once(sandbox: &Sandbox, expected: &str) {
    let printed = run(sandbox);
    assert!(printed.contains(expected) && printed.lines().count() == 1, "no {expected:?}: {printed}");
    let picture = Picture::load(&sandbox.path("containers/backrest/state/ignore-picture.json")).unwrap();
    assert!(picture.line().unwrap().contains(expected), "the push has it too: {picture:?}");
    assert_eq!(run(sandbox), "");
}

#[test]
fn services_that_keep_nothing_or_lose_their_rules_are_named() {
    let sandbox = Sandbox::new();
    for service in ["a", "b", "c"] {
        sandbox.write(format!("data/{service}/.resticignore"), "*.tmp\n");
        sandbox.write(format!("data/{service}/photo"), "x");
        sandbox.write(format!("data/{service}/x.tmp"), "x");
    }
    // Enough bytes that no rule below leaves out a fifth of them.
    sandbox.write("data/large/f", vec![0; 1000]);
    assert_eq!(run(&sandbox), "");
    sandbox.write("data/a/.resticignore", "*\n");
    warns_once(&sandbox, "the rules leave out everything in data/a");
    fs::remove_file(sandbox.path("data/b/.resticignore")).unwrap();
    warns_once(&sandbox, "data/b has no rules any more");
    sandbox.write("data/.resticignore", "/c/\n");
    warns_once(&sandbox, "the rules leave out everything in data/c");
    fs::remove_dir_all(sandbox.path("data/a")).unwrap();
    assert_eq!(run(&sandbox), "", "a service that is gone has not lost its rules");
}

#[test]
fn a_fifth_of_all_bytes_newly_left_out_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("data/a/.resticignore", "*.tmp\n");
    sandbox.write("data/a/photos/1", vec![0; 30_000]);
    sandbox.write("data/a/f", vec![0; 70_000]);
    assert_eq!(run(&sandbox), "");
    sandbox.write("data/a/.resticignore", "photos/\n");
    warns_once(&sandbox, "the rules leave out 29 KiB of 98 KiB; it was 0 B of 98 KiB");
}

#[test]
fn a_comparison_that_would_take_too_long_is_reported() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "*.tmp\n");
    for number in 0..2_600 {
        sandbox.write(format!("data/s/{number}"), "");
    }
    assert_eq!(run(&sandbox), "");
    let rules: String = (0..4_000).map(|number| format!("/a/**/{number}/**/b\n")).collect();
    sandbox.write("data/s/.resticignore", rules);
    warns_once(&sandbox, "how much more the changed rules leave out was not measured");
}

#[test]
fn a_killed_run_does_not_hide_that_much_is_left_out() {
    let sandbox = Sandbox::new();
    sandbox.write("data/a/.resticignore", "*.tmp\n");
    sandbox.write("data/a/photos/1", vec![0; 30_000]);
    sandbox.write("data/a/f", "x");
    sandbox.script("data/a/prepare-backup.sh", "#!/bin/sh\n# dump: db.sql\n");
    let program = sandbox.path("bin/build-ignore");
    fs::create_dir(sandbox.path("bin")).unwrap();
    fs::copy(PROGRAM, &program).unwrap();
    let run = || sandbox.run(&mut sandbox.command(&program));
    assert_eq!(run().expect_success().stderr, "");
    // It is asked for dumps after the exclude file was written.
    let asked = sandbox.script("bin/pre-backup-actions", "#!/bin/sh\nkill -9 $PPID\n");
    sandbox.write("data/a/.resticignore", "photos/\n");
    let killed = run();
    assert!(sandbox.read("containers/backrest/ignorefile.txt").contains("/photos"), "written: {killed:?}");
    let picture = Picture::load(&sandbox.path("containers/backrest/state/ignore-picture.json")).unwrap();
    assert_eq!(picture.changes, [], "killed before it remembered: {killed:?}");
    fs::remove_file(asked).unwrap();
    let printed = killed.stderr + &run().expect_success().stderr;
    assert_eq!(printed.matches("the rules leave out 29 KiB of").count(), 1, "{printed}");
}

#[test]
fn a_run_after_one_that_was_killed_writing_repeats_that_much_is_left_out() {
    let sandbox = Sandbox::new();
    sandbox.write("data/a/.resticignore", "*.tmp\n");
    sandbox.write("data/a/f", "x");
    sandbox.write("data/a/photos/1", vec![0; 30_000]);
    assert_eq!(run(&sandbox), "");
    sandbox.write("data/a/.resticignore", "photos/\n");
    // The kernel kills it when it writes the exclude file.
    let mut limited = sandbox.command("prlimit");
    limited.args(["--fsize=1", PROGRAM]);
    let killed = sandbox.run(&mut limited);
    assert!(!sandbox.read("containers/backrest/ignorefile.txt").contains("/photos"), "{killed:?}");
    assert!(killed.stderr.contains("the rules leave out 29 KiB of"), "{killed:?}");
    warns_once(&sandbox, "the rules leave out 29 KiB of");
}

#[test]
fn paths_over_the_limit_are_not_newly_left_out() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "*\n!*/\n!*.md\n");
    for number in 0..5_100 {
        sandbox.write(format!("data/s/d/{number}.jpg"), "");
    }
    // Behind all names with a line of their own.
    sandbox.write("data/s/d/z.jpg", vec![0; 100_000]);
    let first = run(&sandbox);
    assert!(first.contains("102 paths that rules leave out stay in the backup"), "{first}");
    sandbox.write("data/t/.resticignore", "*.tmp\n");
    let second = run(&sandbox);
    assert!(!second.contains("the rules leave out"), "{second}");
}

#[test]
fn a_dump_that_rules_leave_out_is_named_once() {
    let sandbox = Sandbox::new();
    for service in ["declared", "globbed", "undeclared", "fine"] {
        sandbox.write(format!("data/{service}/.resticignore"), "*.gz\n/dumps/\n!fine.sql.gz\n");
        sandbox.write(format!("data/{service}/photo"), vec![0; 9000]);
    }
    assert_eq!(run(&sandbox), "");
    for (service, declaration) in [
        ("declared", "# dump: dumps/db.sql"),
        ("globbed", "# dump: db-*.sql.gz"),
        ("undeclared", ""),
        ("fine", "# dump: fine.sql.gz"),
    ] {
        sandbox.script(format!("data/{service}/prepare-backup.sh"), format!("#!/bin/sh\n{declaration}\n"));
    }
    sandbox.write("data/globbed/db-1.sql.gz", "x");
    sandbox.write("data/undeclared/app.sql.gz", "x");
    sandbox.write("data/fine/fine.sql.gz", "x");
    let warned = run(&sandbox);
    let picture = Picture::load(&sandbox.path("containers/backrest/state/ignore-picture.json")).unwrap();
    for dump in ["declared/dumps/db.sql", "globbed/db-1.sql.gz", "undeclared/app.sql.gz"] {
        assert!(
            warned.contains(&format!("data/{dump} (")) && warned.lines().count() == 1,
            "{dump}: {warned}"
        );
        assert!(picture.line().unwrap().contains(dump), "{picture:?}");
    }
    assert!(warned.contains("declared/.resticignore:2: /dumps/)") && !warned.contains("fine"), "{warned}");
    assert_eq!(run(&sandbox), "");
}
