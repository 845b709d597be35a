//! Differences that are no fault of the backup: each is explained, and counted by its reason.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use common::contract::verification::{Outcome, Reason, Verification};
use common::testing::wait_until;
use serde_json::json;

use super::world::{OLD_ENOUGH, World};

#[track_caller]
fn expect_explained(found: &Verification, reasons: &[Reason]) {
    assert_eq!(found.outcome, Outcome::Proved, "{found:#?}");
    let seen: Vec<_> = found.explained.keys().copied().collect();
    assert_eq!(seen, reasons, "{found:#?}");
}

#[test]
fn what_changed_since_is_explained() {
    let world = World::new();
    let moved = world.sandbox.path("data/photos");
    world.back_up();
    std::thread::sleep(OLD_ENOUGH);
    world.sandbox.write("data/wiki/pages/new.txt", "made since");
    world.sandbox.write("data/wiki/pages/start.txt", "changed since");
    fs::remove_file(world.sandbox.path("containers/wiki/compose.yaml")).unwrap();
    fs::rename(moved, world.sandbox.path("data/pictures")).unwrap();
    world.own();
    let found = world.found();
    assert_eq!(found.outcome, Outcome::Proved, "{found:#?}");
    for reason in [Reason::Made, Reason::Changed, Reason::Removed] {
        assert!(found.explained.contains_key(&reason), "{reason:?} {found:#?}");
    }
}

#[test]
fn excludes_of_the_plan_itself_and_caches_are_explained() {
    let world = World::with(|sandbox| {
        sandbox.write("data/wiki/pages/x.tmp", "x");
        sandbox.write("data/wiki/thumbs/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
        sandbox.write("data/wiki/thumbs/1", "x");
    });
    world.server.state.lock().unwrap().config["plans"][0]["excludes"] = json!(["*.tmp"]);
    world.back_up_with(&["--exclude", "*.tmp"]);
    let found = world.found();
    assert_eq!(found.outcome, Outcome::Proved, "{found:#?}");
    assert_eq!(found.explained[&Reason::Plan], 1);
    assert_eq!(found.explained[&Reason::Cache], 1);
}

#[test]
fn a_folder_that_the_user_may_not_enter_is_explained() {
    let world = World::with(|sandbox| drop(sandbox.write("data/photos/private/1", "x")));
    world.back_up();
    let private = world.sandbox.path("data/photos/private");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o000)).unwrap();
    let found = world.found();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o755)).unwrap();
    expect_explained(&found, &[Reason::Unreadable]);
}

#[test]
fn rules_that_changed_since_explain_both_directions() {
    let world = World::new();
    world.back_up();
    std::thread::sleep(OLD_ENOUGH);
    // The log is kept now, and the pages are not.
    world.sandbox.write("data/wiki/.resticignore", "/cache/\n/pages/\n");
    let found = world.found();
    assert_eq!(found.outcome, Outcome::Proved, "{found:#?}");
    assert_eq!(found.explained[&Reason::Rules], 3, "{found:#?}");
}

#[test]
fn a_file_made_after_the_ignore_file_is_explained() {
    let world = World::with(|sandbox| {
        sandbox.write("data/wiki/work/.resticignore", "/late/\n");
        sandbox.write("data/wiki/work/kept", "x");
    });
    let file = world.sandbox.path("containers/backrest/ignorefile.txt");
    let text = fs::read_to_string(&file).unwrap();
    let without: String =
        text.lines().filter(|line| !line.contains("late")).map(|line| format!("{line}\n")).collect();
    fs::write(file, without).unwrap();
    world.server.back_up(&[&world.flag()], || {
        world.dump();
        world.sandbox.write("data/wiki/work/late/x", "left out by a rule, and in no ignore file");
    });
    expect_explained(&world.found(), &[Reason::Made]);
}

#[test]
fn links_are_compared_as_links_and_never_followed() {
    let world = World::with(|sandbox| {
        fs::create_dir(sandbox.path("elsewhere")).unwrap();
        fs::write(sandbox.path("elsewhere/secret"), "not in the roots").unwrap();
        for (target, name) in
            [("pages/start.txt", "to-file"), ("../../elsewhere", "out"), ("nowhere", "dangling")]
        {
            symlink(target, sandbox.path("data/wiki").join(name)).unwrap();
        }
    });
    world.back_up();
    let found = world.found_in_sample(50);
    expect_explained(&found, &[]);
    assert_eq!(found.services["data/wiki"].in_snapshot, 5 + 3, "{found:#?}");
    assert_eq!(found.services["data/wiki"].sample, 5, "links are not read: {found:#?}");
}

#[test]
fn a_disk_that_the_container_does_not_see_is_explained() {
    let world = World::with(|sandbox| fs::create_dir(sandbox.path("data/photos/disk")).unwrap());
    // The disk is mounted, with a file on it, before the backup and in the tool's namespace alone.
    let script = "mount -t tmpfs -o mode=755 none \"$HOME/data/photos/disk\" && echo x > \"$HOME/data/photos/disk/1\" \
                  && touch \"$TMPDIR/mounted\" && until [ -e \"$TMPDIR/go\" ]; do sleep 0.1; done \
                  && rm \"$TMPDIR/mounted\" \"$TMPDIR/go\" && exec \"$@\"";
    let mut command = world.sandbox.command("unshare");
    command.arg("--mount");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", script, "sh"]);
    let tool = world.verify_command(&["--json", "--sample", "2"]);
    command.arg(tool.get_program()).args(tool.get_args());
    let temporary = world.sandbox.home().with_file_name("tmp");
    let ran = std::thread::scope(|scope| {
        let running = scope.spawn(|| world.sandbox.run(&mut command));
        wait_until("the disk is mounted", || temporary.join("mounted").exists());
        std::thread::sleep(OLD_ENOUGH);
        world.back_up();
        fs::write(temporary.join("go"), "").unwrap();
        running.join().unwrap().expect_success()
    });
    let found: Verification = serde_json::from_str(&ran.stdout).unwrap();
    expect_explained(&found, &[Reason::OtherFileSystem]);
}
