//! What is pushed for each way a backup can end, with each Backrest's way of firing hooks.
//!
//! The order in which hooks fire was seen with Backrest 1.7.3, 1.8.1, 1.10.1, 1.11.0 and 1.14.1.

use common::process::End;

use crate::backups::with_server;
use crate::host::Host;
use crate::push::Server;
use crate::recovery::stopped_service;

/// The Backrests that differ in how they fire hooks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Backrest {
    Before1_9,
    Before1_11,
    From1_11,
}

/// How restic's part of a backup ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Restic {
    Done,
    /// Some files could not be read.
    Partial,
    Failed,
    Skipped,
}

impl Backrest {
    /// The sets of conditions that it fires after a START hook that worked. Of one set a hook runs once.
    fn sets(self, restic: Restic) -> &'static [&'static [&'static str]] {
        match (restic, self) {
            (Restic::Done, _) => &[&["SUCCESS", "END"]],
            (Restic::Partial, Backrest::Before1_9) => &[&["WARNING", "END"], &["SUCCESS", "END"]],
            (Restic::Partial, _) => &[&["WARNING", "END"]],
            (Restic::Failed, _) => &[&["ERROR", "ANY_ERROR", "END"]],
            (Restic::Skipped, Backrest::Before1_9) => &[&["SKIPPED", "END"]],
            (Restic::Skipped, _) => &[&["SKIPPED", "SUCCESS", "END"]],
        }
    }

    /// Runs a backup with our hooks.
    #[track_caller]
    fn back_up(self, host: &Host, restic: Restic) {
        let key = ["--key", "home/nightly"];
        let started = host.send(&[&["pre-backups", "--failure-cancels"][..], &key].concat());
        let (sets, error): (&[&[&str]], _) = match started.end {
            End::Exited(0) => {
                (self.sets(restic), "partial backup, 1 files may not have been read completely.")
            }
            _ if self == Backrest::From1_11 => (&[&["ERROR", "ANY_ERROR"]], "task cancelled: exit status 1"),
            _ => (&[], ""),
        };
        let hooks: [(&[&str], Vec<&str>); 3] = [
            (&["END", "ERROR"], vec!["post-backups", key[0], key[1]]),
            (&["SUCCESS", "SKIPPED"], vec!["notify-up", "--plan", "nightly", "plan \"nightly\""]),
            (&["ERROR", "WARNING", "ANY_ERROR"], vec!["notify-down", "--plan", "nightly", error]),
        ];
        for set in sets {
            for (conditions, message) in &hooks {
                if conditions.iter().any(|condition| set.contains(condition)) {
                    host.send(message).expect_success();
                }
            }
        }
    }
}

/// The states that were pushed until one with `mark`. Each `down` is pushed twice.
#[track_caller]
fn pushed(host: &Host, server: &Server, mark: &str) -> Vec<&'static str> {
    host.send(&["notify-down", mark]).expect_success();
    let mut states = Vec::new();
    loop {
        let asked = server.next();
        let state = if asked.contains("?status=up&") { "up" } else { "down" };
        if state == "down" {
            assert_eq!(server.next(), asked);
        }
        if asked.contains(&format!("msg={mark}&")) {
            return states;
        }
        states.push(state);
    }
}

#[test]
fn every_backup_is_pushed_as_what_it_was() {
    for backrest in [Backrest::Before1_9, Backrest::Before1_11, Backrest::From1_11] {
        let (mut host, server) = with_server();
        stopped_service(&mut host);
        host.with_push();
        let prepare = "#!/bin/sh\nif [ -e ../../fails ]; then echo no space >&2; exit 1; fi\n";
        host.sandbox.script("data/shop/prepare-backup.sh", prepare);
        host.start();
        let ends = [
            (Restic::Partial, "down"),
            (Restic::Done, "up"),
            // The same words as a moment ago, about another backup.
            (Restic::Partial, "down"),
            (Restic::Skipped, "up"),
            (Restic::Failed, "down"),
        ];
        for (number, (restic, state)) in ends.into_iter().enumerate() {
            backrest.back_up(&host, restic);
            assert_eq!(pushed(&host, &server, &format!("mark{number}")), [state], "{backrest:?} {restic:?}");
        }
        let notes = host.notes().len();
        host.sandbox.write("fails", "");
        backrest.back_up(&host, Restic::Done);
        assert_eq!(pushed(&host, &server, "mark-failed"), ["down"], "{backrest:?}: a prepare step fails");
        host.wait_for_notes(notes + 1);
        std::fs::remove_file(host.sandbox.path("fails")).unwrap();
        backrest.back_up(&host, Restic::Failed);
        assert_eq!(pushed(&host, &server, "mark-after"), ["down"], "{backrest:?}: the backup after that");
    }
}

