//! `backrest-send`: exit codes, output as it comes, and no waiting without an end.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::testing::wait_until;

use crate::host::{Host, client};

/// What has to happen within a second, on a machine that is busy with something else.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn the_output_comes_line_by_line_while_the_action_runs() {
    let host = Host::listening();
    host.note_and_gate();
    let mut client = host.send_aside(&["gate"]);
    let mut output = BufReader::new(client.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "waiting\n", "it is here although the gate is closed");
    host.open_gate();
    line.clear();
    output.read_to_string(&mut line).unwrap();
    assert_eq!(line, "open\n");
    assert!(client.wait().unwrap().success());
}

#[test]
fn the_exit_code_says_what_happened() {
    let host = Host::listening();
    host.action("bad", "exit 42");
    host.send(&["ping"]).expect_code(0);
    host.send(&["bad"]).expect_code(1);
    let ran = host.send(&["no-such-action"]).expect_code(64);
    assert!(ran.stderr.contains("known are: ") && ran.stderr.contains(", bad\n"), "{}", ran.stderr);
    host.send(&["../actions/bad"]).expect_code(64);
    host.send(&["--timeout", "nonsense", "ping"]).expect_code(64);
    host.send(&["--bridge", "/nonexistent", "ping"]).expect_code(69);
}

#[test]
fn a_missing_listener_is_reported_at_once() {
    let mut host = Host::new();
    std::fs::create_dir_all(host.bridge()).unwrap();
    let started = Instant::now();
    let ran = host.send(&["pre-backups"]).expect_code(69);
    assert!(ran.stderr.contains("no listener is running at "), "{}", ran.stderr);
    assert!(
        ran.stderr.ends_with("\nhint: start the listener on the host: create-backrest-pipe\n"),
        "{}",
        ran.stderr
    );
    let mut command = host.sandbox.command(client());
    std::fs::remove_dir(host.bridge()).unwrap();
    let ran = host.sandbox.run(command.arg("ping")).expect_code(69);
    let expected = format!("no bridge at {}: ", host.bridge().display());
    assert!(ran.stderr.contains(&expected) && ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    host.start();
    host.kill();
    assert!(host.bridge().join("backrest.sock").exists(), "a stale socket");
    host.send(&["pre-backups"]).expect_code(69);
    assert!(started.elapsed() < SOON);
}

#[test]
fn a_listener_that_dies_in_the_middle_is_reported_at_once() {
    let mut host = Host::listening();
    host.note_and_gate();
    let mut client = host.send_aside(&["gate"]);
    let mut first = [0; 8];
    client.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let started = Instant::now();
    host.kill();
    let ended = client.wait_with_output().unwrap();
    assert!(started.elapsed() < SOON);
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("the listener went away while #"), "{ended:?}");
}

#[test]
fn no_end_in_time_is_reported_and_the_host_goes_on() {
    let host = Host::listening();
    host.note_and_gate();
    let ran = host.send(&["gate", "--timeout", "1s"]).expect_code(75);
    assert!(ran.stderr.contains("timed out; the host is still running #"), "{}", ran.stderr);
    host.open_gate();
    host.wait_for_log("gate (socket): done");
}

#[test]
fn a_listener_that_hangs_is_given_up_in_time() {
    let host = Host::new();
    std::fs::create_dir_all(host.bridge()).unwrap();
    let _silent = UnixListener::bind(host.bridge().join("backrest.sock")).unwrap();
    let started = Instant::now();
    let ran = host.send(&["ping", "--timeout", "1s"]).expect_code(75);
    assert!(ran.stderr.contains("does not answer"), "{}", ran.stderr);
    assert!(started.elapsed() < SOON);
}

#[test]
fn a_client_that_does_not_wait_learns_only_that_the_message_was_taken() {
    let host = Host::listening();
    host.note_and_gate();
    host.send(&["--no-wait", "gate"]).expect_success();
    host.send(&["--no-wait", "note", "later"]).expect_success();
    host.send(&["--no-wait", "nonsense"]).expect_code(64);
    host.open_gate();
    assert_eq!(host.wait_for_notes(1), ["later"]);
}

#[test]
fn a_second_message_waits_for_its_turn_and_says_so() {
    let host = Host::listening();
    host.note_and_gate();
    let first = host.send_aside(&["gate"]);
    wait_until("it runs", || host.send(&["status"]).stdout.contains("gate"));
    let mut second = host.send_aside(&["note", "second"]);
    let mut printed = String::new();
    BufReader::new(second.stderr.take().unwrap()).read_line(&mut printed).unwrap();
    assert_eq!(printed, "backrest-send: waits for its turn: gate runs\n");
    host.open_gate();
    assert!(first.wait_with_output().unwrap().status.success() && second.wait().unwrap().success());
}

