//! The move from the Bash scripts: nothing that their exclude file kept is left out before the person agrees, and what
//! differs is named. Real restic makes a backup with each of the files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::testing::{Ran, Sandbox};

use crate::bad_input::as_ordinary_user;
use crate::command_line::PROGRAM;
use crate::mistakes::rows_of;
use crate::oracle::{Paths, Restic, kept_by_git, scratch};

const IGNORE_FILE: &str = "containers/backrest/ignorefile.txt";
const OLD: &str = "containers/backrest/ignorefile.txt.before-build-ignore";

/// Writes the exclude file as the script did: for each service of the container root the lines of its `.resticignore` in
/// the data root, then those in the container root.
#[track_caller]
fn old_file(sandbox: &Sandbox) {
    let names = |folder: fs::ReadDir| folder.flatten().map(|entry| entry.file_name().into_string().unwrap());
    let mut services: Vec<String> = names(fs::read_dir(sandbox.path("containers")).unwrap()).collect();
    services.sort();
    let mut text = String::new();
    for (root, prefix) in [("data", "data/"), ("containers", "")] {
        for service in &services {
            let rules = fs::read_to_string(sandbox.path(format!("{root}/{service}/.resticignore")));
            for line in rules.unwrap_or_default().lines().filter(|line| !line.is_empty()) {
                text += &match (line.strip_prefix('#'), line.strip_prefix('!')) {
                    (Some(_), _) => format!("{line}\n"),
                    (_, Some(rule)) => format!("!{prefix}{service}/{rule}\n"),
                    _ => format!("{prefix}{service}/{line}\n"),
                };
            }
        }
    }
    sandbox.write(IGNORE_FILE, text);
}

#[track_caller]
fn home() -> Sandbox {
    let sandbox = Sandbox::new();
    for (service, rules) in [
        ("opencloud", "# what can be made again\ndata\n"),
        ("jellyfin", "cache\n*.log\ntranscodes/\n!keep.log\n"),
        ("photos", "/thumbs\ntranscodes/\n"),
    ] {
        sandbox.write(format!("data/{service}/.resticignore"), rules);
        fs::create_dir_all(sandbox.path(format!("containers/{service}"))).unwrap();
    }
    for path in [
        "opencloud/data/blob",
        "opencloud/users/me/data/thesis.odt",
        "jellyfin/cache/img",
        "jellyfin/media/cache/keep.mkv",
        "jellyfin/a.log",
        "jellyfin/config/a.log",
        "jellyfin/config/keep.log",
        "jellyfin/transcodes/1.ts",
        "photos/thumbs/1.webp",
        "photos/1.jpg",
    ] {
        sandbox.write(format!("data/{path}"), "12345");
    }
    // A file, not a folder: the script's line left it out, git's rule does not.
    sandbox.write("data/photos/transcodes", "x");
    old_file(&sandbox);
    sandbox
}

/// What restic has of the data root with the exclude file of the home.
#[track_caller]
fn backed_up(sandbox: &Sandbox, exclude_file: &str) -> Paths {
    // The old lines are relative, the new ones begin with the mount.
    Restic::debian().backed_up(&sandbox.path("data"), &sandbox.path(exclude_file))
}

#[must_use]
#[track_caller]
fn run(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let home = sandbox.home().display().to_string();
    sandbox.run(sandbox.command(PROGRAM).args(["--mount", &home]).args(arguments))
}

#[track_caller]
fn prints(ran: &Ran, lines: &[&str]) {
    for line in lines {
        assert!(ran.stdout.contains(line), "no {line:?}\n{}", ran.everything());
    }
}

#[test]
fn rules_stay_held_if_a_root_moves() {
    let sandbox = home();
    run(&sandbox, &[]).expect_success();
    let before = sandbox.read(IGNORE_FILE).matches("held back").count();
    assert_eq!(before, 3);
    fs::create_dir(sandbox.path("disk")).unwrap();
    fs::rename(sandbox.path("data"), sandbox.path("disk/data")).unwrap();
    let data = sandbox.path("disk/data").display().to_string();
    let ran = run(&sandbox, &["--data-root", &data]).expect_success();
    let after = sandbox.read(IGNORE_FILE).matches("held back").count();
    assert_eq!(after, before, "{}", ran.everything());
    assert!(ran.stderr.contains("3 rules held back"), "{}", ran.everything());
}

