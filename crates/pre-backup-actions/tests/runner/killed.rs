//! `kill -9` at every step: whatever was stopped is brought back by the next start, once or twice, never not at all.
//!
//! strace ends the tool at the first, second, … of each system call that changes something, which is between any two
//! writes, scripts and clears that there are. The scripts themselves are not traced: they would run on and stop the
//! service once more, if no one killed them.

use std::fs;
use std::path::{Path, PathBuf};

use common::testing::{Ran, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scripts::{Home, wait_for, wait_for_end_of};

/// As strace names them; behind a slash stands a pattern, because there are several of a kind.
const CALLS: [&str; 13] = [
    "write",
    "fsync",
    "fdatasync",
    "/^rename",
    "/^unlink",
    "/^mkdir",
    "fchmod",
    "ftruncate",
    "flock",
    "clone3",
    "wait4",
    "pidfd_open",
    "poll",
];

/// Two services that are stopped and started, and the run of `arguments` killed at the given system call.
#[must_use]
#[track_caller]
fn killed(home: &Home, arguments: &[&str], call: &str, when: usize) -> Ran {
    let mut command = home.sandbox.command("strace");
    command.args(["-f", "-b", "execve", "-o", "/dev/null"]);
    command.args(["-e", &format!("inject={call}:signal=KILL:when={when}")]);
    command.arg(env!("CARGO_BIN_EXE_pre-backup-actions")).args(arguments);
    home.sandbox.run(&mut command)
}

#[track_caller]
fn home_with_services() -> Home {
    let home = Home::new();
    for service in ["a", "b"] {
        home.sandbox.write(format!("data/{service}/up"), "");
        home.sandbox.write(format!("data/{service}/dump"), "old\n");
        home.prepare(
            service,
            "# dump: dump kind=any\necho began >>log; rm -f up; sleep 0.02; rm -f up; echo x >\"$DUMP_DIR/dump\"; touch ended",
        );
        home.after(service, "touch up; echo after >>log");
    }
    home
}

#[track_caller]
fn assert_brought_back(home: &Home, context: &str, ran: &Ran) {
    for service in ["a", "b"] {
        let log = home.lines(&format!("data/{service}/log"));
        let began = log.iter().filter(|line| *line == "began").count();
        let after = log.iter().filter(|line| *line == "after").count();
        let everything = || format!("{context}: {service}: {log:?}\n{}", ran.everything());
        assert!(home.exists(&format!("data/{service}/up")), "{}", everything());
        let dump = home.lines(&format!("data/{service}/dump"));
        assert!(dump == ["old"] || dump == ["x"], "{dump:?}: {}", everything());
        assert!(if began > 0 { (1..=2).contains(&after) } else { after <= 1 }, "{}", everything());
    }
    assert!(!home.journal().exists(), "{context}\n{}", ran.everything());
    let state = fs::read_dir(home.sandbox.path("containers/backrest/state/actions")).unwrap();
    let parts = state.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with("part"));
    assert_eq!(parts.count(), 0, "{context}: half a file stays\n{}", ran.everything());
}

/// Kills the preparation everywhere; returns at how many places that was.
#[track_caller]
fn kill_the_preparation(call: &str) -> usize {
    for when in 1.. {
        let home = home_with_services();
        if killed(&home, &["--jobs", "1"], call, when).end.is_success() {
            return when - 1;
        }
        let ran = home.run(&["--after"]).expect_success();
        assert_brought_back(&home, &format!("killed at {call} {when}"), &ran);
    }
    unreachable!("the loop returns")
}

/// Kills the after steps everywhere.
#[track_caller]
fn kill_the_after_steps(call: &str) -> usize {
    for when in 1.. {
        let home = home_with_services();
        home.run(&["--jobs", "1"]).expect_success();
        if killed(&home, &["--after"], call, when).end.is_success() {
            return when - 1;
        }
        let ran = home.run(&["--after"]).expect_success();
        // A script that outlived its killer may still be on its way.
        wait_for_after(&home);
        assert_brought_back(&home, &format!("killed at {call} {when}"), &ran);
    }
    unreachable!("the loop returns")
}

#[track_caller]
fn wait_for_after(home: &Home) {
    let has_run = |service| home.lines(&format!("data/{service}/log")).contains(&"after".to_string());
    wait_until("the after steps ran", || has_run("a") && has_run("b"));
}

