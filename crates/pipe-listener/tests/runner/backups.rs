//! A backup whose hook failed, was killed, or was undone too early: what is undone, what stays, and what is pushed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::process::Stdio;
use std::time::Duration;

use common::contract::trouble::{Down, Trouble};
use common::testing::{built, copy_program, wait_until};

use crate::host::Host;
use crate::push::{OK, Server};
use crate::recovery::stopped_service;

const MARKED: [&str; 4] = ["pre-backups", "--failure-cancels", "--key", "home/nightly"];

/// A listener with a real service, and a server that takes every push.
#[track_caller]
pub(crate) fn with_server() -> (Host, Server) {
    let server = Server::answering(vec![OK; 1000]);
    let host = Host::with_push_address(&format!("http://127.0.0.1:{}", server.port));
    (host, server)
}

impl Host {
    /// Puts the program that pushes beside the listener.
    #[track_caller]
    pub(crate) fn with_push(&self) {
        copy_program(built("backrest-push", "backrest-push"), self.program.with_file_name("backrest-push"));
    }

    #[track_caller]
    pub(crate) fn write_trouble(&self, trouble: &Trouble) {
        let text = serde_json::to_string(trouble).unwrap();
        self.sandbox.write("containers/backrest/state/actions/trouble", text);
    }
}

#[test]
fn a_marked_preparation_whose_client_was_killed_is_stopped_undone_and_pushed() {
    let (mut host, server) = with_server();
    stopped_service(&mut host);
    host.with_push();
    host.start();
    let mut hook = host.send_aside(&MARKED);
    assert_eq!(host.wait_for_notes(1), ["stopped"]);
    hook.kill().unwrap();
    hook.wait().unwrap();
    // The gate stays closed: the prepare step is stopped.
    assert_eq!(host.wait_for_notes(2), ["stopped", "started"]);
    let asked = server.next();
    assert!(asked.contains("?status=down&msg=preparing%20the%20backup%20failed"), "{asked}");
    host.wait_for_log("post-backups --key home/nightly (timer): done");
    assert!(!host.log().contains("find out what is prepared"), "no fault: {}", host.log());
    // What Backrest's hooks send afterwards finds nothing left to do.
    let ran = host.send(&["post-backups", "--key", "home/nightly"]).expect_success();
    assert_eq!(host.notes(), ["stopped", "started"], "{}", ran.everything());
}

#[test]
fn an_unmarked_preparation_whose_client_was_killed_stays_and_is_pushed() {
    let (mut host, server) = with_server();
    stopped_service(&mut host);
    host.with_push();
    host.start();
    let mut hook = host.send_aside(&["pre-backups"]);
    assert_eq!(host.wait_for_notes(1), ["stopped"]);
    hook.kill().unwrap();
    hook.wait().unwrap();
    host.wait_for_log("its client went away; its backup may go on");
    host.open_gate();
    let asked = server.next();
    assert!(asked.contains("status=down") && asked.contains("Backrest%20went%20away"), "{asked}");
    host.wait_for_log("pre-backups (socket): done");
    assert_eq!(host.notes(), ["stopped"], "the backup may be running");
    host.send(&["post-backups"]).expect_success();
    assert_eq!(host.notes(), ["stopped", "started"]);
}

#[test]
fn a_client_that_closes_its_own_side_alone_is_not_gone() {
    let (mut host, server) = with_server();
    stopped_service(&mut host);
    host.with_push();
    host.start();
    let mut client = host.connect();
    client.write_all(b"pre-backups --failure-cancels\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(host.wait_for_notes(1), ["stopped"]);
    std::thread::sleep(Duration::from_millis(300));
    host.open_gate();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with(". 0\n"), "{answer}");
    assert_eq!(host.notes(), ["stopped"]);
    assert!(server.asked().is_empty());
}

#[test]
fn who_does_not_wait_is_not_taken_for_gone() {
    let (mut host, server) = with_server();
    stopped_service(&mut host);
    host.with_push();
    host.start();
    host.send(&["--no-wait", "pre-backups", "--failure-cancels"]).expect_success();
    assert_eq!(host.wait_for_notes(1), ["stopped"]);
    host.open_gate();
    host.wait_for_log("pre-backups (socket): done");
    assert_eq!(host.notes(), ["stopped"]);
    assert!(server.asked().is_empty());
}