#[test]
fn nothing_is_lost_and_all_that_differs_is_named() {
    let sandbox = home();
    let old = sandbox.read(IGNORE_FILE);
    let before = backed_up(&sandbox, IGNORE_FILE);
    let ran = run(&sandbox, &[]).expect_success();
    assert_eq!(sandbox.read(OLD), old, "the old file is kept");
    prints(
        &ran,
        &[
            "data/opencloud: 1 file (5 B) backed up so far, by the rule data (",
            "opencloud/.resticignore:2)",
            "    to leave out only what is at the top of the service, write: /data\n",
            "users/me/data/thesis.odt",
            "by the rule cache (",
            "jellyfin/media/cache/keep.mkv",
            "by the rule *.log (",
            "config/a.log",
            "build-ignore --adopt",
            "data/photos: 1 file (1 B) left out so far, backed up now",
        ],
    );
    let after = backed_up(&sandbox, IGNORE_FILE);
    let lost: Vec<_> = before.difference(&after).collect();
    assert!(lost.is_empty(), "lost {lost:?}\n{}", sandbox.read(IGNORE_FILE));
    let held = sandbox.read(IGNORE_FILE).matches("held back").count();
    assert_eq!(held, 3, "only the rules that decide: {}", sandbox.read(IGNORE_FILE));

    // The next runs keep to it, and remind.
    let text = sandbox.read(IGNORE_FILE);
    let ran = run(&sandbox, &[]).expect_success();
    assert_eq!(sandbox.read(IGNORE_FILE), text);
    assert!(ran.stderr.contains("warning: 3 rules held back"), "{}", ran.everything());
    let ran = run(&sandbox, &["--compare", &sandbox.path(OLD).display().to_string()]).expect_code(1);
    prints(&ran, &["data/photos: 1 file (1 B) left out so far, backed up now", "by the rule *.log ("]);

    // With consent the rules mean what git says.
    let ran = run(&sandbox, &["--adopt"]).expect_success();
    assert!(!ran.everything().contains("held back"), "{}", ran.everything());
    let kept = kept_by_git(&sandbox.path("data"), scratch().path());
    assert_eq!(backed_up(&sandbox, IGNORE_FILE), kept);
    assert!(run(&sandbox, &[]).expect_success().stdout.contains("unchanged"));
    let ran = run(&sandbox, &["--compare", &sandbox.path(OLD).display().to_string()]).expect_code(1);
    prints(&ran, &["data/jellyfin: 1 file (5 B) backed up so far, by the rule *.log"]);
}

/// A database's folder, which the tool may not enter and restic, as root, may.
#[test]
fn a_folder_that_cannot_be_entered_counts_as_a_file_that_is_lost() {
    let sandbox = Sandbox::new();
    sandbox.write("data/wiki/.resticignore", "postgres/\n");
    sandbox.write("data/wiki/app/postgres/base/1", "12345");
    fs::create_dir(sandbox.path("containers/wiki")).unwrap();
    old_file(&sandbox);
    let before = backed_up(&sandbox, IGNORE_FILE);
    let closed = sandbox.path("data/wiki/app/postgres");
    let ran = as_another_user(&sandbox, &closed, &[]);
    prints(
        &ran,
        &[
            "data/wiki: 1 folder that can't be entered backed up so far, by the rule postgres/ (",
            "data/wiki/app/postgres\n",
            "write: /postgres/\n",
        ],
    );
    assert!(before.is_subset(&backed_up(&sandbox, IGNORE_FILE)), "{}", sandbox.read(IGNORE_FILE));
    run(&sandbox, &["--adopt"]).expect_success();
    let own = sandbox.path(IGNORE_FILE).display().to_string();
    let ran = as_another_user(&sandbox, &closed, &["--compare", &own]).expect_success();
    prints(&ran, &["Both leave out the same files.\n"]);
    // The other way round: what was left out may hold anything.
    sandbox.write("data/wiki/.resticignore", "# nothing\n");
    let old = sandbox.write("old", "postgres\n");
    let ran = as_another_user(&sandbox, &closed, &["--compare", &old.display().to_string()]);
    prints(&ran, &["data/wiki: 1 folder that can't be entered left out so far, backed up now\n"]);
}

