//! A listener that has nothing to do does nothing.

use std::process::Command;
use std::time::Duration;

use crate::host::Host;

#[test]
fn an_idle_listener_makes_no_system_call() {
    let mut host = Host::new();
    // Much later something is due: what was prepared is cleaned up after, the network is taken down.
    host.with_tools(&[("pre-backup-actions", "echo '{\"next_due\": 4000000000}'")]);
    host.sandbox.write("containers/backrest/state/actions/journal", "");
    host.sandbox.write("containers/backrest/state/tailscale.json", "{\"ours\":true}");
    host.start();
    host.note_and_gate();
    host.send(&["stop-tailscale"]).expect_success();
    let status = host.send(&["status"]).stdout;
    assert!(
        status.contains("after-steps-due: in ") && status.contains("tailscale-down-due: in "),
        "{status}"
    );
    // Whatever a first message sets in motion has settled.
    host.write("note warm\n");
    host.wait_for_notes(1);
    host.wait_for_log("note warm (pipe): done");
    // On a busy machine that takes a while. What wakes it again and again never lets ten seconds pass.
    let mut traces = Vec::new();
    while traces.len() < 3 {
        let trace = ten_seconds(&host);
        if !has_woken(&trace) {
            return;
        }
        traces.push(trace);
    }
    panic!("{}", traces.join("\n"));
}

/// What strace sees of the listener and all its threads.
#[track_caller]
fn ten_seconds(host: &Host) -> String {
    let trace = host.sandbox.path("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&trace).args(["-p", &host.process().to_string()]);
    let mut child = strace.spawn().expect("run strace (Debian package strace)");
    std::thread::sleep(Duration::from_secs(10));
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().try_into().unwrap()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    child.wait().unwrap();
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(!trace.is_empty(), "strace shows what the threads are in");
    trace
}

/// What the threads are in is shown; that they returned from it would be another line.
fn has_woken(trace: &str) -> bool {
    let asleep = |line: &str| line.ends_with("<unfinished ...>") || line.ends_with("<detached ...>");
    trace.lines().any(|line| !asleep(line))
}
