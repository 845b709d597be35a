//! A change of the picture is one line of the next run, and of that run alone.

use std::fs;

use common::contract::picture::Picture;
use common::testing::Sandbox;

use crate::command_line::PROGRAM;

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
