//! After a restart of the machine, a long pause, a clock that was set back, a full disk.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::testing::{built, copy_program, wait_until};

use crate::host::Host;

impl Host {
    /// Lets `note old` wait in the queue of a listener that is killed, and changes the journal.
    #[track_caller]
    fn with_old_journal(change: impl Fn(&str) -> String) -> Host {
        let mut host = Host::listening();
        host.note_and_gate();
        host.write("gate\nnote old\n");
        let journal = host.sandbox.path("containers/backrest/state/queue/journal");
        wait_until("both are written down", || fs::read_to_string(&journal).unwrap().contains("note old"));
        host.kill();
        host.open_gate();
        let text = fs::read_to_string(&journal).unwrap();
        let changed = change(&text);
        assert_ne!(text, changed);
        fs::write(&journal, changed).unwrap();
        host
    }
}

#[track_caller]
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_string()
}

/// Adds to every number that follows `key`.
#[track_caller]
fn shifted(text: &str, key: &str, by: i64) -> String {
    let mut parts = text.split(key);
    let first = parts.next().unwrap().to_string();
    parts.fold(first, |out, part| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap();
        let number: i64 = part[..end].parse().unwrap();
        format!("{out}{key}{}{}", number + by, &part[end..])
    })
}

#[test]
fn after_a_restart_of_the_machine_a_young_message_runs_and_what_was_running_is_reported() {
    let mut host = Host::with_old_journal(|text| text.replace(&boot_id(), "another-boot"));
    host.start();
    assert_eq!(host.wait_for_notes(1), ["old"]);
    host.wait_for_log("gate (pipe): failed: the listener stopped while it ran");
}

#[test]
fn an_old_message_is_reported_and_not_run() {
    let mut host = Host::with_old_journal(|text| shifted(text, "\"up\":", -700_000));
    host.start();
    host.wait_for_log("note old (pipe): dropped: it is older than 10 min");
    host.send(&["note", "new"]).expect_success();
    assert_eq!(host.notes(), ["new"]);
    assert!(host.send(&["status"]).stdout.contains("last-lost: "), "status reports it");
}

#[test]
fn a_clock_that_was_set_back_changes_nothing_within_a_boot() {
    let mut host = Host::with_old_journal(|text| shifted(text, "\"wall\":", 1_000_000_000));
    host.start();
    assert_eq!(host.wait_for_notes(1), ["old"]);
}

#[test]
fn a_message_from_the_future_of_another_boot_is_reported_and_not_run() {
    let mut host = Host::with_old_journal(|text| {
        shifted(text, "\"wall\":", 1_000_000_000).replace(&boot_id(), "another-boot")
    });
    host.start();
    host.wait_for_log("note old (pipe): dropped: its age is unknown, the clock was set back");
}

#[test]
fn where_the_journal_is_damaged_nothing_runs_twice_and_what_may_be_lost_is_reported() {
    type Damage = fn(&Path);
    let kinds: [(&str, Damage); 4] = [
        ("removed", |journal| fs::remove_file(journal).unwrap()),
        ("cut", |journal| fs::write(journal, &fs::read(journal).unwrap()[..20]).unwrap()),
        ("overwritten", |journal| fs::write(journal, b"\xff\0\x1b[2J\n{}\n").unwrap()),
        ("of another version", |journal| {
            let text = fs::read_to_string(journal).unwrap();
            fs::write(journal, text.replace("\"accepted\"", "\"taken\"").replace("\"next\"", "\"then\""))
                .unwrap();
        }),
    ];
    for (kind, damage) in kinds {
        let mut host = Host::listening();
        host.note_and_gate();
        host.write("note one\nnote two\n");
        host.wait_for_notes(2);
        host.wait_for_log("note two (pipe): done");
        host.kill();
        damage(&host.sandbox.path("containers/backrest/state/queue/journal"));
        host.start();
        host.write("note three\n");
        assert_eq!(host.wait_for_notes(3), ["one", "two", "three"], "{kind}");
        let log = host.log();
        let dropped = "note two (pipe): dropped: the queue is damaged, it may have run already";
        assert!(log.contains(dropped), "{kind}: {log}");
        assert!(host.send(&["status"]).stdout.contains("last-lost: "), "{kind}: status reports it");
        // It is reported once.
        host.kill();
        host.start();
        assert_eq!(host.log().matches("may have run already").count(), 2, "{kind}: {}", host.log());
        assert_eq!(host.notes().len(), 3, "{kind}");
    }
}