#[test]
fn a_preparation_that_finds_no_listener_is_pushed_once_when_there_is_one() {
    for backrest in [Backrest::Before1_11, Backrest::From1_11] {
        let (mut host, server) = with_server();
        host.start();
        host.kill();
        host.send(&["pre-backups", "--failure-cancels", "--key", "home/my+plan"]).expect_code(69);
        if backrest == Backrest::From1_11 {
            host.send(&["notify-down", "--plan", "my+plan", "task cancelled: exit status 69"])
                .expect_code(75);
        }
        host.start();
        let asked = server.next();
        let expected = "status=down&msg=pre-backups%20failed%3A%20no%20listener%20took%20it";
        assert!(asked.contains(expected), "{asked}");
        server.next();
        assert_eq!(pushed(&host, &server, "mark"), [""; 0], "{backrest:?}");
    }
}

#[test]
fn old_hooks_that_name_no_plan_report_a_failed_preparation_once() {
    let (mut host, server) = with_server();
    host.with_tools(&[("pre-backup-actions", "echo no space; exit 1"), ("build-ignore", "")]);
    host.with_push();
    host.start();
    host.send(&["pre-backups"]).expect_code(1);
    host.send(&["notify-down", "plan \"nightly\": task cancelled: exit status 1"]).expect_success();
    assert_eq!(pushed(&host, &server, "mark"), ["down"]);
    host.send(&["notify-down", "the disk is nearly full"]).expect_success();
    assert_eq!(pushed(&host, &server, "mark2"), ["down"]);
}

#[test]
fn the_same_failure_after_good_news_is_pushed_again() {
    let (mut host, server) = with_server();
    host.start();
    for state in ["down", "up", "down"] {
        host.send(&[&format!("notify-{state}"), "--plan", "a", "the same words"]).expect_success();
    }
    assert!(server.next().contains("?status=down&"));
    assert!(server.next().contains("?status=down&"), "the up contradicts the report of the same backup");
    host.send(&["notify-up", "by hand"]).expect_success();
    host.send(&["notify-down", "--plan", "a", "the same words"]).expect_success();
    assert!(server.next().contains("?status=up&msg=by%20hand"));
    assert!(server.next().contains("?status=down&"));
}

#[test]
fn good_news_that_waited_too_long_for_a_listener_is_dropped() {
    let (mut host, server) = with_server();
    host.start();
    host.kill();
    // A machine that slept keeps what is in a FIFO for longer than the keeper's ten minutes.
    host.write("notify-down --sent 1000 old trouble\nnotify-up --sent 1000 old news\n");
    host.send(&["notify-up", "--plan", "nightly", "5 files"]).expect_code(75);
    host.start();
    let states = [server.next(), server.next(), server.next()];
    let all = states.join(" ");
    assert!(all.contains("status=down&msg=old%20trouble") && all.contains("msg=5%20files"), "{all}");
    assert!(!all.contains("old%20news"), "{all}");
    host.wait_for_log("notify-up --sent 1000 old news (pipe): dropped: it is older than 10 min");
}

#[test]
fn a_failed_preparation_is_no_reason_of_a_later_task_that_had_none() {
    use common::contract::trouble::{Preparation, Trouble};
    let (mut host, server) = with_server();
    let failed = Preparation { at: 5, is_failure: true, summary: "shop failed".into() };
    let preparations = [("home/nightly".to_string(), failed)].into();
    host.write_trouble(&Trouble { preparations, ..Trouble::default() });
    host.start();
    host.kill();
    host.send(&["pre-backups", "--failure-cancels", "--key", "home/nightly"]).expect_code(69);
    host.start();
    assert!(server.next().contains("msg=pre-backups%20failed"), "what no listener took was not prepared");
}
