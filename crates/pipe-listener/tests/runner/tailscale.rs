//! Tailscale, by a substitute that answers as the real one does: it needs an account and the kernel's network.

use std::fs;
use std::time::Duration;

use common::testing::wait_until;

use crate::host::Host;

/// Behaves as `tailscale` 1.x: exit codes, JSON, the messages where rights are missing, and a delay before it is up.
const TAILSCALE: &str = r#"
ts="$HOME/ts"
echo "${AS_ROOT:+sudo }$*" >> "$ts/calls"
refuse() { echo "$1" >&2; exit 1; }
[ -e "$ts/no-daemon" ] && refuse "failed to connect to local tailscaled; it doesn't appear to be running"
case "$1" in
status)
    if [ -s "$ts/coming" ]; then
        left=$(cat "$ts/coming")
        if [ "$left" -gt 0 ]; then echo $((left - 1)) > "$ts/coming"; echo Starting > "$ts/state"
        else rm "$ts/coming"; echo Running > "$ts/state"; fi
    fi
    printf '{"Version":"1.80.0","BackendState":"%s","Self":{"ID":"n1","Online":true},"Peer":null}\n' "$(cat "$ts/state")" ;;
up | down)
    [ -e "$ts/denied" ] && [ -z "$AS_ROOT" ] && refuse "Access denied: prefs write access denied"
    [ -e "$ts/broken" ] && refuse "something is broken"
    if [ "$1" = up ]; then echo 3 > "$ts/coming"; else echo Stopped > "$ts/state"; fi ;;
debug) echo '{"OperatorUser":""}' ;;
*) refuse "unknown command $1" ;;
esac
"#;

const SUDO: &str = r#"
[ "$1" = -n ] || exit 99
[ -e "$HOME/ts/sudoers" ] || { echo "sudo: a password is required" >&2; exit 1; }
shift
[ "$1" = -l ] && exit 0
AS_ROOT=1 exec "$@"
"#;

impl Host {
    #[track_caller]
    fn with_tailscale(state: &str, linger: &str) -> Host {
        let mut host = Host::new();
        host.sandbox.script("bin/tailscale", format!("#!/bin/sh\n{TAILSCALE}"));
        host.sandbox.script("bin/sudo", format!("#!/bin/sh\n{SUDO}"));
        host.sandbox.write("ts/state", format!("{state}\n"));
        host.environment.push(("TAILSCALE_LINGER".into(), linger.into()));
        host
    }

    #[track_caller]
    fn network(&self) -> String {
        self.sandbox.read("ts/state").trim().to_string()
    }

    #[track_caller]
    fn flag(&self, name: &str) {
        self.sandbox.write(format!("ts/{name}"), "");
    }

    #[track_caller]
    fn calls(&self, what: &str) -> usize {
        self.sandbox.read("ts/calls").lines().filter(|line| *line == what).count()
    }
}

#[test]
fn starting_waits_until_the_network_is_up() {
    let mut host = Host::with_tailscale("Stopped", "10m");
    host.start();
    let ran = host.send(&["start-tailscale"]).expect_success();
    assert!(ran.stderr.contains("tailscale is up"), "{}", ran.stderr);
    assert_eq!(host.network(), "Running");
    assert_eq!(host.calls("up"), 1);
}

#[test]
fn what_was_up_before_stays_up() {
    let mut host = Host::with_tailscale("Running", "0s");
    host.start();
    host.send(&["start-tailscale"]).expect_success();
    let ran = host.send(&["stop-tailscale"]).expect_success();
    assert!(ran.stderr.contains("it was up before"), "{}", ran.stderr);
    assert_eq!((host.network().as_str(), host.calls("up"), host.calls("down")), ("Running", 0, 0));
}

#[test]
fn what_we_brought_up_goes_down_after_the_linger() {
    let mut host = Host::with_tailscale("Stopped", "4s");
    host.start();
    host.send(&["start-tailscale"]).expect_success();
    let ran = host.send(&["stop-tailscale"]).expect_success();
    assert!(ran.stderr.contains("goes down in 4.0 s unless it is needed again"), "{}", ran.stderr);
    assert_eq!(host.network(), "Running");
    wait_until("it is down", || host.network() == "Stopped");
    host.wait_for_log("tailscale-down (timer): done");
    // It was not ours before, and is not any more.
    host.send(&["stop-tailscale"]).expect_success();
    assert_eq!(host.calls("down"), 1);
}