#[test]
fn within_a_shells_standard_input_it_eats_nothing() {
    let host = Host::listening();
    host.note_and_gate();
    for shell in ["sh", "bash"] {
        let mut command = host.sandbox.command(shell);
        command.env("BACKREST_BRIDGE", host.bridge()).env("SEND", client());
        let script = format!("\"$SEND\" ping\n\"$SEND\" note {shell}\necho the rest\n");
        let ran = host.sandbox.run_with_input(&mut command, script.as_bytes()).expect_success();
        assert!(ran.stdout.ends_with("the rest\n"), "{}", ran.stdout);
    }
    assert_eq!(host.notes(), ["sh", "bash"]);
}

#[test]
fn as_the_program_of_a_hook_each_line_is_a_message_up_to_the_first_that_fails() {
    let host = Host::listening();
    host.note_and_gate();
    host.action("bad", "exit 1");
    // Backrest passes what follows the first line to its program.
    let hook = "\n# comment\nnote one\r\n  note two\nbad\nnote three\n";
    host.sandbox.run_with_input(&mut host.client(&[]), hook.as_bytes()).expect_code(1);
    assert_eq!(host.notes(), ["one", "two"]);
    // The kernel passes the file's path to its program.
    let text = format!("#!{}\nnote from a file\n", client().display());
    let file = host.sandbox.script("hook", text);
    let mut command = host.sandbox.command(file);
    host.sandbox.run(command.env("BACKREST_BRIDGE", host.bridge())).expect_success();
    assert_eq!(host.notes()[2], "from a file");
}

#[test]
fn the_rest_of_a_long_line_of_a_hook_is_no_message() {
    let host = Host::listening();
    host.note_and_gate();
    let comment = format!("#{}note within a comment\nnote one\n", " ".repeat(4097));
    host.sandbox.run_with_input(&mut host.client(&[]), comment.as_bytes()).expect_success();
    let long = format!("note two{}note within a message\nnote three\n", " ".repeat(4090));
    let ran = host.sandbox.run_with_input(&mut host.client(&[]), long.as_bytes()).expect_code(64);
    assert!(ran.stderr.contains("a line is longer than a message may be"), "{}", ran.stderr);
    assert_eq!(host.notes(), ["one"]);
}

#[test]
fn much_output_comes_whole_and_needs_no_reader() {
    let host = Host::listening();
    host.action("much", "seq 1 20000; exit 3");
    let ran = host.send(&["much"]).expect_code(1);
    assert_eq!(ran.stdout.lines().count(), 20_000, "{}", ran.stderr);
    assert!(ran.stderr.ends_with(": exit code 3\n"), "{}", ran.stderr);
    for elsewhere in ["| head -n 1 >&2", "> /dev/full", ">&-"] {
        let mut command = host.sandbox.command("bash");
        command.env("BACKREST_BRIDGE", host.bridge()).env("SEND", client());
        let ran = host
            .sandbox
            .run(command.args(["-c", &format!("\"$SEND\" much {elsewhere}; echo ${{PIPESTATUS[0]}}")]));
        assert_eq!(ran.stdout, "1\n", "{elsewhere}: {}", ran.stderr);
    }
}

#[test]
fn it_uses_the_socket_in_the_folder_it_lies_in() {
    let host = Host::listening();
    let beside = host.bridge().join("backrest-send");
    common::testing::copy_program(client(), &beside);
    let ran = host.sandbox.run(host.sandbox.command(&beside).arg("ping")).expect_success();
    assert_eq!(ran.stdout, format!("pong {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_bridge_at_a_path_longer_than_a_sockets_address_works() {
    let mut host = Host::new();
    let folder = host.sandbox.path(format!("{}/backrest", "long-name-".repeat(20)));
    std::fs::create_dir_all(&folder).unwrap();
    host.arguments = vec!["--container-dir".into(), folder.display().to_string()];
    let mut child = host.command().stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let bridge = folder.join("bridge").display().to_string();
    wait_until("it answers", || host.send(&["--bridge", &bridge, "ping"]).end.is_success());
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().try_into().unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_answer_that_can_not_be_read_is_reported() {
    let host = Host::new();
    std::fs::create_dir_all(host.bridge()).unwrap();
    let fake = UnixListener::bind(host.bridge().join("backrest.sock")).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = fake.accept().unwrap();
        assert!(stream.read(&mut [0; 100]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    });
    let ran = host.send(&["ping"]).expect_code(1);
    assert!(ran.stderr.contains("another version"), "{}", ran.stderr);
    server.join().unwrap();
}

/// A newline would end it for the listener, which could answer, and lose the client, before it knows.
#[test]
fn a_message_whose_client_does_not_wait_ends_with_its_half_of_the_connection() {
    let host = Host::new();
    std::fs::create_dir_all(host.bridge()).unwrap();
    let fake = UnixListener::bind(host.bridge().join("backrest.sock")).unwrap();
    let mut client = host.send_aside(&["--no-wait", "ping"]);
    let mut sent = String::new();
    fake.accept().unwrap().0.read_to_string(&mut sent).unwrap();
    assert_eq!(sent, "ping");
    assert_eq!(client.wait().unwrap().code(), Some(69));
}