/// Starts the listener with its state on a small disk of its own, which only it sees. Returns the path to that.
#[track_caller]
fn start_on_a_small_disk(host: &mut Host) -> String {
    let state = host.sandbox.path("containers/backrest/state");
    fs::create_dir(&state).unwrap();
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=256k none \"$0\" && exec \"$1\"";
    command.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(&state).arg(&host.program);
    command.env_clear().envs(host.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
    host.listener = Some(command.spawn().expect("run unshare (Debian package util-linux)"));
    wait_until("the listener answers", || host.send(&["ping"]).end.is_success());
    format!("/proc/{}/root{}", host.process(), state.display())
}

#[test]
fn on_a_full_disk_a_message_is_refused_and_what_came_through_the_fifo_waits_for_room() {
    let mut host = Host::new();
    host.note_and_gate();
    let seen = start_on_a_small_disk(&mut host);
    host.send(&["note", "before"]).expect_success();

    let filler = format!("{seen}/filler");
    fs::write(&filler, vec![b'x'; 1 << 20]).unwrap_err();
    // What is left of the journal's last page is used up first.
    wait_until("the disk is full", || {
        host.send(&["note", &"x".repeat(4000)]).end != common::process::End::Exited(0)
    });
    let notes = host.notes().len();
    let ran = host.send(&["note", &"y".repeat(4000)]).expect_code(75);
    assert!(
        ran.stderr.contains("not accepted, it can't be written down: No space left on device"),
        "{}",
        ran.stderr
    );
    // What bears a delay waits where it needs no room on the disk.
    let ran = host.send(&["notify-down", &"w".repeat(4040)]).expect_code(75);
    assert!(ran.stderr.ends_with("backrest-send: the message waits in the FIFO\n"), "{}", ran.stderr);
    // What was refused is nothing that it has to come back to.
    std::thread::sleep(Duration::from_secs(6));
    assert!(host.busy() < 0.1, "it spins");
    host.write(format!("note {}\nnote patient\n", "z".repeat(4000)));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(host.notes().len(), notes);
    host.send(&["ping"]).expect_success();

    fs::remove_file(&filler).unwrap();
    wait_until("it runs", || host.notes().last().is_some_and(|note| note == "patient"));
    assert!(!host.notes().iter().any(|note| note.starts_with('y')), "what was refused never runs");
    host.wait_for_log("ww… (pipe): failed");
}

#[test]
fn what_the_listener_asks_itself_for_waits_for_room_on_a_full_disk() {
    let mut host = Host::with_push_address("http://127.0.0.1:1");
    host.note_and_gate();
    let seen = start_on_a_small_disk(&mut host);
    let mut gate = host.send_aside(&["gate"]);
    wait_until("it runs", || host.send(&["status"]).stdout.contains("#1 gate"));
    let mut hook = host.send_aside(&["pre-backups", "--failure-cancels"]);
    wait_until("the hook waits", || host.send(&["status"]).stdout.contains("waiting: 1\n"));
    let filler = format!("{seen}/filler");
    fs::write(&filler, vec![b'x'; 1 << 20]).unwrap_err();
    // What is left of the journal's last page is used up as well.
    for length in [4000, 1] {
        wait_until("the disk is full", || !host.send(&["notify-down", &"x".repeat(length)]).end.is_success());
    }
    hook.kill().unwrap();
    hook.wait().unwrap();
    host.wait_for_log("its client went away before it ran");
    let is_accepted = || {
        let journal = fs::read_to_string(format!("{seen}/queue/journal")).unwrap_or_default();
        journal.contains("Backrest went away before it ran")
    };
    assert!(!is_accepted(), "the disk is full");
    fs::remove_file(&filler).unwrap();
    wait_until("its failure is to be pushed", is_accepted);
    host.open_gate();
    gate.wait().unwrap();
}

/// The real prepare steps of a service, which wait at a gate while it is stopped.
#[track_caller]
pub(crate) fn stopped_service(host: &mut Host) {
    host.with_tools(&[("build-ignore", "")]);
    let tool = host.program.with_file_name("pre-backup-actions");
    copy_program(built("pre-backup-actions", "pre-backup-actions"), tool);
    let prepare = "#!/bin/sh\necho stopped >> ../../notes\nuntil [ -e ../../gate ]; do sleep 0.02; done\n";
    host.sandbox.script("data/shop/prepare-backup.sh", prepare);
    host.sandbox.script("data/shop/after-backup.sh", "#!/bin/sh\necho started >> ../../notes\n");
}

#[test]
fn what_a_prepare_step_stopped_comes_back_after_the_listener_was_killed_under_it() {
    let mut host = Host::new();
    stopped_service(&mut host);
    host.start();
    let hook = host.send_aside(&["pre-backups", "--failure-cancels"]);
    assert_eq!(host.wait_for_notes(1), ["stopped"]);
    host.kill();
    // The hook fails and Backrest cancels the backup. What it then sends waits for the next listener.
    assert_eq!(hook.wait_with_output().unwrap().status.code(), Some(1));
    host.send(&["post-backups"]).expect_code(75);
    host.start();
    host.wait_for_log("pre-backups --failure-cancels (socket): failed: the listener stopped while it ran");
    host.open_gate();
    assert_eq!(host.wait_for_notes(2), ["stopped", "started"]);
    host.wait_for_log("post-backups (timer): done");
}

#[test]
fn what_a_prepare_step_stopped_comes_back_after_the_listener_ended_in_its_middle() {
    let mut host = Host::new();
    stopped_service(&mut host);
    host.arguments = vec!["--grace".into(), "0s".into()];
    host.start();
    let hook = host.send_aside(&["pre-backups", "--failure-cancels"]);
    assert_eq!(host.wait_for_notes(1), ["stopped"]);
    host.terminate();
    assert_eq!(hook.wait_with_output().unwrap().status.code(), Some(1));
    host.send(&["post-backups"]).expect_code(75);
    host.start();
    assert_eq!(host.wait_for_notes(2), ["stopped", "started"]);
    assert!(!host.log().contains("find out what is prepared"), "no fault: {}", host.log());
    // Once: nothing is left for the start after that.
    host.terminate();
    host.start();
    host.send(&["post-backups"]).expect_success();
    assert_eq!(host.notes(), ["stopped", "started"]);
}

#[test]
fn prepare_steps_that_still_waited_when_their_hook_failed_are_not_run() {
    for is_crash in [true, false] {
        let mut host = Host::new();
        stopped_service(&mut host);
        host.action("busy", "until [ -e \"$HOME/gate\" ]; do sleep 0.02; done");
        host.arguments = vec!["--grace".into(), "0s".into()];
        host.start();
        host.write("busy\n");
        wait_until("it runs", || host.send(&["status"]).stdout.contains("busy"));
        let hook = host.send_aside(&["pre-backups"]);
        wait_until("it waits", || host.send(&["status"]).stdout.contains("waiting: 1\n"));
        if is_crash {
            host.kill();
        } else {
            host.terminate();
        }
        let ran = hook.wait_with_output().unwrap();
        assert_eq!(ran.status.code(), Some(if is_crash { 1 } else { 75 }), "{ran:?}");
        assert_eq!(String::from_utf8_lossy(&ran.stderr).contains("this is not run"), !is_crash, "{ran:?}");
        host.start();
        host.wait_for_log(
            "pre-backups (socket): dropped: its backup was cancelled when the listener stopped",
        );
        host.send(&["post-backups"]).expect_success();
        assert!(host.notes().is_empty(), "{:?}", host.notes());
    }
}

#[test]
fn a_backup_that_does_not_wait_for_its_prepare_steps_is_not_taken_for_cancelled() {
    let mut host = Host::new();
    stopped_service(&mut host);
    host.start();
    host.write("pre-backups\n");
    assert_eq!(host.wait_for_notes(1), ["stopped"]);
    host.kill();
    host.start();
    host.wait_for_log("pre-backups (pipe): failed: the listener stopped while it ran");
    host.open_gate();
    host.send(&["post-backups"]).expect_success();
    assert_eq!(host.notes(), ["stopped", "started"]);
    assert!(!host.log().contains("(timer)"), "{}", host.log());
}

/// The journal of the listener that was killed, as it would be after a long pause.
#[track_caller]
fn age_the_journal(host: &Host) {
    let journal = host.sandbox.path("containers/backrest/state/queue/journal");
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, shifted(&text, "\"up\":", -700_000)).unwrap();
}

