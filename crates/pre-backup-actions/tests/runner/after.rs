//! After steps: what was prepared is brought back, in the reverse order, once, however it ended.

use std::fs;

use crate::scripts::{Home, last_line, wait_for};

/// A service that is stopped and started; `up` is there while it runs.
#[track_caller]
fn stoppable(home: &Home, service: &str) {
    home.sandbox.write(format!("data/{service}/up"), "");
    home.prepare(service, "rm up");
    home.after(service, "touch up; echo \"$SERVICE\" >>../order");
}

#[test]
fn what_was_prepared_is_brought_back_in_reverse_once() {
    let home = Home::new();
    for service in ["a", "b", "c"] {
        stoppable(&home, service);
    }
    home.prepare("without", "true");
    home.run(&["--jobs", "1"]).expect_success();
    assert!(!home.exists("data/a/up"));
    let ran = home.run(&["--after"]).expect_success();
    assert_eq!(last_line(&ran.stdout), "after the backup: 3 ok");
    assert_eq!(home.lines("data/order"), ["c", "b", "a"]);
    assert!(!home.journal().exists());
    let ran = home.run(&["--after"]).expect_success();
    assert_eq!(ran.stdout, "after the backup: nothing to do, no prepare step is open\n");
    assert_eq!(home.lines("data/order").len(), 3);
}

#[test]
fn a_service_whose_prepare_step_failed_is_brought_back_too() {
    let home = Home::new();
    stoppable(&home, "a");
    home.prepare("a", "rm up; exit 1");
    home.run(&[]).expect_code(1);
    home.run(&["--after"]).expect_success();
    assert!(home.exists("data/a/up"));
}

#[test]
fn a_failing_after_step_stays_in_the_journal_and_is_tried_again() {
    let home = Home::new();
    stoppable(&home, "a");
    stoppable(&home, "b");
    home.after("b", "[ -e ../fixed ] && touch up");
    home.run(&[]).expect_success();
    let ran = home.run(&["--after"]).expect_code(1);
    assert_eq!(last_line(&ran.stdout), "after the backup: 1 ok, 1 failed: b (exit code 1)");
    assert!(home.exists("data/a/up"));
    let journal = home.run(&["--journal"]).expect_success();
    assert!(journal.stdout.contains(", failed once: exit code 1\n"), "{}", journal.everything());
    // Not before its time.
    let ran = home.run(&["--after", "--if-due"]).expect_success();
    assert_eq!(ran.stdout, "");
    home.sandbox.write("data/fixed", "");
    home.run(&["--after"]).expect_success();
    assert!(home.exists("data/b/up") && !home.journal().exists());
}

#[test]
fn a_new_run_first_brings_back_what_an_old_one_left() {
    let home = Home::new();
    home.prepare("a", "[ -e up ] || echo not up >>../order; rm -f up; echo prepared >>../order");
    home.after("a", "touch up; echo back >>../order");
    home.sandbox.write("data/a/up", "");
    home.run(&[]).expect_success();
    let ran = home.run(&[]).expect_success();
    assert_eq!(home.lines("data/order"), ["prepared", "back", "prepared"], "{}", ran.everything());
    assert!(ran.stdout.contains("an earlier run was not followed by its after steps; they run first\n"));
}

