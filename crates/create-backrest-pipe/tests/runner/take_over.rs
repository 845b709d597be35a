//! A home in which the Bash scripts worked before.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use common::testing::wait_until;

use crate::home::{Home, in_background};
use crate::set_up::listener_lines;

pub(crate) const BASH_LISTENER: &str = r#"#!/bin/bash
pipe="$HOME/containers/backrest/backrest-pipe"
while true; do
    if read -r line < "$pipe"; then echo "$line" >> "$HOME/stolen"; fi
done
"#;

#[test]
fn an_old_fifo_keeps_its_inode_so_a_running_container_keeps_its_pipe() {
    let home = Home::new();
    let old = home.backrest("backrest-pipe");
    mkfifo(&old, Mode::from_bits_truncate(0o644)).unwrap();
    let inode = fs::metadata(&old).unwrap().ino();
    // What a container's bind mount holds: the inode, by whatever name it was found.
    let container =
        OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(&old).unwrap();
    let ran = home.set_up();
    assert!(ran.stdout.contains("the same one"), "{}", ran.everything());
    for path in ["bridge/backrest-pipe", "backrest-pipe"] {
        assert_eq!(fs::metadata(home.backrest(path)).unwrap().ino(), inode, "{path}");
    }
    assert!(fs::symlink_metadata(&old).unwrap().is_symlink());
    (&container).write_all(b"start-of-nothing\n").unwrap();
    let listener = home.listener().unwrap();
    let opened = fs::read_dir(format!("/proc/{listener}/fd")).unwrap().flatten();
    let inodes: Vec<_> = opened.filter_map(|fd| Some(fs::metadata(fd.path()).ok()?.ino())).collect();
    assert!(inodes.contains(&inode), "the listener listens on the container's FIFO");
}

#[test]
fn an_old_fifo_beside_a_newer_one_wins_and_the_listener_follows() {
    let home = Home::new();
    home.set_up();
    let first = home.listener().unwrap();
    fs::remove_file(home.backrest("backrest-pipe")).unwrap();
    mkfifo(&home.backrest("backrest-pipe"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let inode = fs::metadata(home.backrest("backrest-pipe")).unwrap().ino();
    home.set_up();
    assert_eq!(fs::metadata(home.backrest("bridge/backrest-pipe")).unwrap().ino(), inode);
    assert_ne!(home.listener().unwrap(), first);
    home.expect_listeners(1);
}

#[test]
fn the_bash_listener_and_its_crontab_line_give_way_and_all_other_lines_stay() {
    let home = Home::new();
    let script = home.sandbox.script("scripts/backrest-trigger.sh", BASH_LISTENER);
    mkfifo(&home.backrest("backrest-pipe"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let (before, after) = ("MAILTO=\"\"\n# nightly\n0 3 * * * /bin/true \\%d\n", "@reboot /bin/true\n");
    home.set_crontab(&format!("{before}@reboot {} &\n{after}", script.display()));
    // Both in one namespace: from within a user namespace the processes outside it can't be looked at.
    let both = r#"bash "$1" & until tr '\0' ' ' </proc/$!/cmdline | grep -q trigger; do sleep 0.01; done; exec "$2""#;
    let mut command = home.with_crontabs("sh");
    command.args(["-c", both, "sh"]).arg(&script).arg(home.sandbox.path(".local/bin/create-backrest-pipe"));
    let ran = home.sandbox.run(&mut command).expect_success();
    assert!(ran.stdout.contains("the Bash listener that runs"), "{}", ran.everything());
    assert!(ran.stdout.contains(&format!("- @reboot {} &", script.display())), "{}", ran.everything());
    wait_until("the Bash listener ends", || home.processes("backrest-trigger.sh").is_empty());
    let lines = listener_lines(&home);
    assert_eq!(lines.len(), 1);
    assert_eq!(home.crontab().unwrap(), format!("{before}{}\n{after}", lines[0]));
    assert!(home.set_up().stdout.starts_with("Everything is in place"));
}

#[test]
fn a_bash_listener_of_another_home_goes_on() {
    let (home, other) = (Home::new(), Home::new());
    let script = other.sandbox.script("scripts/backrest-trigger.sh", BASH_LISTENER);
    mkfifo(&other.backrest("backrest-pipe"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let mut bash = in_background(other.sandbox.command("bash").arg(&script));
    wait_until("the Bash listener runs", || other.processes("backrest-trigger.sh").len() == 1);
    home.set_up();
    assert!(bash.try_wait().unwrap().is_none());
    bash.kill().unwrap();
    bash.wait().unwrap();
}
