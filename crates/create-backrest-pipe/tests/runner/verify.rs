//! `verify` against a server that behaves as Backrest's API and runs real restic, as a user who is not root. Each fault
//! that a backup can have is made, and has to be found.

mod ends;
mod explained;
mod hostile;
mod http;
pub(crate) mod server;
pub(crate) mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::contract::verification::{FaultKind, Outcome, Reason, Verification};
use serde_json::json;

use crate::backrest::LOGIN;
use world::{OLD_ENOUGH, World};

#[track_caller]
fn expect_fault(found: &Verification, kind: FaultKind, path: &str) {
    assert_eq!(found.outcome, Outcome::Wrong, "{found:#?}");
    let is_it = |fault: &common::contract::verification::Fault| {
        fault.kind == kind && fault.path.as_ref().is_some_and(|seen| seen.ends_with(path))
    };
    assert!(found.faults.iter().any(is_it), "{kind:?} {path}: {found:#?}");
}

#[track_caller]
fn expect_only_fault(found: &Verification, kind: FaultKind, path: &str) {
    expect_fault(found, kind, path);
    assert_eq!(found.faults.len(), 1, "{found:#?}");
}

#[test]
fn a_good_backup_is_proved() {
    let world = World::new();
    world.back_up();
    let ran = world.verify(&[]).expect_success();
    let summary = ran.stdout.lines().last().unwrap();
    assert!(summary.starts_with("backup proved: snapshot "), "{}", ran.everything());
    assert!(summary.contains("1 of 1 dumps proved"), "{}", ran.everything());
    assert!(!ran.stdout.contains('\u{1b}'), "{}", ran.everything());
    let found = world.found_in_sample(50);
    let wiki = found.services["data/wiki"];
    // .resticignore, the two pages, the script and the dump.
    assert_eq!((wiki.files, wiki.in_snapshot, wiki.dumps_proved), (5, 5, 1), "{found:#?}");
    assert_eq!(found.total().sample, found.total().sample_same);
    assert!(found.total().sample >= 5, "{found:#?}");
    assert_eq!(found.operations, 1, "a small home is one listing");
}

/// Its services are counted as those of the data root, and the dump of a script beside the root is found in it.
#[test]
fn a_data_root_in_the_container_root_is_proved() {
    let world = World::at("containers/app", |sandbox| {
        sandbox.script("containers/app/prepare-backup.sh", "#!/bin/sh\n# dump: db/all.json kind=json\n");
        sandbox.write("containers/app/db/all.json", "[]");
    });
    world.server.back_up(&[&world.flag()], || {
        world.dump();
        world.sandbox.write("containers/app/db/all.json", "[1]");
    });
    let found = world.found();
    assert_eq!(found.faults, [], "{found:#?}");
    let counts = |service: &str| (found.services[service].files, found.services[service].dumps_proved);
    assert_eq!(counts("data/wiki"), (5, 1), "{found:#?}");
    assert_eq!((counts("data/db"), counts("data/photos")), ((1, 0), (1, 0)), "{found:#?}");
    assert_eq!((counts("containers/app"), counts("containers/wiki")), ((1, 1), (1, 0)), "{found:#?}");
    let ran = world.tool_of("build-ignore", &["--report"]).expect_success();
    for service in ["data/wiki", "data/photos", "containers/app"] {
        assert!(ran.stdout.lines().any(|line| line.starts_with(service)), "{}", ran.everything());
    }
}

#[test]
fn a_file_that_is_missing_is_found() {
    let world = World::new();
    world.back_up_with(&["--exclude", "start.txt"]);
    expect_only_fault(&world.found(), FaultKind::Missing, "data/wiki/pages/start.txt");
}

#[test]
fn one_file_too_many_is_found() {
    let world = World::new();
    let file = world.sandbox.path("containers/backrest/ignorefile.txt");
    let text = fs::read_to_string(&file).unwrap();
    let without: String =
        text.lines().filter(|line| !line.contains("cache")).map(|line| format!("{line}\n")).collect();
    assert_ne!(without, text);
    fs::write(file, without).unwrap();
    world.back_up();
    expect_only_fault(&world.found(), FaultKind::TooMany, "data/wiki/cache/x");
}

#[test]
fn a_file_that_was_gone_before_the_backup_is_found() {
    let world = World::new();
    let stray = world.sandbox.write("data/photos/stray", "x");
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3600);
    world.back_up_with(&["--time", &later.strftime("%Y-%m-%d %H:%M:%S").to_string()]);
    fs::remove_file(stray).unwrap();
    assert_eq!(world.found().explained[&Reason::Removed], 1);
    std::thread::sleep(OLD_ENOUGH);
    // Now the backup began when the file was gone already.
    world.server.state.lock().unwrap().operations[0]["unixTimeStartMs"] =
        jiff::Timestamp::now().as_millisecond().to_string().into();
    expect_fault(&world.found(), FaultKind::TooMany, "data/photos/stray");
}