#[test]
fn another_start_during_the_linger_keeps_it_up() {
    let mut host = Host::with_tailscale("Stopped", "4s");
    host.start();
    host.send(&["start-tailscale"]).expect_success();
    host.send(&["stop-tailscale"]).expect_success();
    host.send(&["start-tailscale"]).expect_success();
    std::thread::sleep(Duration::from_secs(5));
    host.send(&["ping"]).expect_success();
    assert_eq!((host.network().as_str(), host.calls("down")), ("Running", 0));
    host.send(&["stop-tailscale"]).expect_success();
    wait_until("it is down", || host.network() == "Stopped");
}

#[test]
fn a_listener_that_was_killed_during_the_linger_takes_it_down_all_the_same() {
    let mut host = Host::with_tailscale("Stopped", "2s");
    host.start();
    host.send(&["start-tailscale"]).expect_success();
    host.send(&["stop-tailscale"]).expect_success();
    host.kill();
    host.start();
    wait_until("it is down", || host.network() == "Stopped");
}

#[test]
fn after_a_restart_of_the_machine_only_what_we_brought_up_goes_down() {
    for (before, downs) in [("Stopped", 1), ("Running", 0)] {
        let mut host = Host::with_tailscale(before, "10m");
        host.start();
        host.send(&["start-tailscale"]).expect_success();
        host.send(&["stop-tailscale"]).expect_success();
        host.kill();
        // As after a boot whose clock is behind: how long ago it was is unknown, and it was not needed then.
        let file = host.sandbox.path("containers/backrest/state/tailscale.json");
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace(boot.trim(), "another").replace("\"wall\":1", "\"wall\":9")).unwrap();
        host.start();
        if downs > 0 {
            host.wait_for_log("tailscale-down (timer): done");
        }
        host.send(&["note"]).expect_code(64);
        assert_eq!(host.calls("down"), downs, "{before}: {}", host.log());
        let kept = if downs > 0 { "Stopped" } else { "Running" };
        assert_eq!(host.network(), kept, "{}", host.log());
    }
}

#[test]
fn without_the_operators_right_it_goes_through_sudo() {
    let mut host = Host::with_tailscale("Stopped", "0s");
    host.flag("denied");
    host.flag("sudoers");
    host.as_ordinary_user();
    host.start();
    host.send(&["start-tailscale"]).expect_success();
    host.send(&["stop-tailscale"]).expect_success();
    assert_eq!((host.calls("sudo up"), host.calls("sudo down")), (1, 1));
    assert_eq!(host.network(), "Stopped");
    assert!(host.send(&["status"]).stdout.contains("tailscale-rights: sudo\n"));
}

#[test]
fn missing_rights_are_reported_with_what_to_do() {
    let mut host = Host::with_tailscale("Stopped", "0s");
    host.flag("denied");
    host.as_ordinary_user();
    host.start();
    let ran = host.send(&["start-tailscale"]).expect_code(1);
    for part in ["Access denied: prefs write access denied", "a password is required", "--operator=$USER"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    let status = host.send(&["status"]).stdout;
    assert!(status.contains("tailscale-rights: none; allow it once with: sudo tailscale set"), "{status}");
    // What never came up is not ours to take down.
    host.send(&["stop-tailscale"]).expect_success();
    assert_eq!(host.calls("down"), 0);
}

#[test]
fn a_network_that_can_not_come_up_says_why() {
    for (state, flag, why) in [
        ("NeedsLogin", "nothing", "tailscale is not logged in"),
        ("Stopped", "no-daemon", "systemctl status tailscaled"),
        ("Stopped", "broken", "something is broken"),
    ] {
        let mut host = Host::with_tailscale(state, "0s");
        host.flag(flag);
        host.start();
        let ran = host.send(&["start-tailscale"]).expect_code(1);
        assert!(ran.stderr.contains(why), "{flag}: {}", ran.stderr);
    }
    let mut host = Host::with_tailscale("Stopped", "0s");
    fs::remove_file(host.sandbox.path("bin/tailscale")).unwrap();
    host.environment.push(("PATH".into(), host.sandbox.path("bin").display().to_string()));
    host.start();
    let ran = host.send(&["start-tailscale"]).expect_code(1);
    assert!(
        ran.stderr.contains("start: tailscale: No such file") && ran.stderr.contains("install Tailscale"),
        "{}",
        ran.stderr
    );
}