#[test]
fn that_a_backup_is_over_does_not_grow_old() {
    let mut host = Host::new();
    stopped_service(&mut host);
    host.open_gate();
    host.action("busy", "until [ -e \"$HOME/open\" ]; do sleep 0.02; done");
    host.start();
    host.send(&["pre-backups"]).expect_success();
    host.write("busy\npost-backups\n");
    wait_until("it waits", || host.send(&["status"]).stdout.contains("waiting: 1\n"));
    host.kill();
    host.sandbox.write("open", "");
    age_the_journal(&host);
    host.start();
    assert_eq!(host.wait_for_notes(2), ["stopped", "started"]);
}

#[test]
fn after_steps_that_the_listener_was_killed_under_run_again() {
    let mut host = Host::new();
    stopped_service(&mut host);
    host.open_gate();
    let after = "#!/bin/sh\necho starting >> ../../notes\nuntil [ -e ../../open ]; do sleep 0.02; done\n\
                 echo started >> ../../notes\n";
    host.sandbox.script("data/shop/after-backup.sh", after);
    host.start();
    host.send(&["pre-backups"]).expect_success();
    let hook = host.send_aside(&["post-backups"]);
    assert_eq!(host.wait_for_notes(2), ["stopped", "starting"]);
    host.kill();
    assert_eq!(hook.wait_with_output().unwrap().status.code(), Some(1));
    host.sandbox.write("open", "");
    age_the_journal(&host);
    host.start();
    host.wait_for_log("post-backups (socket): failed: the listener stopped while it ran");
    host.wait_for_log("post-backups (timer): done");
    assert_eq!(host.notes().last().unwrap(), "started");
}