#[test]
fn an_exclude_file_that_was_not_used_is_found() {
    let world = World::new();
    world.server.back_up(&[], || world.dump());
    let found = world.found();
    expect_fault(&found, FaultKind::TooMany, "data/wiki/access.log");
    expect_fault(&found, FaultKind::TooMany, "data/wiki/cache/x");
    assert_eq!(found.total().unexplained, 2);
}

#[test]
fn a_corrupt_pack_is_found() {
    let world = World::new();
    world.back_up();
    let packs = world.server.state.lock().unwrap().repository().join("data");
    let files = walk(&packs);
    // The largest holds the content of files, not the listing.
    let largest = files.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut content = fs::read(largest).unwrap();
    for byte in content.iter_mut().skip(1000).step_by(5000) {
        *byte ^= 0xff;
    }
    fs::set_permissions(largest, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(largest, content).unwrap();
    let found = world.found_in_sample(50);
    expect_fault(&found, FaultKind::NotRestored, "data/photos/large.raw");
}

#[track_caller]
fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn yesterdays_dump_is_found() {
    let world = World::new();
    let flag = world.flag();
    world.server.back_up(&[&flag], || {});
    let found = world.found();
    expect_only_fault(&found, FaultKind::DumpOld, "db.json");
    assert_eq!(found.services["data/wiki"].dumps_proved, 0);
}

#[test]
fn a_dump_that_is_missing_or_not_whole_is_found() {
    let world = World::new();
    let flag = world.flag();
    world.server.back_up(&[&flag], || drop(world.sandbox.write("data/wiki/db.json", "[1, 2")));
    expect_only_fault(&world.found(), FaultKind::DumpBroken, "db.json");
    world.server.back_up(&[&flag], || fs::remove_file(world.sandbox.path("data/wiki/db.json")).unwrap());
    expect_only_fault(&world.found(), FaultKind::DumpMissing, "db.json");
}

#[test]
fn a_restart_half_way_is_waited_for() {
    let world = World::new();
    world.back_up();
    world.server.state.lock().unwrap().is_closed = true;
    let login = ["--user", LOGIN.0, "--json", "--sample", "2"];
    for call in 1..=6 {
        {
            let mut state = world.server.state.lock().unwrap();
            let seen = state.long_calls();
            state.restarts_at = Some(seen + call);
        }
        let mut command = world.verify_command(&login);
        let ran = world.sandbox.run(command.env("BACKREST_PASSWORD", LOGIN.1)).expect_success();
        assert!(ran.stderr.contains("waiting for Backrest"), "call {call}: {}", ran.everything());
        let found: Verification = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(found.total().sample, found.total().sample_same, "{found:#?}");
    }
}

#[test]
fn a_wrong_login_is_reported() {
    let world = World::new();
    world.back_up();
    world.server.state.lock().unwrap().is_closed = true;
    let mut command = world.verify_command(&["--user", LOGIN.0]);
    let ran = world.sandbox.run(command.env("BACKREST_PASSWORD", "wrong")).expect_code(1);
    assert!(ran.stderr.contains("log in"), "{}", ran.everything());
    assert!(!ran.stderr.contains("wrong\n"), "{}", ran.everything());
    let ran = world.verify(&[]).expect_code(1);
    assert!(ran.stderr.contains("hint: log in: --user NAME"), "{}", ran.everything());
    let kept = Verification::load(&world.sandbox.path("containers/backrest/state/verification.json"));
    assert_eq!(kept.unwrap().unwrap().outcome, Outcome::Failed);
    world.expect_nothing_left();
}

#[test]
fn a_full_disk_for_the_temporary_file_is_reported() {
    let world = World::new();
    world.back_up();
    let script = "mount -t tmpfs -o size=64k,mode=1777 none \"$TMPDIR\" && exec \"$@\"";
    let mut command = world.sandbox.command("unshare");
    command.arg("--mount");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", script, "sh"]);
    let tool = world.verify_command(&["--json", "--sample", "2"]);
    command.arg(tool.get_program()).args(tool.get_args());
    let ran = world.sandbox.run(&mut command).expect_code(1);
    let found: Verification = serde_json::from_str(&ran.stdout).unwrap();
    expect_only_fault(&found, FaultKind::DumpNotChecked, "db.json");
    assert!(found.faults[0].what.contains("space"), "{found:#?}");
}

/// A bad sector of this host's disk is a fault of the files on it alone.
#[test]
fn a_file_here_that_can_not_be_read_does_not_end_the_verification() {
    let world = World::new();
    world.back_up();
    let mut command = world.sandbox.command("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=read", "-e", "inject=read:error=EIO"]);
    for file in ["data/wiki/db.json", "data/photos/large.raw"] {
        command.arg("-P").arg(world.sandbox.path(file));
    }
    let tool = world.verify_command(&["--json", "--sample", "50"]);
    command.arg(tool.get_program()).args(tool.get_args());
    let ran = world.sandbox.run(&mut command).expect_code(1);
    let found: Verification = serde_json::from_str(&ran.stdout).unwrap();
    expect_fault(&found, FaultKind::DumpNotChecked, "db.json");
    expect_fault(&found, FaultKind::NotCompared, "data/wiki/db.json");
    expect_fault(&found, FaultKind::NotCompared, "data/photos/large.raw");
    assert_eq!(found.faults.len(), 3, "{found:#?}");
    assert!(found.faults.iter().all(|fault| fault.what.contains("Input/output error")), "{found:#?}");
    let total = found.total();
    assert_eq!((total.dumps, total.dumps_proved), (1, 0), "{found:#?}");
    assert_eq!(total.sample_same, total.sample - 2, "{found:#?}");
}

