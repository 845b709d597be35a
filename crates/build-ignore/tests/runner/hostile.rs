//! A service whose rules are made to stall the tool, or restic: it can't stall the others.

use std::fs;
use std::time::{Duration, Instant};

use common::testing::Sandbox;

use crate::command_line::PROGRAM;
use crate::oracle::Restic;

/// Twenty times what it takes with the machine busy; without the limits none of these ends in an hour.
const MOST: Duration = Duration::from_secs(60);

#[track_caller]
fn deep(sandbox: &Sandbox, service: &str, depth: usize) {
    let path: Vec<&str> = std::iter::repeat_n("a", depth).collect();
    fs::create_dir_all(sandbox.path(format!("data/{service}/{}", path.join("/")))).unwrap();
    sandbox.write(format!("data/{service}/{}/f", path.join("/")), "");
}

#[test]
fn many_stars_against_a_deep_tree_end_soon_for_the_tool_and_for_restic() {
    let sandbox = Sandbox::new();
    deep(&sandbox, "hostile", 400);
    sandbox.write(
        "data/hostile/.resticignore",
        format!("{}z\n!{}z\nf\n", "a/**/".repeat(12), "a/**/".repeat(11)),
    );
    sandbox.write("data/good/.resticignore", "*.log\n");
    let started = Instant::now();
    let home = sandbox.home().display().to_string();
    sandbox.run(sandbox.command(PROGRAM).args(["--mount", &home])).expect_success();
    assert!(started.elapsed() < MOST, "{:?}", started.elapsed());
    let backed_up = Restic::both()[1]
        .backed_up(&sandbox.path("data"), &sandbox.path("containers/backrest/ignorefile.txt"));
    assert!(started.elapsed() < MOST, "with restic: {:?}", started.elapsed());
    assert!(backed_up.iter().all(|path| !path.ends_with(b"/f")), "the last rule still holds");
}

#[test]
fn a_service_with_too_many_rules_is_backed_up_in_full_and_the_others_are_not() {
    let sandbox = Sandbox::new();
    sandbox.write("data/.resticignore", "*.tmp\n");
    sandbox.write("data/many/.resticignore", "a\n".repeat(300_000));
    sandbox.write("data/long/.resticignore", vec![b'a'; 20 << 20]);
    let folders: String =
        (0..200).map(|number| format!("{}/**/x{number}-*?*?*?\n", "d".repeat(200))).collect();
    sandbox.write("data/wide/.resticignore", folders.repeat(900));
    sandbox.write("data/many/x.tmp", "");
    sandbox.write("data/good/x.tmp", "");
    sandbox.write("data/good/.resticignore", "*.log\n");
    let started = Instant::now();
    let ran = sandbox.run(sandbox.command(PROGRAM).args(["--output", "-"])).expect_success();
    assert!(started.elapsed() < MOST, "{:?}", started.elapsed());
    for service in ["many", "long", "wide"] {
        let warning = format!(
            "data/{service}: more than 200000 lines or 16 MiB of rules, or patterns of more than 32 MiB"
        );
        assert!(ran.stderr.contains(&warning), "no {warning:?}: {}", ran.stderr);
    }
    // What the root's own rule leaves out elsewhere is kept here.
    assert!(ran.stdout.contains("\n!/userdata/data/many/*\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n/userdata/data/good/*.log\n"), "{}", ran.stdout);
}

#[test]
fn a_pattern_that_costs_restic_much_is_named_with_its_cost() {
    let sandbox = Sandbox::new();
    deep(&sandbox, "deep", 60);
    for number in 0..200 {
        sandbox.write(format!("data/deep/{}f{number}", "a/".repeat(60)), "");
    }
    sandbox.write("data/deep/.resticignore", "a/**/b/**/c\n");
    let ran = sandbox.run(sandbox.command(PROGRAM).args(["--output", "-"])).expect_success();
    let warning =
        ran.stderr.lines().find(|line| line.contains("data/deep/.resticignore:1: costs restic about "));
    assert!(warning.is_some_and(|line| line.contains(" µs for each path")), "{}", ran.everything());
}

#[test]
fn a_thousand_folders_that_can_not_be_entered_are_one_line() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "*.log\n");
    for number in 0..1000 {
        let folder = sandbox.path(format!("data/s/{number}"));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    }
    let mut command = crate::bad_input::as_ordinary_user(&sandbox);
    let ran = sandbox.run(command.args([PROGRAM, "--output", "-"])).expect_success();
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("and 999 more folders are not entered: Permission denied"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("data/s/.resticignore:1: *.log; to let this tool look: sudo setfacl -m u:"),
        "{}",
        ran.stderr
    );
    for number in 0..1000 {
        let folder = sandbox.path(format!("data/s/{number}"));
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
}
