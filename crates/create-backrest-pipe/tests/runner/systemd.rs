//! `--supervisor`: the user unit, read by the real `systemd-analyze`, and the way from cron to systemd and back.
//!
//! `systemctl` is a stand-in here: it does with links and processes what `enable`, `disable` and `restart` do, so that
//! a test can stop between any two of them. The real one is in [`service_manager`](crate::service_manager).

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use common::testing::{Ran, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::home::Home;
use crate::set_up::listener_lines;

const SYSTEMCTL: &str = r#"#!/bin/sh
units="$HOME/.config/systemd/user"
[ "$1" = --user ] && shift
case "$1" in
enable) mkdir -p "$units/default.target.wants"; ln -s ../pipe-listener.service "$units/default.target.wants/" ;;
disable)
    rm "$units/default.target.wants/pipe-listener.service"; rmdir "$units/default.target.wants"
    # If no one reaps it, a process that has exited stays as a zombie, for which kill -0 still succeeds.
    id=$(cat "$HOME/unit.pid"); kill "$id"
    while grep -qs '^State:[[:blank:]]*[^[:blank:]Z]' "/proc/$id/status"; do sleep 0.02; done
    rm "$HOME/unit.pid" ;;
restart)
    command=$(sed -n 's/^ExecStart=//p' "$units/pipe-listener.service")
    export IN_UNIT="$HOME"
    eval "setsid $command >/dev/null 2>&1 </dev/null & echo \$! > '$HOME/unit.pid'"
    # Type=notify: it returns when the listener is ready.
    backrest="$HOME/containers/backrest"
    until grep -qs "^process $(cat "$HOME/unit.pid") " "$backrest/state/listener.lock" && [ -S "$backrest/bridge/backrest.sock" ]; do
        sleep 0.02
    done ;;
esac
"#;

fn unit(home: &Home) -> std::path::PathBuf {
    home.sandbox.path(".config/systemd/user/pipe-listener.service")
}

/// Runs the tool where the stand-in is the first `systemctl`.
#[must_use]
#[track_caller]
fn try_run(home: &Home, arguments: &[&str]) -> Ran {
    let programs = home.sandbox.path("programs");
    let mut command = home.tool(arguments);
    let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", programs.display());
    home.sandbox.run(command.env("PATH", path))
}

#[track_caller]
fn run(home: &Home, arguments: &[&str]) -> Ran {
    try_run(home, arguments).expect_success()
}

#[track_caller]
fn home() -> Home {
    let home = Home::new();
    home.sandbox.script("programs/systemctl", SYSTEMCTL);
    home
}

#[test]
fn systemd_reads_the_unit_and_finds_it_hardened() {
    let home = home();
    run(&home, &["--supervisor", "systemd"]);
    let analyze = |arguments: &[&str]| {
        let mut command = home.sandbox.command("systemd-analyze");
        command.env("XDG_RUNTIME_DIR", home.sandbox.path("programs"));
        home.sandbox.run(command.args(arguments).arg(unit(&home))).expect_success()
    };
    let verified = analyze(&["--user", "verify"]);
    assert!(!verified.stderr.contains("pipe-listener"), "{}", verified.everything());
    // 9.6 is a unit that forbids nothing. What a user's service manager can't do counts against it as well.
    analyze(&["security", "--offline=yes", "--no-pager", "--threshold=70"]);
}

#[test]
fn systemd_takes_the_listener_over_from_cron_and_returns_it() {
    let home = home();
    let before = home.everything();
    run(&home, &[]);
    let first = home.listener().unwrap();

    let ran = run(&home, &["--supervisor", "systemd"]);
    assert!(listener_lines(&home).is_empty(), "{}", ran.everything());
    let second = home.listener().unwrap();
    assert_ne!(first, second);
    assert!(ran.stdout.contains("systemctl --user restart pipe-listener.service"), "{}", ran.everything());
    home.expect_listeners(1);

    let ran = run(&home, &["--supervisor", "cron"]);
    assert!(!unit(&home).exists());
    assert_eq!(listener_lines(&home).len(), 1, "{}", ran.everything());
    wait_until("the first listener of cron again", || home.listener().is_some_and(|now| now != second));

    run(&home, &["remove"]);
    assert_eq!(home.everything(), before);
}