#[test]
fn a_script_that_is_refused_has_no_dump_to_prove() {
    let world = World::new();
    world.back_up();
    let script = world.sandbox.path("data/wiki/prepare-backup.sh");
    fs::set_permissions(script, fs::Permissions::from_mode(0o777)).unwrap();
    expect_only_fault(&world.found(), FaultKind::DumpNotChecked, "prepare-backup.sh");
}

#[test]
fn nothing_is_asked_of_a_busy_backrest() {
    let world = World::new();
    world.back_up();
    let running =
        json!({ "id": "99", "planId": "other", "status": "STATUS_INPROGRESS", "operationBackup": {} });
    world.server.state.lock().unwrap().operations.push(running);
    let ran = world.verify(&[]).expect_code(1);
    assert!(ran.stderr.contains("Backrest is busy: a backup of plan \"other\""), "{}", ran.everything());
    assert_eq!(world.server.calls("RunCommand") + world.server.calls("ListSnapshots"), 0);
}

#[test]
fn a_large_home_is_listed_in_few_slices() {
    let world = World::with(|sandbox| {
        for service in 0..4 {
            for file in 0..5500 {
                sandbox.write(format!("data/many{service}/f{}/file-{file:05}", file / 500), "");
            }
        }
        // More names in one folder than an operation's output has room for.
        for file in 0..16_000 {
            sandbox.write(format!("data/flat/{file:06}"), "");
        }
    });
    world.back_up();
    let found = world.found();
    assert_eq!(found.outcome, Outcome::Proved, "{:#?}", found.faults);
    assert_eq!(found.services["data/flat"].in_snapshot, 16_000);
    assert_eq!(found.services["data/many3"].in_snapshot, 5500);
    assert!(found.operations <= 8, "{} operations", found.operations);
    assert_eq!(world.server.calls("ListSnapshotFiles"), 1);
    // One that breaks off half-way is read anew, and nothing of it counts twice.
    world.server.state.lock().unwrap().breaks_after = Some(1_000_000);
    let again = world.found();
    assert_eq!(again.services.get("data/flat"), found.services.get("data/flat"), "{again:#?}");
    assert_eq!(world.server.calls("ListSnapshotFiles"), 3);
}

#[test]
fn names_that_are_not_utf8_and_noise_in_the_output_do_no_harm() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::with(|sandbox| {
        for name in [&b"bad\xff"[..], b"bad\xfe", b"b\xff\xffc", b"line\nbreak"] {
            fs::write(sandbox.path("data/wiki").join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
        }
        sandbox.write("data/wiki/it's # $HOME \"x\"/a", "x");
    });
    world.server.state.lock().unwrap().noise = Some("** WARNING: connection is not using …\n");
    world.back_up();
    let found = world.found_in_sample(50);
    assert_eq!(found.outcome, Outcome::Proved, "{found:#?}");
    let wiki = found.services["data/wiki"];
    assert_eq!(wiki.in_snapshot, 10, "{found:#?}");
    // A name that is not UTF-8 can't be asked for.
    assert_eq!(wiki.sample, 6 + 1, "{found:#?}");
}

#[test]
fn a_root_that_the_plan_does_not_back_up_is_reported() {
    let world = World::new();
    let only = world.sandbox.path("data/wiki");
    world.server.state.lock().unwrap().config["plans"][0]["paths"] = json!([only]);
    world.back_up();
    let found = world.found();
    expect_fault(&found, FaultKind::RootNotCovered, "/data");
    expect_fault(&found, FaultKind::RootNotCovered, "/containers");
    assert_eq!(found.faults.len(), 2, "{found:#?}");
    assert_eq!(found.services["data/wiki"].in_snapshot, 5);
}