/// One service that can't be brought back does not keep the others, and itself, out of the backup.
#[test]
fn an_old_after_step_that_fails_does_not_stop_the_next_backup() {
    let home = Home::new();
    home.prepare("a", "echo prepared >>../order; [ ! -e fails ]");
    home.after("a", "exit 7");
    home.prepare("b", "true");
    home.run(&[]).expect_success();
    let trouble = || home.trouble();
    assert!(trouble().is_empty());
    let ran = home.run(&["--after"]).expect_code(1);
    assert_eq!(last_line(&ran.stdout), "after the backup: 0 ok, 1 failed: a (exit code 7)");
    let down = |tries| format!("a still stopped, {tries} (exit code 7)");
    assert_eq!(trouble().down_line(), Some(down("1 try")));
    let ran = home.run(&[]).expect_success();
    let expected = "1 ok, 1 with a warning: a (its after-backup.sh has failed: exit code 7); after steps of an earlier run failed: a";
    assert_eq!(last_line(&ran.stdout), expected, "{}", ran.everything());
    assert_eq!(trouble().down_line(), Some(down("2 tries")));
    // That its prepare step fails as well is the same trouble.
    home.sandbox.write("data/a/fails", "");
    let ran = home.run(&[]).expect_success();
    assert!(
        last_line(&ran.stdout).starts_with("1 ok, 1 with a warning: a (exit code 1; its after"),
        "{}",
        ran.everything()
    );
    assert_eq!(home.lines("data/order").len(), 3);
    let kept = trouble().preparations.remove("").unwrap();
    assert!(!kept.is_failure && kept.summary.starts_with("1 ok, 1 with a warning: a ("), "{kept:?}");
    home.after("a", "true");
    home.run(&["--after"]).expect_success();
    assert_eq!(trouble().down_line(), None);
}

#[test]
fn the_deadline_and_a_new_boot_make_it_due() {
    let home = Home::new();
    stoppable(&home, "a");
    home.run(&[]).expect_success();
    assert_eq!(home.run(&["--after", "--if-due"]).expect_success().stdout, "");
    assert!(!home.exists("data/a/up"));
    let text = fs::read_to_string(home.journal()).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    fs::write(home.journal(), text.replace(boot.trim(), "another-boot")).unwrap();
    let json = home.run(&["--journal", "--json"]).expect_success();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json.stdout).unwrap()["next_due"], 0);
    let ran = home.run(&["--after", "--if-due"]).expect_success();
    assert!(home.exists("data/a/up"), "{}", ran.everything());

    home.run(&["--after-deadline", "1ms"]).expect_success();
    home.run(&["--after", "--if-due"]).expect_success();
    assert!(home.exists("data/a/up") && !home.journal().exists());
}

#[test]
fn the_deadline_is_a_setting() {
    let home = Home::new();
    stoppable(&home, "a");
    home.sandbox.write("containers/backrest/.env", "AFTER_DEADLINE=90m\n");
    home.run(&[]).expect_success();
    let json = home.run(&["--journal", "--json"]).expect_success();
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let entry = &value["entries"][0];
    assert_eq!(entry["due"].as_i64().unwrap() - entry["started"].as_i64().unwrap(), 5400);
    // tidy: the old name, for one version
    assert_eq!(entry["started"], entry["begun"]);
    home.sandbox.write("containers/backrest/.env", "AFTER_DEADLINE=soon\n");
    let ran = home.run(&["--after"]).expect_code(1);
    assert!(ran.stderr.starts_with("pre-backup-actions: AFTER_DEADLINE: "), "{}", ran.everything());
}

#[test]
fn all_runs_every_after_script_whatever_the_journal_says() {
    let home = Home::new();
    home.after("a", "touch ran");
    home.after("b", "touch ran");
    home.run(&["--after"]).expect_success();
    assert!(!home.exists("data/a/ran"));
    home.run(&["--after", "--all", "--only", "a"]).expect_success();
    assert!(home.exists("data/a/ran") && !home.exists("data/b/ran") && !home.journal().exists());
    home.run(&["--after", "--all"]).expect_success();
    assert!(home.exists("data/b/ran"));
}

#[test]
fn after_a_damaged_journal_every_after_script_runs() {
    let home = Home::new();
    stoppable(&home, "a");
    stoppable(&home, "b");
    home.run(&[]).expect_success();
    fs::write(home.journal(), b"{\"journal\":1}\n\0\0\0\0\n").unwrap();
    let ran = home.run(&["--after"]).expect_success();
    assert!(home.exists("data/a/up") && home.exists("data/b/up"), "{}", ran.everything());
    assert!(ran.stderr.contains("journal:2: the journal is damaged"), "{}", ran.everything());
    assert!(ran.stderr.contains("journal.damaged-20"), "{}", ran.everything());
}