#[test]
fn a_marked_preparation_that_waited_when_its_client_was_killed_never_runs() {
    let (mut host, server) = with_server();
    stopped_service(&mut host);
    host.with_push();
    host.note_and_gate();
    host.start();
    host.write("gate\n");
    wait_until("it runs", || host.send(&["status"]).stdout.contains("gate"));
    let mut hook = host.send_aside(&MARKED);
    wait_until("it waits", || host.send(&["status"]).stdout.contains("waiting: 1\n"));
    hook.kill().unwrap();
    hook.wait().unwrap();
    assert!(server.next().contains("status=down"));
    host.open_gate();
    host.wait_for_log("gate (pipe): done");
    host.send(&["ping"]).expect_success();
    assert!(host.notes().is_empty(), "{:?}", host.notes());
}

#[test]
fn a_marked_preparation_that_fails_is_undone_at_once_and_pushed_once() {
    let (mut host, server) = with_server();
    stopped_service(&mut host);
    host.with_push();
    let prepare = "#!/bin/sh\necho stopped >> ../../notes\necho no space >&2\nexit 1\n";
    host.sandbox.script("data/shop/prepare-backup.sh", prepare);
    host.start();
    let ran = host.send(&MARKED).expect_code(1);
    assert_eq!(host.wait_for_notes(2), ["stopped", "started"]);
    let output = ran.everything();
    for text in ["no space", "1 failed"] {
        assert_eq!(output.matches(text).count(), 1, "{output}");
    }
    assert!(ran.stderr.ends_with(": pre-backup-actions: exit code 1\n"), "{}", ran.stderr);
    let pushed = server.next();
    assert!(pushed.contains("preparing%20the%20backup%20failed") && pushed.contains("shop"), "{pushed}");
    assert!(!pushed.contains("hint"), "{pushed}");
    assert_eq!(server.next(), pushed, "a failure is pushed twice, for a monitor with a retry");
    // From 1.11 on Backrest runs these hooks too.
    host.send(&["notify-down", "--plan", "nightly", "task cancelled: hook failed"]).expect_success();
    host.wait_for_log("the same failure was pushed already");
    host.send(&["notify-down", "--plan", "other", "Fatal: wrong password"]).expect_success();
    let other = server.next();
    assert!(other.contains("msg=Fatal%3A%20wrong%20password&"), "no reason of another plan: {other}");
}

#[test]
fn a_second_post_backups_long_after_the_first_is_reported_and_pushed() {
    let (mut host, server) = with_server();
    stopped_service(&mut host);
    host.with_push();
    host.open_gate();
    host.start();
    host.send(&["pre-backups", "--key", "home/nightly"]).expect_success();
    // Any program in the container can send this while the backup runs.
    host.send(&["post-backups"]).expect_success();
    host.send(&["post-backups", "--key", "home/nightly"]).expect_success();
    assert!(server.asked().is_empty(), "hooks of one event come together");
    std::thread::sleep(Duration::from_secs(16));
    let ran = host.send(&["post-backups", "--key", "home/nightly"]).expect_success();
    assert!(ran.stderr.contains("undid this preparation"), "{}", ran.stderr);
    let pushed = server.next();
    assert!(pushed.contains("status=down") && pushed.contains("came%20twice"), "{pushed}");
}

