//! The demo from outside: what a person reads, and what is left.

use std::fs;

use common::testing::Sandbox;

use super::world::{output_of, xtask};

#[test]
fn the_demo_backs_up_restores_and_leaves_nothing_behind() {
    let sandbox = Sandbox::empty();
    let before = sandbox.tree();
    let output = output_of(xtask(&sandbox, &["demo"]));
    assert!(output.contains("came back byte for byte"), "{output}");
    assert!(output.contains("✓ 500 rows"), "{output}");
    let last = output.lines().last().unwrap_or_default();
    assert!(last.starts_with("snapshot ") && last.len() == "snapshot ".len() + 8, "{output}");
    assert_eq!(sandbox.tree(), before);
    let temporary = fs::read_dir(sandbox.path("../tmp")).expect("the folder for temporary files");
    assert_eq!(temporary.count(), 0);
    assert_eq!(processes_of(&sandbox), [""; 0]);
}

#[test]
fn what_the_demo_keeps_can_be_looked_at_and_is_never_overwritten() {
    let sandbox = Sandbox::empty();
    let keep = sandbox.path("kept demo").display().to_string();
    let output = output_of(xtask(&sandbox, &["demo", "--keep", &keep]));
    assert!(output.contains(&keep), "{output}");
    assert!(sandbox.read("kept demo/home/containers/backrest/ignorefile.txt").contains("thumbs"));
    assert!(sandbox.path("kept demo/repository/config").exists());
    let before = sandbox.tree();
    let again = sandbox.run(&mut xtask(&sandbox, &["demo", "--keep", &keep])).expect_code(1);
    assert!(again.stderr.contains("it is not empty"), "{}", again.everything());
    assert_eq!(sandbox.tree(), before);
}

/// The command lines of the processes that run a program of the sandbox.
#[track_caller]
fn processes_of(sandbox: &Sandbox) -> Vec<String> {
    let folder = sandbox.path("..").canonicalize().expect("the sandbox").display().to_string();
    let processes = fs::read_dir("/proc").expect("list the processes").flatten();
    let lines = processes.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(&folder)).collect()
}