#[test]
fn a_journal_that_can_not_be_read_or_written_leaves_no_service_stopped() {
    for (kind, after, code) in
        [("fifo", true, 0), ("folder", true, 1), ("read-only", true, 1), ("read-only", false, 1)]
    {
        let arguments: &[&str] = if after { &["--after", "--key", "one"] } else { &["--key", "one"] };
        let home = Home::new();
        stoppable(&home, "a");
        home.run(&["--key", "one"]).expect_success();
        let mut command = home.command(arguments);
        if kind == "read-only" {
            let mounts = r#"mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@""#;
            command = home.sandbox.command("unshare");
            command.args(["--mount", "--map-root-user", "sh", "-c", mounts, "sh"]);
            command.arg(home.sandbox.path("containers")).arg(env!("CARGO_BIN_EXE_pre-backup-actions"));
            command.args(arguments);
        } else {
            fs::remove_file(home.journal()).unwrap();
        }
        match kind {
            "fifo" => nix::unistd::mkfifo(&home.journal(), nix::sys::stat::Mode::S_IRWXU).unwrap(),
            "folder" => fs::create_dir(home.journal()).unwrap(),
            _ => {}
        }
        let ran = home.sandbox.run(&mut command).expect_code(code);
        assert!(home.exists("data/a/up"), "{kind}: {}", ran.everything());
        assert!(ran.stderr.contains("/journal: "), "{kind}: {}", ran.everything());
    }
}

/// What could not be read may be any service. That is known until all of them are in the journal.
#[test]
fn a_damaged_journal_is_one_until_every_after_script_is_in_it() {
    let home = Home::new();
    stoppable(&home, "a");
    home.run(&[]).expect_success();
    fs::write(home.journal(), b"").unwrap();
    let json = home.run(&["--journal", "--json"]).expect_success();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json.stdout).unwrap()["next_due"], 0);
    let shown = home.run(&["--journal"]).expect_success();
    assert!(last_line(&shown.stdout).starts_with("the journal is damaged; "), "{}", shown.everything());
    fs::rename(home.sandbox.path("data"), home.sandbox.path("unmounted")).unwrap();
    home.run(&["--after", "--if-due"]).expect_code(1);
    fs::rename(home.sandbox.path("unmounted"), home.sandbox.path("data")).unwrap();
    let ran = home.run(&["--after", "--if-due"]).expect_success();
    assert!(home.exists("data/a/up") && !home.journal().exists(), "{}", ran.everything());
}

#[test]
fn a_log_grows_by_each_run_and_one_that_can_not_be_written_is_reported_and_stops_nothing() {
    let home = Home::new();
    home.prepare("line\nbreak", "true");
    home.run(&[]).expect_success();
    home.run(&[]).expect_success();
    let log = home.sandbox.read("containers/backrest/logs/actions/line%0Abreak.log");
    assert_eq!(log.matches(" ok after ").count(), 2, "{log}");
    fs::remove_dir_all(home.sandbox.path("data/line\nbreak")).unwrap();
    fs::remove_dir_all(home.sandbox.path("containers/backrest/logs")).unwrap();
    home.prepare("a", "echo one; echo two");
    home.sandbox.write("containers/backrest/logs", "");
    let ran = home.run(&[]).expect_success();
    let log = home.sandbox.path("containers/backrest/logs/actions/a.log");
    let expected = format!("a | one\na | two\na | the log is not whole: {}: Not a directory", log.display());
    assert!(ran.stdout.starts_with(&expected), "{}", ran.everything());
}