#[test]
fn every_tool_names_inodes_if_it_is_them_that_are_used_up() {
    let host = Host::new();
    let script = "mount -t tmpfs -o size=1m,nr_inodes=20 none \"$HOME\" && cd \"$HOME\" && \
                  mkdir -p containers/wiki data/wiki && while touch \"data/wiki/$((n += 1))\"; do :; done 2>&- \n\
                  exec \"$@\"";
    for (tool, arguments) in [
        ("build-ignore", &[] as &[&str]),
        ("create-backrest-pipe", &["--supervisor", "none"]),
        ("new-container", &["notes", "--image", "x:1"]),
        ("ssh-key-setup", &["root@127.0.0.1", "--port", "1"]),
    ] {
        let mut command = host.sandbox.command("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        let ran = host.sandbox.run(command.arg(built(tool, tool)).args(arguments)).expect_code(1);
        let expected = format!("hint: free inodes, not space (see: df -i {}", host.sandbox.home().display());
        assert!(ran.stderr.contains(&expected), "{tool}: {}", ran.stderr);
    }
    let mut command = host.sandbox.command("sh");
    command.args(["-c", "exec \"$0\" --help > /dev/full"]).arg(built("build-ignore", "build-ignore"));
    let ran = host.sandbox.run(&mut command);
    assert!(!ran.stderr.contains("inodes"), "{}", ran.stderr);
}
