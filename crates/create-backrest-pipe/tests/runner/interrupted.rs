//! A set-up and a removal that are killed at every system call that changes something: the next run ends where an
//! undisturbed one does.

use std::fs;

use common::process::End;
use common::testing::wait_until;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::home::Home;
use crate::set_up::listener_lines;

/// The system calls that change something, and the one that follows the start of another program.
const CHANGES: &str = "mkdir,mknod,mknodat,link,linkat,symlink,symlinkat,rename,renameat,renameat2,unlink,unlinkat,\
rmdir,chmod,fchmodat,pidfd_open";

#[must_use]
#[track_caller]
fn traced(home: &Home, options: &[&str], arguments: &[&str]) -> End {
    let mut command = home.with_crontabs("strace");
    command.args(["-qq", "-e"]).arg(format!("trace={CHANGES}")).args(options);
    command.arg(home.sandbox.path(".local/bin/create-backrest-pipe")).args(arguments);
    home.sandbox.run(&mut command).end
}

/// The changes that the tool makes, each as strace(1) names it: the name and which of that name it is.
#[track_caller]
fn changes(home: &Home, arguments: &[&str]) -> Vec<(String, usize)> {
    let log = home.sandbox.path("../tmp/strace.log");
    assert!(traced(home, &["-o", log.to_str().unwrap()], arguments).is_success());
    let mut seen: Vec<(String, usize)> = Vec::new();
    for name in
        fs::read_to_string(log).unwrap().lines().filter_map(|line| Some(line.split_once('(')?.0.to_string()))
    {
        let earlier = seen.iter().filter(|(other, _)| *other == name).count();
        seen.push((name, earlier + 1));
    }
    assert!(seen.len() > 8, "{seen:?}");
    seen
}

/// Runs the tool and kills it on entering that change.
#[track_caller]
fn run_until(home: &Home, arguments: &[&str], (name, which): &(String, usize)) {
    let inject = format!("inject={name}:signal=KILL:when={which}");
    let end = traced(home, &["-o", "/dev/null", "-e", &inject], arguments);
    // How often a lock is asked for differs from run to run; what was not reached changes nothing here.
    assert!(end == End::Killed(9) || end.is_success(), "{end} at {name} {which}");
}

/// Runs the tool after one that was killed, and once more where it asks for that: a `crontab` that the killed one had
/// started goes on to its own end, and what it changes meanwhile is not overwritten.
#[track_caller]
fn complete(home: &Home, arguments: &[&str]) {
    let mut ran = None;
    wait_until("it is not overtaken", || {
        let now = ran.insert(home.run(arguments));
        !now.stderr.contains("it was changed by another program just now\nhint: run")
    });
    ran.expect("a run").expect_success();
}

/// The files, without those that a running listener goes on writing.
fn files(home: &Home) -> Vec<String> {
    let tree = home.sandbox.tree();
    let is_still = |line: &&str| {
        !["logs/", "state/", ".crontabs/", "backrest.sock"].iter().any(|name| line.contains(name))
    };
    tree.lines().filter(is_still).map(String::from).collect()
}

#[test]
fn a_set_up_that_was_killed_anywhere_is_completed_by_the_next() {
    let home = Home::new();
    let changes = changes(&home, &[]);
    let expected = files(&home);
    for change in changes {
        let home = Home::new();
        run_until(&home, &[], &change);
        complete(&home, &[]);
        assert_eq!(files(&home), expected, "killed at {change:?}");
        home.expect_listeners(1);
        assert_eq!(listener_lines(&home).len(), 1, "killed at {change:?}");
    }
}

#[test]
fn a_removal_that_was_killed_anywhere_is_completed_by_the_next() {
    let home = Home::new();
    let before = home.everything();
    home.set_up();
    removal_restores(&home, &before);
}

#[test]
fn a_removal_of_what_was_taken_over_restores_it_wherever_it_was_killed() {
    let home = Home::new();
    let old = home.backrest("backrest-pipe");
    mkfifo(&old, Mode::from_bits_truncate(0o644)).unwrap();
    home.set_crontab("@reboot /home/me/scripts/backrest-trigger.sh\n# mine\n");
    let before = home.everything();
    home.set_up();
    removal_restores(&home, &before);
}

/// Kills a removal at each of its changes; the next one completes it.
#[track_caller]
fn removal_restores(home: &Home, before: &str) {
    for change in changes(home, &["remove"]) {
        complete(home, &[]);
        run_until(home, &["remove"], &change);
        complete(home, &["remove"]);
        assert_eq!(home.everything(), before, "killed at {change:?}");
        home.expect_listeners(0);
    }
}