#[test]
fn while_a_service_is_stopped_every_push_is_down_and_its_return_is_pushed() {
    let (mut host, server) = with_server();
    let down = Down { service: "wiki".into(), tries: 3, since: 0, why: "exit code 1".into() };
    let trouble = Trouble { down: vec![down], ..Trouble::default() };
    let text = serde_json::to_string(&trouble).unwrap();
    host.sandbox.write("trouble", text);
    let tool = "case \"$*\" in *--journal*) echo '{\"entries\":[],\"next_due\":null}'; exit 0;; esac\n\
                mkdir -p \"$HOME/containers/backrest/state/actions\"\n\
                cp \"$HOME/trouble\" \"$HOME/containers/backrest/state/actions/trouble\"";
    host.with_tools(&[("pre-backup-actions", tool), ("build-ignore", "")]);
    host.with_push();
    host.start();
    host.send(&["post-backups"]).expect_success();
    let first = server.next();
    assert!(first.contains("status=down&msg=wiki%20still%20stopped%2C%203%20tries"), "{first}");
    server.next();
    host.send(&["notify-up"]).expect_success();
    let next = server.next();
    assert!(next.contains("status=down&msg=backup%20ok%3B%20wiki%20still%20stopped"), "{next}");
    server.next();
    host.sandbox.write("trouble", "{}");
    host.send(&["post-backups"]).expect_success();
    let back = server.next();
    assert!(back.contains("status=up&msg=brought%20back%3A%20wiki"), "{back}");
}

#[test]
fn a_record_that_cannot_be_read_is_no_good_news() {
    let (mut host, server) = with_server();
    host.start();
    host.sandbox.write("containers/backrest/state/actions/trouble", "{");
    host.send(&["notify-up"]).expect_success();
    let asked = server.next();
    assert!(asked.contains("status=down&msg=backup%20ok%3B%20read%20which%20services"), "{asked}");
}

#[test]
fn a_warning_goes_before_the_text_of_its_own_plan_only() {
    use common::contract::trouble::Preparation;
    let (mut host, server) = with_server();
    host.start();
    let preparation = |summary: &str| Preparation { at: 5, is_failure: false, summary: summary.into() };
    let preparations = [
        ("home/nightly".to_string(), preparation("immich: dump shrank")),
        (String::new(), preparation("old hook")),
    ];
    host.write_trouble(&Trouble { preparations: preparations.into(), ..Trouble::default() });
    for (message, expected) in [
        (vec!["notify-up", "--plan", "nightly", "5 GiB"], "msg=immich%3A%20dump%20shrank%3B%205%20GiB&"),
        (vec!["notify-up", "--plan", "weekly", "6 GiB"], "msg=6%20GiB&"),
        (vec!["notify-up", "7 GiB"], "msg=old%20hook%3B%207%20GiB&"),
        // A second message without a plan may be about anything.
        (vec!["notify-up", "disk ok"], "msg=disk%20ok&"),
    ] {
        host.send(&message).expect_success();
        let asked = server.next();
        assert!(asked.contains(expected), "{message:?}: {asked}");
    }
}

#[test]
fn a_flood_of_notifications_is_limited_and_hides_no_failure() {
    let (mut host, server) = with_server();
    host.start();
    for number in 0..300 {
        host.write(format!("notify-up number {number}\n"));
    }
    host.send(&["notify-down", "real"]).expect_success();
    let mut asked = Vec::new();
    while !asked.last().is_some_and(|last: &String| last.contains("status=down&msg=real")) {
        asked.push(server.next());
    }
    assert!(asked.len() <= 8, "{}", asked.len());
    wait_until("nothing waits", || host.send(&["status"]).stdout.contains("waiting: 0\n"));
    let log = host.log();
    assert!(log.matches("notify-up").count() < 40, "collapsed in the log: {log}");
}

