//! What the actions do: prepare steps, own actions, time limits, Tailscale, Uptime Kuma.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use common::proc_stat;
use common::testing::wait_until;

use crate::host::Host;

#[test]
fn pre_backups_makes_the_ignore_file_even_where_a_prepare_step_failed_and_fails_then() {
    let mut host = Host::new();
    host.with_tools(&[
        (
            "pre-backup-actions",
            "case \"$1\" in --journal) exit 0;; esac; echo prepared; echo dump failed >&2; exit 1",
        ),
        ("build-ignore", "echo ignored; touch \"$HOME/ignored\""),
    ]);
    host.start();
    let ran = host.send(&["pre-backups"]).expect_code(1);
    assert_eq!(ran.stdout, "prepared\ndump failed\nignored\n");
    assert!(ran.stderr.ends_with(": pre-backup-actions: exit code 1\n"), "{}", ran.stderr);
    assert!(host.log().contains("pre-backup-actions: exit code 1: dump failed"), "{}", host.log());
    assert!(host.sandbox.path("ignored").exists());
}

#[test]
fn pre_backups_fails_where_only_the_ignore_file_could_not_be_made() {
    let mut host = Host::new();
    host.with_tools(&[("pre-backup-actions", "exit 0"), ("build-ignore", "echo no space >&2; exit 1")]);
    host.start();
    let ran = host.send(&["pre-backups"]).expect_code(1);
    assert!(ran.stdout.contains("no space\n"), "{}", ran.everything());
    assert!(ran.stderr.ends_with(": build-ignore: exit code 1\n"), "{}", ran.stderr);
    assert!(host.log().contains("build-ignore: exit code 1: no space"), "{}", host.log());
}

#[test]
fn the_text_is_one_argument_and_never_a_shells() {
    let host = Host::listening();
    host.action("show", "printf '%s|' \"$#\" \"$1\"; echo");
    let ran = host.send(&["show", "a  'b' $(touch x) `x` ; rm -rf \\ *"]).expect_success();
    assert_eq!(ran.stdout, "1|a  'b' $(touch x) `x` ; rm -rf \\ *|\n");
    assert_eq!(host.send(&["show"]).expect_success().stdout, "1||\n");
}

/// After a reboot cron has started the listener.
#[test]
fn with_crons_path_an_action_finds_what_lies_in_the_usual_places() {
    let mut host = Host::new();
    host.environment.push(("PATH".into(), "/usr/bin:/bin".into()));
    host.action("where", "echo \"$PATH\"");
    host.start();
    let seen = host.send(&["where"]).expect_success().stdout;
    assert!(seen.starts_with("/usr/bin:/bin:") && seen.contains(":/usr/local/bin:"), "{seen}");
}

#[test]
fn an_own_action_runs_in_backrests_folder_and_the_listener_stays_where_it_is() {
    let host = Host::listening();
    let folder = host.sandbox.path("containers/backrest");
    host.action("where", "pwd -P; echo \"$ACTION $CONTAINER_DIR $DATA_DIR $CONTAINER_ROOT $DATA_ROOT\"");
    let working_folder = || std::fs::read_link(format!("/proc/{}/cwd", host.process())).unwrap();
    let before = working_folder();
    let real = std::fs::canonicalize(&folder).unwrap();
    let home = host.sandbox.home();
    let home = home.display();
    let printed = format!(
        "{}\nwhere {home}/containers/backrest {home}/data/backrest {home}/containers {home}/data\n",
        real.display()
    );
    for _ in 0..2 {
        assert_eq!(host.send(&["where"]).expect_success().stdout, printed);
    }
    assert!(working_folder() == before && before != real);
}

#[test]
fn an_action_that_takes_too_long_is_ended_with_all_its_processes() {
    let mut host = Host::new();
    host.arguments = vec!["--action-timeout".into(), "300ms".into()];
    host.start();
    host.action("hang", "echo started $$; trap '' TERM; sleep 600 & wait; sleep 600");
    let ran = host.send(&["hang"]).expect_code(1);
    assert!(ran.stdout.starts_with("started") && ran.stderr.contains("timed out"), "{}", ran.everything());
    let group: i32 = ran.stdout.split_whitespace().nth(1).unwrap().parse().unwrap();
    let runs = || proc_stat::all().iter().any(|(_, process)| process.group == group && !process.is_zombie);
    wait_until("all its processes have exited", || !runs());
    host.send(&["ping"]).expect_success();
}