/// The disk on which the journal lies is full: what has started is brought back all the same.
#[test]
fn a_full_disk_leaves_nothing_stopped() {
    let home = Home::new();
    for service in ["a", "b"] {
        stoppable(&home, service);
    }
    let state = home.sandbox.path("containers/backrest/state");
    fs::create_dir(&state).unwrap();
    let mount = |arguments: &[&str]| {
        let done = std::process::Command::new(arguments[0]).args(&arguments[1..]).arg(&state).status();
        assert!(done.unwrap().success(), "this test needs root, to mount a small file system");
    };
    mount(&["mount", "-t", "tmpfs", "-o", "size=256k", "none"]);
    let filled = std::panic::catch_unwind(|| {
        home.run(&["--jobs", "1"]).expect_success();
        let mut journal = fs::OpenOptions::new().append(true).open(home.journal()).unwrap();
        std::io::Write::write_all(&mut journal, b"{\"clear\":").unwrap();
        fs::write(state.join("full"), vec![0; 1 << 20]).expect_err("the disk is small");
        // It holds no room for one more byte.
        while std::io::Write::write_all(&mut journal, b" ").is_ok() {}
        home.run(&["--after"])
    });
    let up = ["a", "b"].map(|service| home.exists(&format!("data/{service}/up")));
    let journal = home.journal().exists();
    // Lazily: a process that another test just starts may hold our files open until its program begins.
    mount(&["umount", "--lazy"]);
    let ran = filled.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).expect_success();
    assert!(up == [true, true] && !journal, "{}", ran.everything());
}

#[test]
fn a_service_that_is_gone_is_reported_and_forgotten_but_an_unmounted_root_is_not() {
    let home = Home::new();
    stoppable(&home, "a");
    stoppable(&home, "b");
    home.run(&["--jobs", "1"]).expect_success();
    fs::remove_dir_all(home.sandbox.path("data/a")).unwrap();
    let (data, unmounted) = (home.sandbox.path("data"), home.sandbox.path("unmounted"));
    fs::rename(&data, &unmounted).unwrap();
    // No folder, an empty one, one in which Docker has made what its containers mount.
    for made in [None, Some(""), Some("b/data")] {
        made.iter().for_each(|folder| fs::create_dir_all(data.join(folder)).unwrap());
        let ran = home.run(&["--after"]).expect_code(1);
        assert!(last_line(&ran.stdout).contains("2 failed: b (its "), "{made:?}\n{}", ran.everything());
        assert!(ran.stdout.contains(&format!("  hint: mount the disk that belongs at {}; ", data.display())));
    }
    // The next backup does not start either: it would hold nothing.
    let ran = home.run(&[]).expect_code(1);
    assert!(
        ran.stderr.contains(": no service has a prepare-backup.sh now, but 2 services had one before\n"),
        "{}",
        ran.everything()
    );
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&unmounted, &data).unwrap();
    let ran = home.run(&["--after"]).expect_success();
    assert!(
        last_line(&ran.stdout).contains("1 with a warning: a (its folder is gone"),
        "{}",
        ran.everything()
    );
    assert!(home.exists("data/b/up") && !home.journal().exists());
}

#[test]
fn an_after_script_that_was_removed_is_reported_and_forgotten() {
    let home = Home::new();
    stoppable(&home, "a");
    home.run(&[]).expect_success();
    fs::remove_file(home.sandbox.path("data/a/after-backup.sh")).unwrap();
    let ran = home.run(&["--after"]).expect_success();
    let expected =
        "after the backup: 0 ok, 1 with a warning: a (its after-backup.sh is gone, so nothing was run)";
    assert_eq!(last_line(&ran.stdout), expected);
    assert!(!home.journal().exists());
}

#[test]
fn after_waits_for_a_preparation_that_is_under_way() {
    let home = Home::new();
    home.prepare("app", "touch here; until [ -e go ]; do sleep 0.02; done");
    home.after("app", "touch up");
    let mut preparation = home.start(&[]);
    wait_for(&home.sandbox.path("data/app/here"));
    let ran = home.run(&["--after", "--wait", "1ms"]).expect_code(1);
    assert!(ran.stderr.contains("another run is under way: process "), "{}", ran.everything());
    let mut after = home.start(&["--after"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(after.try_wait().unwrap().is_none() && !home.exists("data/app/up"), "it waits");
    home.sandbox.write("data/app/go", "");
    assert!(preparation.wait().unwrap().success() && after.wait().unwrap().success());
    assert!(home.exists("data/app/up") && !home.journal().exists());
}
