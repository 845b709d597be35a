//! How a verification ends: pushed to the monitor, shown by `status`, at its deadline, killed at any moment.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use common::contract::verification::{Outcome, Verification};
use common::testing::{Unwritable, wait_until};
use serde_json::json;

use super::world::World;

/// A substitute for Uptime Kuma: accepts each push and hands on the first line of its request.
#[track_caller]
fn kuma() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/api/push/token", listener.local_addr().unwrap());
    let (sender, pushes) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            let _ = lines.find(String::is_empty);
            let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\
                          Connection: close\r\n\r\n{\"ok\":true}";
            stream.write_all(answer.as_bytes()).unwrap();
            if sender.send(first).is_err() {
                return;
            }
        }
    });
    (address, pushes)
}

/// A running listener with its bridge; it stops when this is dropped.
struct Listener(Child);

impl Listener {
    #[track_caller]
    fn start(world: &World, push_url: &str) -> Listener {
        let file = world.sandbox.path("containers/backrest/.env");
        let mut text = fs::read_to_string(&file).unwrap();
        text += &format!("UPTIME_KUMA_PUSH_URL={push_url}\n");
        fs::write(file, text).unwrap();
        world.tool_of("create-backrest-pipe", &["--supervisor", "none"]).expect_success();
        let mut command = world.as_user("pipe-listener");
        let null = || (Stdio::null(), Stdio::null());
        command.stdin(Stdio::null()).stdout(null().0).stderr(null().1);
        let listener = Listener(command.spawn().unwrap());
        let socket = world.sandbox.path("containers/backrest/bridge/backrest.sock");
        wait_until("the listener listens", || socket.exists());
        listener
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let id = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn the_result_is_pushed_whatever_it_is() {
    let world = World::new();
    world.back_up();
    let (address, pushes) = kuma();
    let _listener = Listener::start(&world, &address);
    // A `down` is pushed twice.
    let expect = |state: &str, text: &str| {
        let mut seen = Vec::new();
        while let Ok(push) = pushes.recv_timeout(Duration::from_secs(30)) {
            seen.push(push.clone());
            if push.contains(state) && push.contains(text) {
                return push;
            }
        }
        panic!("no push with {state} and {text}: {seen:?}");
    };
    world.verify(&["--notify"]).expect_success();
    expect("status=up", "backup%20proved");

    world.back_up_with(&["--exclude", "start.txt"]);
    world.verify(&["--notify"]).expect_code(1);
    let push = expect("status=down", "backup%20wrong%3A%201%20difference");
    assert!(push.contains("pages%2Fstart.txt"), "{push}");

    world.server.state.lock().unwrap().is_closed = true;
    world.verify(&["--notify"]).expect_code(1);
    expect("status=down", "backup%20not%20verified");

    // A typing error in a line of a crontab is noticed too.
    let words = ["verify", "--plan", "nightly", "--notify", "--json", "--backrest", "localhost:9898"];
    let ran = world.tool_of("create-backrest-pipe", &words).expect_code(1);
    assert!(ran.stderr.contains("hint: give the address of its web page"), "{}", ran.everything());
    expect("status=down", "backup%20not%20verified%3A%20reach%20Backrest");
    let found: Verification = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((found.outcome, found.plan.as_deref()), (Outcome::Failed, Some("nightly")), "{found:#?}");
    let kept = Verification::load(&world.sandbox.path("containers/backrest/state/verification.json"));
    assert_eq!(kept.unwrap(), Some(found));
}

#[test]
fn a_push_that_can_not_be_made_fails_the_command() {
    let world = World::new();
    world.back_up();
    let ran = world.verify(&["--notify"]).expect_code(1);
    assert!(ran.stdout.contains("backup proved"), "{}", ran.everything());
    assert!(ran.stderr.contains("push the result"), "{}", ran.everything());
    assert!(ran.stderr.contains("hint: see that the listener runs"), "{}", ran.everything());
}

#[test]
fn an_output_that_can_not_be_written_does_not_stop_the_verification() {
    let world = World::new();
    world.back_up();
    let kept = world.sandbox.path("containers/backrest/state/verification.json");
    for (output, json) in Unwritable::ALL.into_iter().flat_map(|output| [(output, false), (output, true)]) {
        let mut command = world.verify_command(&["--sample", "2"]);
        let ran = world.sandbox.run_unwritable(command.args(json.then_some("--json")), output, 0);
        assert_eq!(ran.stderr.lines().count(), usize::from(output == Unwritable::FullDisk), "{}", ran.stderr);
        assert_eq!(Verification::load(&kept).unwrap().unwrap().outcome, Outcome::Proved);
        fs::remove_file(&kept).unwrap();
        world.expect_nothing_left();
    }
}

#[test]
fn on_a_terminal_alone_a_long_run_shows_how_far_it_is() {
    let world = World::new();
    world.back_up();
    let running =
        json!({ "id": "99", "planId": "other", "status": "STATUS_INPROGRESS", "operationBackup": {} });
    world.server.state.lock().unwrap().operations.push(running);
    let tool = world.sandbox.home().with_file_name("create-backrest-pipe");
    let line = format!("'{}' verify --wait 3s --backrest {}", tool.display(), world.server.address);
    let mut command = world.as_user_run("/usr/bin/script");
    let ran = world.sandbox.run(command.args(["-qec", &line, "/dev/null"])).expect_code(1);
    assert!(ran.stdout.contains("\r0 paths compared, 0 B read back"), "{}", ran.everything());
    assert!(ran.stdout.contains("Backrest is busy"), "{}", ran.everything());
    let ran = world
        .sandbox
        .run(world.as_user("create-backrest-pipe").args([
            "verify",
            "--wait",
            "2s",
            "--backrest",
            &world.server.address,
        ]))
        .expect_code(1);
    assert!(!ran.everything().contains("paths compared"), "{}", ran.everything());
}

/// What `status` shows of the last verification.
#[track_caller]
fn line_of_status(world: &World) -> String {
    let ran = world.tool_of("create-backrest-pipe", &["status", "--json"]);
    let report: serde_json::Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{}", ran.everything()));
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "verified").unwrap();
    format!("{} {}", check["state"].as_str().unwrap(), check["what"].as_str().unwrap_or_default())
}

#[test]
fn status_shows_when_the_last_verification_was_and_how_it_ended() {
    let world = World::new();
    world.back_up();
    let line = line_of_status(&world);
    assert!(line.starts_with("note no backup was verified yet"), "{line}");
    world.found();
    let line = line_of_status(&world);
    assert!(line.starts_with("good ") && line.contains("s ago: backup proved: snapshot "), "{line}");

    let kept = world.sandbox.path("containers/backrest/state/verification.json");
    let mut found = Verification::load(&kept).unwrap().unwrap();
    found.at -= 50 * 24 * 3600;
    fs::write(&kept, serde_json::to_vec(&found).unwrap()).unwrap();
    let line = line_of_status(&world);
    assert!(line.starts_with("note ") && line.contains("50 d 00 h ago: backup proved"), "{line}");

    world.back_up_with(&["--exclude", "start.txt"]);
    world.found();
    let line = line_of_status(&world);
    assert!(line.starts_with("bad ") && line.contains("backup wrong: 1 difference"), "{line}");
    world.server.state.lock().unwrap().is_closed = true;
    world.verify(&[]).expect_code(1);
    let line = line_of_status(&world);
    assert!(line.starts_with("bad ") && line.contains("backup not verified: "), "{line}");
}

#[test]
fn a_server_that_hangs_ends_at_the_deadline() {
    let world = World::new();
    world.back_up();
    world.server.state.lock().unwrap().hangs = true;
    let started = Instant::now();
    let ran = world.verify(&["--deadline", "2s"]).expect_code(1);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(ran.stderr.contains("verify: timed out\nhint: allow more with --deadline"), "{}", ran.stderr);
    world.expect_nothing_left();
    let kept = Verification::load(&world.sandbox.path("containers/backrest/state/verification.json"));
    assert_eq!(kept.unwrap().unwrap().outcome, Outcome::Failed);
}

#[test]
fn killed_at_any_moment_nothing_is_left() {
    let world = World::with(|sandbox| {
        (0..300).for_each(|file| drop(sandbox.write(format!("data/many/{file}"), "x")));
    });
    world.back_up();
    let started = Instant::now();
    world.found_in_sample(10);
    let whole = started.elapsed();
    for step in 0..16 {
        let signal = if step % 2 == 0 { "KILL" } else { "TERM" };
        let mut command = world.verify_command(&["--sample", "10"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * step / 16);
        let id = child.id().to_string();
        let killed = Command::new("kill").args(["-s", signal, &id]).stderr(Stdio::null()).status().unwrap();
        let end = child.wait().unwrap();
        if signal == "TERM" && killed.success() {
            // Before the first instruction of the tool no one handles the signal.
            assert!(matches!(end.code(), Some(130 | 0) | None), "{end:?}");
            if end.code() == Some(130) {
                expect_no_own_files(&world);
            }
        }
    }
    // What a killed run left is gone after the next one.
    world.found();
    let kept = world.sandbox.path("containers/backrest/state");
    let parts = fs::read_dir(kept).unwrap().flatten().map(|entry| entry.file_name());
    let parts: Vec<_> = parts.filter(|name| name.to_string_lossy().contains("backrest-part")).collect();
    assert!(parts.is_empty(), "{parts:?}");
}

/// Each run clears what an earlier one left, and a run that is stopped leaves nothing.
#[track_caller]
fn expect_no_own_files(world: &World) {
    world.expect_nothing_left();
}

#[test]
fn a_killed_run_leaves_nothing_to_the_next() {
    let world = World::new();
    world.back_up();
    // It waits for Backrest while it is killed.
    let running =
        json!({ "id": "99", "planId": "other", "status": "STATUS_INPROGRESS", "operationBackup": {} });
    world.server.state.lock().unwrap().operations.push(running);
    let temporary = world.sandbox.home().with_file_name("tmp");
    let is_there = || fs::read_dir(&temporary).unwrap().count() == 1;
    for signal in ["KILL", "TERM"] {
        let mut command = world.as_user("create-backrest-pipe");
        command.args(["verify", "--backrest", &world.server.address]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the temporary folder is made", is_there);
        let id = child.id().to_string();
        std::thread::sleep(Duration::from_millis(300));
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let end = child.wait().unwrap();
        if signal == "TERM" {
            assert_eq!(end.code(), Some(130));
            world.expect_nothing_left();
        }
    }
    world.server.state.lock().unwrap().operations.pop();
    world.found();
    // `ssh-key-setup` logs off what its killed run left logged in: that needs the socket.
    let socket = temporary.join(".ssh-1.backrest-part/m");
    world.sandbox.run(world.as_user_run("/bin/mkdir").arg("-p").arg(&socket)).expect_success();
    let ran = world.verify(&[]).expect_success();
    assert!(socket.exists(), "{}", ran.everything());
}
