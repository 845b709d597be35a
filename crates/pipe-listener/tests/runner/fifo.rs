//! The FIFO: what is written to it runs once, whatever happens to the listener.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use common::testing::wait_until;

use crate::host::Host;

#[test]
fn messages_that_wait_when_the_listener_is_killed_run_afterwards() {
    let mut host = Host::listening();
    host.note_and_gate();
    host.write("gate\n");
    host.wait_for_log_start();
    for number in 1..=5 {
        host.write(format!("note {number}\n"));
    }
    host.kill();
    host.open_gate();
    host.start();
    assert_eq!(host.wait_for_notes(5), ["1", "2", "3", "4", "5"]);
    host.wait_for_log("gate (pipe): failed: the listener stopped while it ran");
}

#[test]
fn what_is_written_while_the_listener_is_dead_neither_blocks_nor_is_lost() {
    let mut host = Host::listening();
    host.note_and_gate();
    host.kill();
    host.write("note dead\n");
    host.start();
    host.write("note alive\n");
    assert_eq!(host.wait_for_notes(2), ["dead", "alive"]);
}

#[test]
fn a_message_without_its_newline_is_handled() {
    let host = Host::listening();
    host.note_and_gate();
    host.write("note closed");
    assert_eq!(host.wait_for_notes(1), ["closed"]);
    // Its writer stays, and says nothing more.
    let mut writer = host.open_fifo();
    writer.write_all(b"note silent").unwrap();
    assert_eq!(host.wait_for_notes(2), ["closed", "silent"]);
    writer.write_all(b"note after\r\n").unwrap();
    assert_eq!(host.wait_for_notes(3)[2], "after");
}

#[test]
fn a_hook_that_writes_never_waits_for_the_action_before_it() {
    let host = Host::listening();
    host.note_and_gate();
    host.write("gate\n");
    let started = Instant::now();
    for number in 0..200 {
        // More than a FIFO holds at a time, if nothing reads it meanwhile.
        host.write_patiently(format!("note {number} {}\n", "x".repeat(1000)));
    }
    assert!(started.elapsed() < Duration::from_secs(20), "writing waited");
    assert!(host.notes().is_empty(), "the gate is still closed");
    host.open_gate();
    let notes = host.wait_for_notes(200);
    assert!(
        notes.iter().enumerate().all(|(number, note)| note.starts_with(&format!("{number} "))),
        "in order"
    );
}

#[test]
fn a_writer_of_more_than_a_fifo_holds_has_no_line_cut_when_it_closes() {
    let host = Host::listening();
    host.note_and_gate();
    let text: String = (0..100).map(|number| format!("note {number:03}{}\n", "x".repeat(1997))).collect();
    std::fs::OpenOptions::new().write(true).open(host.fifo()).unwrap().write_all(text.as_bytes()).unwrap();
    let notes = host.wait_for_notes(100);
    assert!(notes.iter().all(|note| note.len() == 2000), "{}", host.log());
    assert!(!host.log().contains("not a message"), "{}", host.log());
}

#[test]
fn a_second_listener_is_refused_and_steals_nothing() {
    let host = Host::listening();
    host.note_and_gate();
    let second = host.sandbox.run(&mut host.command()).expect_code(1);
    assert!(second.stderr.contains("another listener is already running (process "), "{}", second.stderr);
    for number in 0..20 {
        host.write(format!("note {number}\n"));
    }
    assert_eq!(host.wait_for_notes(20).len(), 20);
    host.send(&["ping"]).expect_success();
}

#[test]
fn what_is_not_a_message_is_logged_harmlessly_and_does_no_harm() {
    let host = Host::listening();
    host.note_and_gate();
    let long = vec![b'a'; 300_000];
    let mut writer = host.open_fifo();
    for bytes in
        [b"\x1b[2Jevil\n" as &[u8], b"\0\0\n", b"../../bin/sh\n", b"reboot now\n", b"\xff\xfe\n", b"\n\n\r\n"]
    {
        writer.write_all(bytes).unwrap();
    }
    drop(writer);
    for chunk in long.chunks(4096) {
        host.write_patiently(chunk);
    }
    host.write_patiently("\nnote after\n");
    assert_eq!(host.wait_for_notes(1), ["after"]);
    let log = host.log();
    assert!(log.contains("unknown message: reboot now (pipe)"), "{log}");
    assert!(log.contains("it is longer than 4,096 bytes"), "{log}");
    assert!(log.contains("\\x1b[2Jevil"), "{log}");
    assert!(!log.chars().any(|c| c.is_control() && c != '\n'), "{log:?}");
}

#[test]
fn a_fifo_that_is_replaced_or_removed_is_taken_up_again() {
    let host = Host::listening();
    host.note_and_gate();
    std::fs::remove_file(host.fifo()).unwrap();
    wait_until("the FIFO is there again", || host.fifo().exists());
    wait_until("it is read", || host.log().contains("the FIFO was replaced"));
    host.write("note one\n");
    assert_eq!(host.wait_for_notes(1), ["one"]);
    let other = host.bridge().join("other");
    nix::unistd::mkfifo(&other, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    std::fs::rename(&other, host.fifo()).unwrap();
    wait_until("the other one is read", || host.log().matches("the FIFO was replaced").count() == 2);
    host.write("note two\n");
    assert_eq!(host.wait_for_notes(2), ["one", "two"]);
}

impl Host {
    /// Waits until something runs.
    #[track_caller]
    fn wait_for_log_start(&self) {
        wait_until("something runs", || !self.send(&["status"]).stdout.contains("running: none"));
    }

    /// Writes where the FIFO may be full for a moment.
    #[track_caller]
    fn write_patiently(&self, bytes: impl AsRef<[u8]>) {
        wait_until("the FIFO takes it", || self.open_fifo().write_all(bytes.as_ref()).is_ok());
    }
}

#[test]
fn that_the_spool_was_emptied_is_on_the_disk_before_it_is_filled_again() {
    let mut host = Host::listening();
    let trace = host.sandbox.path("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=ftruncate,fdatasync,splice", "-o"]).arg(&trace);
    strace.args(["-p", &host.process().to_string()]);
    let mut strace = strace.spawn().expect("run strace (Debian package strace)");
    let status = format!("/proc/{}/status", host.process());
    wait_until("it is traced", || {
        !std::fs::read_to_string(&status).unwrap_or_default().contains("TracerPid:\t0\n")
    });
    let mut fifo = std::fs::File::options().write(true).open(host.fifo()).unwrap();
    fifo.write_all("ping\n".repeat(60_000).as_bytes()).unwrap();
    let spool = host.sandbox.path("containers/backrest/state/queue/spool");
    wait_until("it is emptied", || std::fs::metadata(&spool).unwrap().len() == 0);
    host.terminate();
    strace.wait().unwrap();
    let calls = std::fs::read_to_string(trace).unwrap();
    let emptied = calls.split_once("ftruncate(").expect("the spool is emptied").1;
    let until_filled = emptied.split("splice(").next().unwrap();
    assert!(until_filled.contains("fdatasync("), "{calls}");
}