#[test]
fn killed_anywhere_while_preparing_everything_comes_back() {
    for call in CALLS {
        let places = kill_the_preparation(call);
        // A journal that is made anew is not synced by this one.
        assert!(places > 0 || call == "fdatasync", "it was killed at no {call}");
    }
}

#[test]
fn killed_anywhere_while_bringing_back_everything_comes_back() {
    let places: usize = CALLS.iter().map(|call| kill_the_after_steps(call)).sum();
    assert!(places > 25, "only {places} places were killed at");
}

/// A new preparation does the same, and the listener's `--if-due` after a boot as well.
#[test]
fn the_next_preparation_or_boot_brings_back_what_a_killed_one_left() {
    let home = home_with_services();
    let when = 2;
    assert!(!killed(&home, &["--jobs", "1"], "wait4", when).end.is_success());
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = fs::read_to_string(home.journal()).unwrap();
    let ran = home.run(&["--after", "--if-due"]).expect_success();
    assert_eq!(ran.stdout, "", "in this boot its time has not come");
    fs::write(home.journal(), text.replace(boot.trim(), "another")).unwrap();
    let ran = home.run(&["--after", "--if-due"]).expect_success();
    assert_brought_back(&home, "after a boot", &ran);
}

#[test]
fn a_script_that_outlived_its_killed_run_is_ended_first() {
    let home = Home::new();
    home.sandbox.write("data/a/up", "");
    home.prepare("a", "echo $$ >group; setsid sleep 60 >/dev/null 2>&1 & echo $! >daemon; until [ -e go ]; do sleep 0.01; done; rm -f up");
    home.after("a", "touch up");
    let mut child = home.start(&[]);
    wait_for(&home.sandbox.path("data/a/daemon"));
    child.kill().unwrap();
    child.wait().unwrap();
    let ran = home.run(&["--after"]).expect_success();
    assert!(
        ran.stdout.starts_with(
            "a | its prepare step was still running although its run had been killed; it was terminated\n"
        ),
        "{}",
        ran.everything()
    );
    let group: i32 = home.lines("data/a/group")[0].parse().unwrap();
    wait_for_end_of(group);
    home.sandbox.write("data/a/go", "");
    assert!(home.exists("data/a/up"));
    // What made a session of its own was meant to stay.
    let daemon = Pid::from_raw(home.lines("data/a/daemon")[0].parse().unwrap());
    kill(daemon, Signal::SIGKILL).expect("the daemon still runs");
}