/// Runs the tool as a user who may not enter `closed`.
#[must_use]
#[track_caller]
fn as_another_user(sandbox: &Sandbox, closed: &Path, arguments: &[&str]) -> Ran {
    let mut command = as_ordinary_user(sandbox);
    for path in [sandbox.path("containers"), sandbox.path("containers/backrest")] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    fs::set_permissions(closed, Permissions::from_mode(0o000)).unwrap();
    command.arg(PROGRAM).arg("--mount").arg(sandbox.home()).args(arguments);
    let ran = sandbox.run(&mut command);
    fs::set_permissions(closed, Permissions::from_mode(0o755)).unwrap();
    ran
}

/// With the disk back, its rules would count at once.
#[test]
fn the_old_file_stays_while_a_disk_may_be_missing() {
    for (missing, is_there) in [("data", false), ("data", true), ("data/jellyfin", true)] {
        let sandbox = home();
        let old = sandbox.read(IGNORE_FILE);
        let before = backed_up(&sandbox, IGNORE_FILE);
        let (place, disk) = (sandbox.path(missing), sandbox.path("disk"));
        fs::rename(&place, &disk).unwrap();
        if is_there {
            fs::create_dir(&place).unwrap();
        }
        let ran = run(&sandbox, &[]).expect_code(1);
        let why = format!("{} is missing or empty, so its rules can't be compared", place.display());
        assert!(ran.stderr.contains(&why), "{}", ran.everything());
        assert_eq!(sandbox.read(IGNORE_FILE), old);
        if is_there {
            fs::remove_dir(&place).unwrap();
        }
        fs::rename(&disk, &place).unwrap();
        run(&sandbox, &[]).expect_success();
        assert!(before.is_subset(&backed_up(&sandbox, IGNORE_FILE)), "{missing}");
        // With consent there is nothing to compare.
        sandbox.write(IGNORE_FILE, &old);
        fs::rename(sandbox.path("data/jellyfin"), &disk).unwrap();
        fs::create_dir(sandbox.path("data/jellyfin")).unwrap();
        run(&sandbox, &["--adopt"]).expect_success();
        assert_ne!(sandbox.read(IGNORE_FILE), old);
    }
}

#[test]
fn an_old_file_that_can_not_be_read_is_left_alone() {
    let sandbox = home();
    let old = sandbox.read(IGNORE_FILE);
    let ran = as_another_user(&sandbox, &sandbox.path(IGNORE_FILE), &["--adopt"]).expect_code(1);
    assert!(ran.stderr.contains("hint: let your user read it: sudo chown $USER /"), "{}", ran.everything());
    assert_eq!(sandbox.read(IGNORE_FILE), old);
}

#[test]
fn a_first_run_with_consent_holds_nothing_back() {
    let sandbox = home();
    let ran = run(&sandbox, &["--adopt"]).expect_success();
    prints(&ran, &["With your consent these rules leave out more than before:", "by the rule *.log ("]);
    assert!(!ran.stdout.contains("held back") && !ran.stdout.contains("--adopt"), "{}", ran.everything());
    assert_eq!(backed_up(&sandbox, IGNORE_FILE), kept_by_git(&sandbox.path("data"), scratch().path()));
}

#[test]
fn a_held_rule_is_named_where_a_person_asks() {
    let sandbox = home();
    run(&sandbox, &[]).expect_success();
    let ran = run(&sandbox, &["--explain", "data/jellyfin/config/a.log"]).expect_code(1);
    prints(
        &ran,
        &[
            "config/a.log: kept: ",
            "/data/jellyfin/.resticignore:2: *.log does not hold: it is held back until build-ignore --adopt",
        ],
    );
    let ran = run(&sandbox, &["--report"]).expect_success();
    prints(
        &ran,
        &[
            "Rules that are held back until build-ignore --adopt:\n",
            "/data/opencloud/.resticignore:2: data\n",
        ],
    );
}

#[test]
fn a_changed_rule_is_consent() {
    let sandbox = home();
    run(&sandbox, &[]).expect_success();
    sandbox.write("data/jellyfin/.resticignore", "/cache\n*.log*\n");
    run(&sandbox, &[]).expect_success();
    let text = sandbox.read(IGNORE_FILE);
    assert_eq!(text.matches("held back").count(), 1, "that of opencloud: {text}");
    assert!(text.contains("/data/jellyfin/*/*.log*\n"), "{text}");
}

