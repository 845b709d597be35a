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
    let _ = host.send(&["stop-tailscale"]).expect_success();
    let status = host.send(&["status"]).stdout;
    assert!(
        status.contains("after-steps-due: in ") && status.contains("tailscale-down-due: in "),
        "{status}"
    );
    // Whatever a first message sets in motion has settled.
    host.write("note warm\n");
    host.wait_for_notes(1);
    host.wait_for_log("note warm (pipe): done");
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
    // What the threads are in is shown; that they returned from it would be another line.
    let asleep = |line: &&str| line.ends_with("<unfinished ...>") || line.ends_with("<detached ...>");
    let woke: Vec<_> = trace.lines().filter(|line| !asleep(line)).collect();
    assert!(!trace.is_empty() && woke.is_empty(), "{trace}");
}
