//! `remove`: what was there before is there again, and nothing else.

use std::fs;
use std::os::unix::fs::MetadataExt;

use common::lock::{Attempt, attempt};
use common::testing::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::home::Home;

#[test]
fn everything_that_was_added_goes_and_nothing_else() {
    let home = Home::new();
    home.sandbox.write("containers/backrest/.env", "TZ=UTC\n");
    let before = home.everything();
    home.set_up();
    assert_ne!(home.everything(), before);
    // Too long to be read: the next listener keeps it aside.
    home.sandbox.write("containers/backrest/logs/messages.txt", vec![b'x'; 2 << 20]);
    kill(Pid::from_raw(home.listener().unwrap()), Signal::SIGKILL).unwrap();
    // A killed process loses its locks after its command line.
    let lock = home.backrest("state/listener.lock");
    wait_until("the lock is free", || matches!(attempt(&lock), Ok(Attempt::Held(_))));
    home.set_up();
    assert!(home.backrest("logs/messages.txt.old").exists());
    let ran = home.run(&["remove"]).expect_success();
    assert_eq!(home.everything(), before, "{}", ran.everything());
    home.expect_listeners(0);
    let again = home.run(&["remove"]).expect_success();
    assert_eq!(again.stdout, "Nothing is in place: nothing was changed.\n");
}

#[test]
fn folders_and_a_crontab_that_were_there_before_stay() {
    let home = Home::new();
    home.sandbox.write("containers/backrest/logs/theirs.log", "kept");
    fs::create_dir(home.backrest("state")).unwrap();
    home.set_crontab("# nothing but this comment\n");
    let before = home.everything();
    home.set_up();
    home.run(&["remove"]).expect_success();
    assert_eq!(home.everything(), before);
}

#[test]
fn an_old_fifo_goes_back_to_its_place_with_its_inode() {
    let home = Home::new();
    // As mkfifo(1) makes it, which others may read.
    mkfifo(&home.backrest("backrest-pipe"), Mode::from_bits_truncate(0o644)).unwrap();
    let inode = fs::metadata(home.backrest("backrest-pipe")).unwrap().ino();
    let before = home.everything();
    home.set_up();
    home.set_up();
    home.run(&["remove"]).expect_success();
    assert_eq!(home.everything(), before);
    assert_eq!(fs::metadata(home.backrest("backrest-pipe")).unwrap().ino(), inode);
}

#[test]
fn what_others_have_put_into_the_bridge_stays_and_is_named() {
    let home = Home::new();
    home.set_up();
    home.sandbox.write("containers/backrest/bridge/notes", "theirs");
    let dry = home.run(&["remove", "--dry-run"]).expect_success();
    let kept =
        format!("keep      {}/, because something else is in it: notes", home.backrest("bridge").display());
    assert!(dry.stdout.contains(&kept), "{}", dry.everything());
    assert_eq!(dry.stdout.matches("because").count(), 1, "{}", dry.everything());
    let ran = home.run(&["remove"]).expect_success();
    assert!(ran.stdout.contains("notes"), "{}", ran.everything());
    assert_eq!(home.sandbox.read("containers/backrest/bridge/notes"), "theirs");
}

#[test]
fn the_bash_listeners_line_comes_back() {
    let home = Home::new();
    let text = "# mine\n@reboot /home/me/scripts/backrest-trigger.sh &\n0 3 * * * /bin/true \\%d\n";
    home.set_crontab(text);
    let before = home.everything();
    home.set_up();
    // To another supervisor and back again.
    for supervisor in ["none", "cron"] {
        home.run(&["--supervisor", supervisor]).expect_success();
        assert!(!home.crontab().unwrap().contains("backrest-trigger.sh"), "{supervisor}");
    }
    home.run(&["remove"]).expect_success();
    // What went to another supervisor meanwhile has lost its place among the lines, which order is no matter.
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(String::from).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&home.crontab().unwrap()), sorted(text));
    home.set_crontab(text);
    assert_eq!(home.everything(), before);
    home.set_up();
    home.run(&["remove"]).expect_success();
    assert_eq!(home.everything(), before);
    home.run(&["--supervisor", "none"]).expect_success();
    assert!(!home.crontab().unwrap().contains("backrest-trigger.sh"));
    home.run(&["remove"]).expect_success();
    assert_eq!(sorted(&home.crontab().unwrap()), sorted(text));
}