#[test]
fn a_hand_written_file_is_kept_and_a_service_that_it_did_not_know_stays_in_the_backup() {
    let sandbox = Sandbox::new();
    sandbox.write(IGNORE_FILE, "*.tmp\n");
    sandbox.write("data/only-data/.resticignore", "/cache\nlogs/\n");
    sandbox.write("data/only-data/cache/x", "x");
    sandbox.write("data/only-data/x/logs/y", "y");
    let before = backed_up(&sandbox, IGNORE_FILE);
    run(&sandbox, &[]).expect_success();
    assert_eq!(sandbox.read(OLD), "*.tmp\n");
    assert!(before.is_subset(&backed_up(&sandbox, IGNORE_FILE)));
    // Another one in its place later is kept as well.
    sandbox.write(IGNORE_FILE, "*.bak\n");
    run(&sandbox, &[]).expect_success();
    assert_eq!(
        (sandbox.read(OLD).as_str(), sandbox.read(&*format!("{OLD}.2")).as_str()),
        ("*.tmp\n", "*.bak\n")
    );
}

#[test]
fn a_damaged_state_is_made_again_from_the_old_file() {
    let sandbox = home();
    let before = backed_up(&sandbox, IGNORE_FILE);
    run(&sandbox, &[]).expect_success();
    let text = sandbox.read(IGNORE_FILE);
    sandbox.write("containers/backrest/ignorefile.txt.held-back", "{\"half");
    run(&sandbox, &[]).expect_success();
    assert_eq!(sandbox.read(IGNORE_FILE), text);
    assert!(before.is_subset(&backed_up(&sandbox, IGNORE_FILE)));
}

/// The tables of the page, with each rule in a service called wiki.
fn tables_of_the_page() -> [Vec<Vec<&'static str>>; 2] {
    let page = include_str!("../../../../docs/migrating.md");
    ["| rule |", "| rules file |"].map(|heading| rows_of(page, heading))
}

#[test]
fn the_rules_of_the_page_are_held_back_with_the_rule_to_write() {
    let [rows, _] = tables_of_the_page();
    assert_eq!(rows.len(), 4, "{rows:?}");
    for row in rows {
        let (rule, before, kept, instead) = (row[0], row[1], row[2], row[3]);
        let sandbox = Sandbox::new();
        sandbox.write("data/wiki/.resticignore", format!("{rule}\n"));
        fs::create_dir(sandbox.path("containers/wiki")).unwrap();
        for path in [before, kept] {
            sandbox.write(format!("data/wiki/{path}"), "");
        }
        old_file(&sandbox);
        let ran = run(&sandbox, &[]).expect_success();
        prints(
            &ran,
            &[&format!("by the rule {rule} ("), &format!("/wiki/{kept}\n"), &format!("write: {instead}\n")],
        );
        let held = backed_up(&sandbox, IGNORE_FILE);
        sandbox.write("data/wiki/.resticignore", format!("{instead}\n"));
        run(&sandbox, &[]).expect_success();
        assert!(!sandbox.read(IGNORE_FILE).contains("held back"));
        assert_eq!(backed_up(&sandbox, IGNORE_FILE), held, "{rule}: the rule to write does the same");
        let names = |path: &str| held.contains(format!("wiki/{path}").as_bytes());
        assert!(names(kept) && !names(before), "{rule}");
    }
}

#[test]
fn what_the_page_says_of_other_rules_holds() {
    let [_, rows] = tables_of_the_page();
    assert!(rows.len() > 7, "{rows:?}");
    for row in rows {
        let (file, rules, path, script, here) = (row[0], row[1], row[2], row[3], row[4]);
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("containers/wiki")).unwrap();
        sandbox.write(file, rules.split("` `").map(|rule| format!("{rule}\n")).collect::<String>());
        sandbox.write(path, "");
        old_file(&sandbox);
        let is_kept = || {
            let path = path.strip_prefix("data/").unwrap();
            backed_up(&sandbox, IGNORE_FILE).contains(path.as_bytes())
        };
        let old_is_refused = Restic::debian().refuses(&sandbox.path("data"), &sandbox.path(IGNORE_FILE));
        assert_eq!(old_is_refused, script == "no backup at all", "{row:?}");
        assert!(old_is_refused || is_kept() == (script == "kept"), "{row:?}");
        let ran = run(&sandbox, &[]).expect_success();
        if script != "left out" {
            assert!(is_kept(), "{row:?}: nothing is lost\n{}", ran.everything());
        }
        run(&sandbox, &["--adopt"]).expect_success();
        assert_eq!(is_kept(), here == "kept", "{row:?}\n{}", sandbox.read(IGNORE_FILE));
    }
}