/// What systemd does when the unit's main process has ended by itself: unless the unit says that it alone counts, it
/// ends whatever else was started from it.
#[track_caller]
fn clean_up_after_a_crash(home: &Home) {
    let text = fs::read_to_string(unit(home)).unwrap();
    if text.lines().any(|line| line == "KillMode=process") {
        return;
    }
    let mark = format!("IN_UNIT={}\0", home.sandbox.home().display());
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let process = entry.file_name().to_str().and_then(|id| id.parse().ok());
        if let Some(id) = process.filter(|_| String::from_utf8_lossy(&environment).contains(&mark)) {
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

#[test]
fn a_crash_under_systemd_loses_no_message_and_ends_no_action() {
    let home = home();
    home.sandbox.script("containers/backrest/actions/note", "#!/bin/sh\necho \"$1\" >> \"$HOME/notes\"\n");
    let slow = "#!/bin/sh\n: > \"$HOME/started\"\nuntil [ -e \"$HOME/go\" ]; do sleep 0.02; done\n: > \"$HOME/done\"\n";
    home.sandbox.script("containers/backrest/actions/slow", slow);
    run(&home, &["--supervisor", "systemd"]);
    let fifo = home.backrest("bridge/backrest-pipe");
    let write = |text: &str| {
        // As a hook's echo, but it fails if no one has the FIFO open.
        let mut options = fs::OpenOptions::new();
        let mut fifo = options.write(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(&fifo)?;
        fifo.write_all(text.as_bytes())
    };
    write("slow\n").unwrap();
    wait_until("the action runs", || home.sandbox.path("started").exists());

    let crashed = home.listener().unwrap();
    kill(Pid::from_raw(crashed), Signal::SIGKILL).unwrap();
    wait_until("the listener is gone", || home.listener().is_none());
    clean_up_after_a_crash(&home);
    write("note meanwhile\n").expect("the FIFO is held open");
    let mut systemctl = home.sandbox.command(home.sandbox.path("programs/systemctl"));
    home.sandbox.run(systemctl.args(["--user", "restart", "pipe-listener.service"])).expect_success();
    wait_until("the message runs", || home.sandbox.path("notes").exists());
    assert_eq!(home.sandbox.read("notes"), "meanwhile\n");
    home.sandbox.write("go", "");
    wait_until("the action goes on to its end", || home.sandbox.path("done").exists());
}

#[test]
fn removing_takes_the_unit_away_too() {
    let home = home();
    let before = home.everything();
    run(&home, &["--supervisor", "systemd"]);
    let ran = run(&home, &["remove"]);
    assert_eq!(home.everything(), before, "{}", ran.everything());
}

#[test]
fn a_unit_of_another_origin_is_left_alone() {
    let home = home();
    home.sandbox.write(".config/systemd/user/pipe-listener.service", "[Service]\nExecStart=/bin/true\n");
    let before = home.everything();
    let ran = try_run(&home, &["--supervisor", "systemd"]).expect_code(1);
    assert!(
        ran.stderr.contains("there is one that create-backrest-pipe has not made"),
        "{}",
        ran.everything()
    );
    assert_eq!(home.everything(), before);
    run(&home, &[]);
    run(&home, &["remove"]);
    assert_eq!(home.everything(), before);
}

#[test]
fn without_a_service_manager_nothing_is_half_done_and_the_hint_says_what_to_choose() {
    let home = Home::new();
    let before = home.everything();
    let ran = home.run(&["--supervisor", "systemd"]).expect_code(1);
    assert!(ran.stderr.contains("or choose --supervisor cron"), "{}", ran.everything());
    assert_eq!(home.everything(), before);
    home.run(&["--supervisor", "cron"]).expect_success();
    assert!(home.listener().is_some());
}

#[test]
fn who_starts_it_alone_gets_neither_line_nor_unit_nor_listener() {
    let home = Home::new();
    home.run(&["--supervisor", "none"]).expect_success();
    assert_eq!((home.crontab(), home.listener()), (None, None));
    let again = home.run(&[]).expect_success();
    assert!(again.stdout.starts_with("Everything is in place"), "{}", again.everything());
    let ran = home.run(&["status"]).expect_code(1);
    let listener = home.sandbox.path(".local/bin/pipe-listener");
    let start = format!("→ start it in your own way: {}\n", listener.display());
    assert!(ran.stdout.contains(&start), "{}", ran.everything());
    let mut own = Command::new(home.sandbox.path(".local/bin/pipe-listener"));
    let mut own = own.env("HOME", home.sandbox.home()).spawn().unwrap();
    wait_until("the listener that was started by hand", || home.backrest("state/listener.lock").exists());
    assert!(fs::metadata(home.backrest("bridge/backrest-pipe")).is_ok());
    own.kill().unwrap();
    own.wait().unwrap();
}
