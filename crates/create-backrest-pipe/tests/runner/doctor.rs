//! `status` about what other programs know: the tools, Backrest, the monitor.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::backrest::Server;
use crate::home::Home;
use crate::status::{states, status};

/// A home in which the tools that `status` asks are installed, too.
#[track_caller]
fn home_with_tools() -> Home {
    let home = Home::new();
    for tool in ["pre-backup-actions", "build-ignore"] {
        home.install(tool, &common::testing::built(tool, tool));
    }
    home
}

#[test]
fn a_script_that_would_be_refused_is_named_before_the_first_night() {
    let home = home_with_tools();
    home.sandbox.script("data/wiki/prepare-backup.sh", "#!/bin/sh\n");
    assert_eq!(states(&home, "scripts"), ["good"], "{}", status(&home).everything());
    let script = home.sandbox.script("data/shop/prepare-backup.sh", "#!/bin/sh\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o777)).unwrap();
    let ran = status(&home).expect_code(1);
    let line = format!("✗ scripts    {}: ", script.display());
    assert!(ran.stdout.contains(&line) && ran.stdout.contains("chmod"), "{}", ran.everything());
}

#[test]
fn what_no_backup_holds_is_named() {
    let home = home_with_tools();
    let elsewhere = home.sandbox.path("disk/media");
    fs::create_dir_all(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, home.sandbox.path("data/media")).unwrap();
    let ran = status(&home).expect_code(1);
    let line = ran.stdout.lines().find(|line| line.starts_with("✗ coverage"));
    assert!(line.is_some_and(|line| line.contains("data/media → ")), "{}", ran.everything());
}

#[test]
fn a_service_that_could_not_be_brought_back_is_named() {
    let home = Home::new();
    home.sandbox.write(
        "containers/backrest/state/actions/trouble",
        r#"{"down":[{"service":"wiki","tries":3,"since":0,"why":"exit code 1"}]}"#,
    );
    let ran = status(&home).expect_code(1);
    let line = "✗ services   wiki still stopped, 3 tries (exit code 1)";
    assert!(ran.stdout.contains(line), "{}", ran.everything());
    home.sandbox.write("containers/backrest/state/actions/trouble", "{");
    let ran = status(&home).expect_code(1);
    assert!(ran.stdout.contains("? services   read which services are down"), "{}", ran.everything());
}

#[test]
fn a_crontab_that_calls_an_old_script_is_found() {
    let home = Home::new();
    let script = home.sandbox.script("scripts/build-ignorefile.sh", "#!/bin/bash\n");
    home.set_crontab(&format!("0 2 * * * {}\n", script.display()));
    let ran = status(&home).expect_code(1);
    assert!(ran.stdout.contains("✗ crontab    your crontab calls an old script"), "{}", ran.everything());
}

#[test]
fn the_version_is_named_with_what_it_lacks() {
    let home = Home::new();
    for (version, line) in [
        ("1.8.1", "· backrest   Backrest 1.8.1: a failing hook"),
        ("1.10.1", "· backrest   Backrest 1.10.1: a failing hook"),
        ("1.11.0", "✓ backrest   Backrest 1.11.0"),
        ("1.14.1", "✓ backrest   Backrest 1.14.1"),
    ] {
        let server = Server::of_version(version);
        let ran = home.run(&["status", "--backrest", &server.address]);
        assert!(ran.stdout.contains(line), "{}", ran.everything());
    }
    // Without its page the form of its configuration is what is left.
    home.sandbox.write("data/backrest/config/config.json", r#"{"version":6}"#);
    assert!(status(&home).stdout.contains("✓ backrest   Backrest 1.13 or newer"));
    home.sandbox.write("data/backrest/config/config.json", r#"{"version":4}"#);
    assert!(status(&home).stdout.contains("· backrest   its version is not known"));
}

#[test]
fn what_apply_warns_of_is_reported_as_well() {
    let (home, server) = (Home::new(), Server::start());
    let ask = || home.run(&["status", "--backrest", server.address.as_str()]).stdout;
    home.run(&["hooks", "--apply", &server.address, "--yes", "--tailscale", "no"]).expect_success();
    let halting = "✗ hooks      a hook of your own on ANY_ERROR comes before post-backups";
    assert!(ask().contains(halting), "{}", ask());
    let hooks = |text: &str| {
        let mut state = server.state.lock().unwrap();
        let hook = serde_json::json!({ "conditions": ["CONDITION_SNAPSHOT_START"], "actionCommand": { "command": text } });
        state.config["plans"][0]["hooks"][0] = hook;
    };
    hooks("echo pre-backups > /backrest-pipe");
    assert!(
        ask().contains("✗ hooks      1 hook of the old scripts") && ask().contains("--replace-old"),
        "{}",
        ask()
    );
    hooks("case x in y) /bridge/backrest-send stop-tailscale ;; esac");
    assert!(ask().contains("? hooks      a hook on SNAPSHOT_START"), "{}", ask());
    hooks("curl http://x\n/bridge/backrest-send pre-backups");
    assert!(ask().contains("✗ hooks      more than one hook sends pre-backups"), "{}", ask());
}

#[test]
fn how_the_last_push_was_answered_is_shown() {
    let home = Home::new();
    home.sandbox.write(
        "containers/backrest/.env",
        "UPTIME_KUMA_PUSH_URL=http://127.0.0.1:1/api/push/secret\nUPTIME_KUMA_PUSH_URL_WEEKLY=http://127.0.0.1:1/api/push/secret2\n",
    );
    let pushed = |answer: &str| {
        let text =
            format!(r#"{{"last":{{"UPTIME_KUMA_PUSH_URL":{{"at":0,"state":"down","answer":{answer}}}}}}}"#);
        home.sandbox.write("containers/backrest/state/pushes.json", text);
        let ran = status(&home).expect_code(1);
        assert!(!ran.everything().contains("secret"));
        ran.stdout
    };
    let shown = pushed(r#"{"refused":"Monitor not found or not active."}"#);
    assert!(
        shown.contains("✗ kuma       the last push (down, ") && shown.contains("not found or not active"),
        "{shown}"
    );
    assert!(
        shown.contains("✗ kuma       Uptime Kuma does not answer"),
        "the other was never pushed to: {shown}"
    );
    let shown = pushed(r#""accepted""#);
    assert!(shown.contains("✓ kuma") && shown.contains("to UPTIME_KUMA_PUSH_URL was accepted"), "{shown}");
    let missing = "✗ kuma       backrest-push is not installed";
    assert!(shown.contains(missing), "{shown}");
    home.sandbox.script(".local/bin/backrest-push", "#!/bin/sh\n");
    let shown = pushed(r#""accepted""#);
    assert!(!shown.contains(missing), "{shown}");
}

#[test]
fn what_changes_nothing_takes_no_dry_run() {
    let home = Home::new();
    for command in ["status", "log", "verify"] {
        let ran = home.run(&[command, "--dry-run"]).expect_code(2);
        assert!(ran.stderr.contains("change nothing"), "{}", ran.everything());
    }
    for (arguments, why) in [
        (&["--supervisor", "none", "status"][..], "--supervisor"),
        (&["--supervisor", "none", "remove"], "--supervisor"),
        (&["status", "--user", "me"], "--backrest"),
        (&["hooks", "--user", "me"], "--apply"),
    ] {
        let ran = home.run(arguments).expect_code(2);
        assert!(ran.stderr.contains(why) && ran.stdout.is_empty(), "{}", ran.everything());
    }
}

#[test]
fn roots_that_are_not_there_are_not_ticked() {
    let home = Home::new();
    fs::remove_dir_all(home.sandbox.path("data")).unwrap();
    let ran = status(&home).expect_code(1);
    assert!(ran.stdout.contains("✗ settings   the data root is not there"), "{}", ran.everything());
    assert!(!ran.stdout.contains("✓ settings"), "{}", ran.everything());
}

#[test]
fn a_mount_that_the_compose_file_has_is_not_proposed() {
    let home = Home::new();
    home.sandbox.write(
        "containers/backrest/compose.yaml",
        "services:\n  backrest:\n    image: garethgeorge/backrest\n    volumes:\n      - ./bridge:/bridge\n",
    );
    let ran = home.set_up();
    assert!(ran.stdout.contains("Next:") && !ran.stdout.contains("below `volumes:`"), "{}", ran.everything());
    let other = Home::new();
    let ran = other.run(&["--supervisor", "none"]).expect_success();
    assert!(ran.stdout.contains("below `volumes:`"), "{}", ran.everything());
    assert!(ran.stdout.contains("start the listener: "), "{}", ran.everything());
}