#[test]
fn a_listener_that_is_asked_to_end_lets_the_running_action_finish_and_keeps_the_others() {
    let mut host = Host::listening();
    host.note_and_gate();
    host.action("short", "sleep 0.5; echo short >> \"$HOME/notes\"");
    host.write("short\nnote kept\n");
    host.wait_for_log("started");
    wait_until("it runs", || host.send(&["status"]).stdout.contains("short"));
    assert!(host.terminate() < Duration::from_secs(15));
    assert_eq!(host.notes(), ["short"]);
    host.start();
    assert_eq!(host.wait_for_notes(2), ["short", "kept"]);
}

#[test]
fn a_listener_that_stops_lets_no_client_in_and_answers_those_inside() {
    let mut host = Host::new();
    // What becomes due meanwhile must not let it spin.
    host.sandbox
        .script("bin/tailscale", "#!/bin/sh\n[ $1 != status ] || echo '{\"BackendState\":\"Running\"}'\n");
    host.sandbox.write("containers/backrest/state/tailscale.json", "{\"ours\":true}");
    host.environment.push(("TAILSCALE_LINGER".into(), "3s".into()));
    host.start();
    host.note_and_gate();
    host.send(&["stop-tailscale"]).expect_success();
    let running = host.send_aside(&["gate"]);
    wait_until("it runs", || host.send(&["status"]).stdout.contains("gate"));
    let waiting = host.send_aside(&["note", "waits"]);
    wait_until("it waits", || host.send(&["status"]).stdout.contains("waiting: 1"));
    let mut inside = UnixStream::connect(host.bridge().join("backrest.sock")).unwrap();
    kill(Pid::from_raw(host.process().try_into().unwrap()), Signal::SIGTERM).unwrap();
    host.wait_for_log("the listener was asked to stop; gate may go on for 20.0 s");
    let seen = waiting.wait_with_output().unwrap();
    assert_eq!(seen.status.code(), Some(75), "{seen:?}");
    inside.write_all(b"note late\n").unwrap();
    let mut answer = String::new();
    inside.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "! the listener stops\n. 75\n");
    std::thread::sleep(Duration::from_secs(4));
    assert!(host.busy() < 0.1, "it spins");
    host.send(&["ping"]).expect_code(69);
    assert!(!host.bridge().join("backrest.sock").exists(), "{}", host.log());
    host.open_gate();
    assert!(running.wait_with_output().unwrap().status.success());
    assert!(host.listener.take().unwrap().wait().unwrap().success());
    // What it had accepted runs when the next one is there; what it had not doesn't.
    host.start();
    assert_eq!(host.wait_for_notes(1), ["waits"]);
}

#[test]
fn an_action_that_outlasts_the_grace_is_ended_and_reported() {
    let mut host = Host::new();
    host.arguments = vec!["--grace".into(), "200ms".into()];
    host.start();
    host.note_and_gate();
    let client = host.send_aside(&["gate"]);
    wait_until("it runs", || host.send(&["status"]).stdout.contains("gate"));
    assert!(host.terminate() < Duration::from_secs(15));
    let printed = client.wait_with_output().unwrap();
    assert_eq!(printed.status.code(), Some(1), "{printed:?}");
    assert!(host.log().contains("gate (socket): failed after "), "{}", host.log());
}

#[test]
fn any_number_of_messages_that_work_leave_room_in_the_log_for_one_that_fails() {
    let host = Host::listening();
    host.action("check", "test -z \"$1\"");
    for _ in 0..60 {
        host.send(&["check"]).expect_success();
    }
    host.send(&["check", "the disk"]).expect_code(1);
    assert!(host.log().contains("check the disk (socket): failed after "), "{}", host.log());
}