#[test]
fn a_message_that_finds_no_listener_waits_in_the_fifo_unless_a_backup_waits_for_it() {
    let (mut host, server) = with_server();
    host.start();
    host.kill();
    for (message, code) in [
        (vec!["post-backups"], 75),
        (vec!["notify-down", "restic failed"], 75),
        (vec!["pre-backups"], 69),
        (vec!["start-tailscale"], 69),
        (vec!["ping"], 69),
    ] {
        host.send(&message).expect_code(code);
    }
    host.start();
    assert!(server.next().contains("status=down&msg=restic%20failed"));
    host.wait_for_log("post-backups (pipe)");
    let mut host = Host::new();
    std::fs::create_dir_all(host.bridge()).unwrap();
    host.send(&["post-backups"]).expect_code(69);
    nix::unistd::mkfifo(&host.fifo(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    host.send(&["post-backups"]).expect_code(69);
    host.start();
}

#[test]
fn ctrl_c_prints_the_command_that_undoes_a_preparation() {
    let mut host = Host::new();
    stopped_service(&mut host);
    host.with_push();
    host.start();
    let hook = host.send_aside(&["pre-backups", "--key", "home/nightly"]);
    assert_eq!(host.wait_for_notes(1), ["stopped"]);
    let pid = nix::unistd::Pid::from_raw(hook.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ended = hook.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(2), "{text}");
    assert!(text.contains("hint: undo it with: backrest-send post-backups --key home/nightly\n"), "{text}");
    host.open_gate();
}

#[test]
fn a_backup_that_a_restart_of_backrest_ended_is_cleaned_up_after() {
    let (mut host, server) = with_server();
    stopped_service(&mut host);
    host.with_push();
    host.open_gate();
    let docker = "#!/bin/sh\ncase $1 in ps) echo 0123abc;; inspect) cat \"$HOME/started-at\";; esac\n";
    host.sandbox.script("bin/docker", docker);
    host.sandbox.write("started-at", "2020-01-01T00:00:00.123456789Z\n");
    host.start();
    host.send(&["pre-backups", "--key", "home/nightly"]).expect_success();
    host.kill();
    host.start();
    host.send(&["ping"]).expect_success();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(host.notes(), ["stopped"], "the container runs since before the preparation");
    host.kill();
    host.sandbox.write("started-at", "2100-01-01T00:00:00Z\n");
    host.start();
    assert_eq!(host.wait_for_notes(2), ["stopped", "started"]);
    let pushed = server.next();
    assert!(pushed.contains("status=down") && pushed.contains("Backrest%20was%20restarted"), "{pushed}");
}

#[test]
fn a_run_by_hand_is_waited_for_and_does_not_cancel_the_backup() {
    let mut host = Host::new();
    stopped_service(&mut host);
    host.start();
    let mut command = host.sandbox.command(host.program.with_file_name("pre-backup-actions"));
    let mut by_hand = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(host.wait_for_notes(1), ["stopped"]);
    let mut hook = host.send_aside(&MARKED);
    let mut line = String::new();
    BufReader::new(hook.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("another run is under way") && line.contains("waiting"), "{line}");
    host.open_gate();
    assert!(by_hand.wait().unwrap().success());
    let ended = hook.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn services_and_the_key_reach_the_prepare_steps_and_an_unknown_option_does_not() {
    let mut host = Host::new();
    host.with_tools(&[("pre-backup-actions", "echo \"$*\""), ("build-ignore", "")]);
    host.start();
    let ran = host.send(&["pre-backups", "--key", "home/a%2Fb", "immich", "db-*"]).expect_success();
    assert!(ran.stdout.contains(" --key home/a%2Fb --only immich --only db-* --wait "), "{}", ran.stdout);
    let ran = host.send(&["post-backups", "--key", "home/a%2Fb"]).expect_success();
    assert!(
        ran.stdout.starts_with("--after ") && ran.stdout.contains(" --key home/a%2Fb\n"),
        "{}",
        ran.stdout
    );
    let ran = host.send(&["pre-backups", "--kye", "home"]).expect_code(1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("unknown option --kye"), "{}", ran.everything());
}

#[test]
fn why_it_is_unknown_what_is_prepared_is_logged_once() {
    let mut host = Host::new();
    let fails =
        "case \"$*\" in *--journal*) echo 'pre-backup-actions: read: journal: no access' >&2; exit 1;; esac";
    host.with_tools(&[("pre-backup-actions", fails), ("build-ignore", "")]);
    host.sandbox.write("containers/backrest/state/actions/journal", "");
    host.start();
    let reason = "find out what is prepared: ";
    host.wait_for_log(reason);
    for _ in 0..2 {
        host.send(&["pre-backups"]).expect_success();
    }
    let log = host.log();
    assert!(log.contains("no access"), "{log}");
    assert_eq!(log.matches(reason).count(), 1, "{log}");
    assert!(host.send(&["status"]).stdout.contains("after-steps-due: in "));
}