/// If the session was started outside of our PID namespace, as under some container runtimes, its number is 0.
#[test]
fn in_a_session_without_a_number_it_is_ended_as_well() {
    let home = Home::new();
    home.sandbox.write("data/a/up", "");
    home.prepare("a", "touch began; until [ -e go ]; do sleep 0.01; done; rm -f up");
    home.after("a", "touch up");
    let script = r#"
        "$0" >/dev/null & tool=$!
        until [ -e data/a/began ]; do sleep 0.01; done
        kill -9 $tool; wait $tool 2>/dev/null
        echo session $(cut -d ' ' -f 6 /proc/$$/stat)
        "$0" --after"#;
    let mut command = home.sandbox.command("unshare");
    command.args(["--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script]);
    let ran = home.sandbox.run(command.arg(env!("CARGO_BIN_EXE_pre-backup-actions"))).expect_success();
    let expected = "session 0\na | its prepare step was still running although its run had been killed; it was terminated\n";
    assert!(ran.stdout.starts_with(expected), "{}", ran.everything());
}

/// A program that checks a dump may be kept busy by that dump: it does not go on for ever without us.
#[test]
fn a_check_that_outlives_its_killed_run_ends_by_itself() {
    let home = Home::new();
    home.sandbox.script(
        "bin/sqlite3",
        "#!/bin/sh\necho $$ >\"$HOME/part\"; mv \"$HOME/part\" \"$HOME/pid\"\nwhile :; do :; done\n",
    );
    let make = "/usr/bin/sqlite3 \"$DUMP_DIR/db.sqlite\" 'CREATE TABLE t(a)'";
    home.prepare("app", &format!("# dump: db.sqlite\n# timeout: 2s\n{make}"));
    let mut command = home.command(&[]);
    command.env("PATH", format!("{}:/usr/bin:/bin", home.sandbox.path("bin").display()));
    let mut run = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    wait_for(&home.sandbox.path("pid"));
    run.kill().unwrap();
    run.wait().unwrap();
    let checker: i32 = home.lines("pid")[0].parse().unwrap();
    wait_for_end_of(checker);
}

/// What a killed run left of a dump goes with the next run, whatever that one prepares.
#[test]
fn a_run_without_that_dump_clears_what_a_killed_one_left_of_it() {
    let home = Home::new();
    for folder in ["data/app/sub", "data/old/sub", "containers/box", "data/near/sub"] {
        fs::create_dir_all(home.sandbox.path(folder)).unwrap();
    }
    home.prepare("app", "# dump: sub/db.sql kind=any\necho x >\"$DUMP_DIR/db.sql\"; echo \"$DUMP_DIR\" >where; kill -KILL $PPID");
    home.prepare("old", "# dump: sub/db.sql kind=any\ntrue");
    assert!(!home.run(&["--only", "app"]).end.is_success());
    let left = PathBuf::from(&home.lines("data/app/where")[0]);
    assert!(left.join("db.sql").exists() && left.starts_with(home.sandbox.path("data/app/sub")));
    // As earlier versions named them.
    let earlier =
        ["data/old/sub/.prepare-backup.dump/db.sql", "data/old/sub/.prepare-backup.dump.db.sql.part"];
    let earlier =
        [&earlier[..], &["data/gone/.prepare-backup.dump/x", "containers/box/.prepare-backup.dump/x"]];
    let earlier: Vec<_> = earlier.concat().iter().map(|path| home.sandbox.write(path, "x")).collect();
    // What only looks like them; of another user; in use.
    let kept = [
        "data/near/.prepare-backup.dump.old/x",
        "data/near/.prepare-backup.dump.x.part/x",
        "data/near/prepare-backup.dump.backrest-part/x",
        "data/near/.prepare-backup.dumps.backrest-part/x",
        "data/near/sub/.prepare-backup.dump.backrest-part/x",
        "data/near/.prepare-backup.dump/x",
        "data/near/.prepare-backup.dump.backrest-part/x",
        "data/near/.prepare-backup.dump.2.backrest-part/x",
    ];
    let kept = kept.map(|path| home.sandbox.write(path, "x"));
    for path in &kept[5..7] {
        std::os::unix::fs::chown(path.parent().unwrap(), Some(65534), None).unwrap();
    }
    let folder = fs::File::open(kept[7].parent().unwrap()).unwrap();
    let lock = nix::fcntl::Flock::lock(folder, nix::fcntl::FlockArg::LockExclusiveNonblock).unwrap();
    home.prepare("app", "true");
    home.prepare("other", "true");
    home.run(&["--only", "other"]).expect_success();
    assert!(!left.exists(), "{}", left.display());
    for path in &earlier {
        assert!(
            !path.exists() && path.parent().is_some_and(|above| above.is_dir() == above.ends_with("sub")),
            "{}",
            path.display()
        );
    }
    for path in &kept {
        assert!(path.exists(), "{}", path.display());
    }
    drop(lock);
    home.run(&["--only", "other"]).expect_success();
    assert!(!kept[7].exists() && kept[..7].iter().all(|path| path.exists()));
}

/// Two Backrests may share a data root.
#[test]
fn what_a_run_that_goes_on_is_writing_stays() {
    let home = Home::new();
    home.prepare(
        "app",
        "# dump: db.sql kind=any\necho x >\"$DUMP_DIR/db.sql\"; [ -e again ] && exit; echo \"$DUMP_DIR\" >again; until [ -e go ]; do sleep 0.01; done",
    );
    let mut child = home.start(&[]);
    wait_for(&home.sandbox.path("data/app/again"));
    fs::create_dir(home.sandbox.path("containers/second")).unwrap();
    let second = home.sandbox.path("containers/second").display().to_string();
    home.run(&["--container-dir", &second]).expect_success();
    assert!(Path::new(&home.lines("data/app/again")[0]).join("db.sql").exists());
    home.sandbox.write("data/app/go", "");
    assert!(child.wait().unwrap().success());
    assert_eq!(home.lines("data/app/db.sql"), ["x"]);
    let left = fs::read_dir(home.sandbox.path("data/app")).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(left.filter(|name| name.as_encoded_bytes().starts_with(b".")).count(), 0);
}
