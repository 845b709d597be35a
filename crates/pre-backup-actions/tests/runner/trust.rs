//! Whose scripts run: the user's and root's, wherever they lie, and no stranger's. These tests need root, to be two
//! users: the tool runs as one, and the stranger is the other.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use common::process::End;
use common::testing::Ran;

use crate::scripts::{Home, last_line};

pub(crate) const USER: &str = "4001";
const STRANGER: &str = "4002";

/// A home that belongs to the user, and in which the user runs the tool.
pub(crate) struct Other(pub(crate) Home);

impl Other {
    #[track_caller]
    pub(crate) fn new() -> Other {
        let other = Other(Home::new());
        // Only root can go through the sandbox's own folder.
        let above = other.0.sandbox.home().parent().unwrap().to_path_buf();
        fs::set_permissions(&above, Permissions::from_mode(0o755)).unwrap();
        // The build folder may lie where only root can go, too.
        let tool = other.0.sandbox.path("bin/pre-backup-actions");
        fs::create_dir_all(tool.parent().unwrap()).unwrap();
        common::testing::copy_program(env!("CARGO_BIN_EXE_pre-backup-actions"), &tool);
        other.give("", USER);
        other
    }

    /// Makes `uid` the owner of `path` and all below it.
    #[track_caller]
    pub(crate) fn give(&self, path: &str, uid: &str) {
        let mut chown = Command::new("chown");
        let done =
            chown.args(["-hR", &format!("{uid}:{uid}")]).arg(self.0.sandbox.path(path)).status().unwrap();
        assert!(done.success(), "this test needs root, to give files away");
    }

    #[track_caller]
    pub(crate) fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.0.sandbox.path(path), Permissions::from_mode(mode)).unwrap();
    }

    #[track_caller]
    pub(crate) fn prepare(&self, service: &str, text: &str) {
        self.0.prepare(service, text);
        self.give(&format!("data/{service}"), USER);
    }

    #[must_use]
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.0.sandbox.command("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--no-new-privs"]);
        command.arg(self.0.sandbox.path("bin/pre-backup-actions")).args(arguments);
        self.0.sandbox.run(&mut command)
    }

    /// The script of `service` is refused because of `why`, did not run, and `--list` shows why and what to do.
    #[track_caller]
    fn refuses(&self, service: &str, why: &str, hint: &str) {
        let ran = self.run(&[]).expect_code(1);
        let expected = format!("{service}: failed: prepare-backup.sh {why}");
        assert!(ran.stdout.contains(&expected), "{expected}\n{}", ran.everything());
        assert!(
            !self.0.exists("ran") && !self.0.exists(&format!("data/{service}/ran")),
            "{}",
            ran.everything()
        );
        let list = self.run(&["--list"]).expect_code(1);
        let expected = format!("{service}: prepare-backup.sh {why}");
        assert!(
            list.stdout.contains(&expected) && list.stdout.contains(hint),
            "{expected}\n{}",
            list.everything()
        );
        let json = self.run(&["--list", "--json"]).expect_code(1);
        let listed: common::contract::services::Services = serde_json::from_str(&json.stdout).unwrap();
        let script =
            listed.services.iter().find(|one| one.service == service).unwrap().prepare.clone().unwrap();
        assert!(script.refused.unwrap().contains(why) && script.hint.unwrap().contains(hint));
    }
}

#[test]
fn a_strangers_script_never_runs() {
    let home = Other::new();
    home.prepare("app", "touch \"$HOME/ran\"");
    home.run(&["--list"]).expect_success();
    let script = home.0.sandbox.path("data/app/prepare-backup.sh").display().to_string();
    // Written by another user, mode 755, in the user's folder.
    home.give("data/app/prepare-backup.sh", STRANGER);
    home.refuses("app", "belongs to user 4002", &format!("sudo chown 4001 '{script}'"));
    home.give("data/app/prepare-backup.sh", USER);
    // The user's file, in a folder that is open to all or belongs to a container's user.
    home.mode("data/app", 0o777);
    let folder = home.0.sandbox.path("data/app").display().to_string();
    home.refuses(
        "app",
        &format!("must not be run: every user can write {folder}"),
        &format!("chmod go-w '{folder}'"),
    );
    home.mode("data/app", 0o755);
    let chown = |owner: &str| {
        assert!(Command::new("chown").arg(owner).arg(&folder).status().unwrap().success());
    };
    chown("4002:4002");
    home.refuses("app", &format!("must not be run: {folder} belongs to user 4002"), "&& sudo mv '");
    chown("4001:4001");
    // A group that is not the user's own, and an ACL that names someone.
    home.mode("data/app/prepare-backup.sh", 0o775);
    home.run(&["--list"]).expect_success();
    assert!(Command::new("chgrp").args(["4002", &script]).status().unwrap().success());
    home.refuses("app", "must not be run: group 4002", &format!("chmod g-w '{script}'"));
    home.give("data/app", USER);
    home.mode("data/app/prepare-backup.sh", 0o755);
    assert!(Command::new("setfacl").args(["-m", "u:4002:rw", &script]).status().unwrap().success());
    home.refuses("app", "must not be run: an ACL lets user 4002", &format!("setfacl -x u:4002 '{script}'"));
    assert!(Command::new("setfacl").args(["-b", &script]).status().unwrap().success());
    home.run(&[]).expect_success();
    assert!(home.0.exists("ran"));
}

#[test]
fn a_service_that_a_stranger_adds_and_a_link_of_theirs_are_refused() {
    let home = Other::new();
    home.mode("data", 0o1777);
    home.0.prepare("theirs", "touch \"$HOME/ran\"");
    home.give("data/theirs", STRANGER);
    home.refuses("theirs", "must not be run: ", "look at what it does");
    fs::remove_dir_all(home.0.sandbox.path("data/theirs")).unwrap();
    home.0.sandbox.script("elsewhere/prepare-backup.sh", "#!/bin/sh\ntouch \"$HOME/ran\"\n");
    home.give("elsewhere", USER);
    symlink(home.0.sandbox.path("elsewhere"), home.0.sandbox.path("data/linked")).unwrap();
    home.give("data/linked", STRANGER);
    home.refuses("linked", "must not be run: ", "look at what it does");
}

#[test]
fn a_strangers_after_script_never_runs_and_nothing_is_stopped_for_it() {
    let home = Other::new();
    home.prepare("app", "touch stopped");
    home.0.after("app", "touch \"$HOME/ran\"");
    home.give("data/app/after-backup.sh", STRANGER);
    let ran = home.run(&[]).expect_code(1);
    assert_eq!(last_line(&ran.stdout), "0 ok, 1 failed: app (after-backup.sh belongs to user 4002)");
    assert!(!home.0.exists("data/app/stopped"));
    // It took the place of a good one while the backup ran.
    home.give("data/app/after-backup.sh", USER);
    home.run(&[]).expect_success();
    home.give("data/app/after-backup.sh", STRANGER);
    let ran = home.run(&["--after"]).expect_code(1);
    assert!(ran.stdout.contains("app: failed: after-backup.sh belongs to user 4002"), "{}", ran.everything());
    assert!(!home.0.exists("ran") && home.0.journal().exists());
}

#[test]
fn what_the_settings_accept_runs() {
    let home = Other::new();
    home.0.prepare("app", "touch \"$HOME/ran-$SERVICE\"");
    home.give("data/app", STRANGER);
    home.0.prepare("open", "touch \"$HOME/ran-$SERVICE\"");
    home.give("data/open", USER);
    home.mode("data/open", 0o777);
    home.run(&[]).expect_code(1);
    let env =
        format!("TRUSTED_UIDS=nope,4002\nTRUSTED_FOLDERS={}\n", home.0.sandbox.path("data/open").display());
    home.0.sandbox.write("containers/backrest/.env", env);
    let ran = home.run(&[]).expect_success();
    assert!(home.0.exists("ran-app") && home.0.exists("ran-open"), "{}", ran.everything());
    assert!(
        ran.stderr.contains("TRUSTED_UIDS: expected user ids such as 999, not nope"),
        "{}",
        ran.everything()
    );
}

#[test]
fn what_a_stranger_could_have_set_accepts_nothing() {
    let home = Other::new();
    home.prepare("app", "touch \"$HOME/ran\"");
    home.give("data/app/prepare-backup.sh", STRANGER);
    home.0.sandbox.write("containers/backrest/.env", "TRUSTED_UIDS=4002\n");
    for (owner, mode) in [(STRANGER, 0o644), (USER, 0o666)] {
        home.give("containers/backrest/.env", owner);
        home.mode("containers/backrest/.env", mode);
        let ran = home.run(&[]).expect_code(1);
        assert!(ran.stderr.contains("TRUSTED_UIDS is not used, because "), "{}", ran.everything());
        assert!(!home.0.exists("ran"));
    }
    home.mode("containers/backrest/.env", 0o600);
    home.run(&[]).expect_success();
    assert!(home.0.exists("ran"));
}

#[test]
fn a_strangers_program_does_not_run_a_script() {
    let home = Other::new();
    let shell = home.0.sandbox.path("tools/sh");
    fs::create_dir_all(shell.parent().unwrap()).unwrap();
    fs::copy("/bin/sh", &shell).unwrap();
    let text = format!("#!{} -e\ntouch \"$HOME/ran\"\n", shell.display());
    home.0.sandbox.script("data/app/prepare-backup.sh", text);
    home.give("data/app", USER);
    let why = format!(
        "names a program in its #! line that must not be run: {} belongs to user 4002",
        shell.display()
    );
    home.give("tools/sh", STRANGER);
    home.refuses("app", &why, "look at that program, then: sudo chown 4001 ");
    home.give("tools/sh", "0");
    home.run(&[]).expect_success();
    assert!(home.0.exists("ran"));
}

/// The folder of a database belongs to its container's user; its script can lie beside its compose.yaml.
#[test]
fn a_script_in_the_container_root_runs_there() {
    let home = Other::new();
    fs::create_dir_all(home.0.sandbox.path("data/db")).unwrap();
    home.give("data/db", STRANGER);
    home.mode("data/db", 0o700);
    let text = "#!/bin/sh\n# dump: dump.sql kind=any\npwd; dirname \"$0\"; echo \"$DATA_DIR $CONTAINER_DIR\"; echo x >\"$DUMP_DIR/dump.sql\"\n";
    home.0.sandbox.script("containers/db/prepare-backup.sh", text);
    home.0.sandbox.script("containers/db/after-backup.sh", "#!/bin/sh\npwd >>../../after\n");
    home.give("containers/db", USER);
    let ran = home.run(&[]).expect_success();
    let (data, folder) = (home.0.sandbox.path("data/db"), home.0.sandbox.path("containers/db"));
    let (data, folder) = (data.display(), folder.display());
    assert!(
        ran.stdout.starts_with(&format!("db | {folder}\ndb | {folder}\ndb | {data} {folder}\ndb: ok (")),
        "{}",
        ran.everything()
    );
    assert_eq!(home.0.lines("containers/db/dump.sql"), ["x"]);
    home.run(&["--after"]).expect_success();
    assert_eq!(home.0.lines("after"), [folder.to_string()]);
    // The two scripts may lie in different roots, and one script in both is an error that names both.
    home.prepare("app", "true");
    home.0.sandbox.script("containers/app/after-backup.sh", "#!/bin/sh\necho app >>../../after\n");
    home.give("containers/app", USER);
    home.run(&[]).expect_success();
    home.run(&["--after"]).expect_success();
    assert_eq!(home.0.lines("after").len(), 3);
    home.0.sandbox.script("containers/app/prepare-backup.sh", "#!/bin/sh\ntrue\n");
    home.give("containers/app", USER);
    let both =
        ["data", "containers"].map(|root| home.0.sandbox.path(format!("{root}/app/prepare-backup.sh")));
    home.refuses(
        "app",
        &format!("exists twice: {} and {}", both[0].display(), both[1].display()),
        "remove one",
    );
    fs::remove_file(&both[1]).unwrap();
    fs::hard_link(&both[0], &both[1]).unwrap();
    home.run(&[]).expect_success();
}

#[test]
fn a_folder_that_can_not_be_entered_stops_no_other_service() {
    let home = Other::new();
    home.prepare("app", "true");
    fs::create_dir_all(home.0.sandbox.path("data/postgres")).unwrap();
    fs::create_dir_all(home.0.sandbox.path("data/lost+found")).unwrap();
    for folder in ["data/postgres", "data/lost+found"] {
        home.give(folder, STRANGER);
        home.mode(folder, 0o700);
    }
    let ran = home.run(&[]).expect_success();
    assert_eq!(last_line(&ran.stdout), "1 ok");
    let warning = |ran: &Ran| ran.stderr.contains("data/postgres: can't be looked into: Permission denied");
    assert!(
        warning(&ran) && ran.stderr.contains("containers/postgres'") && !ran.stderr.contains("lost+found"),
        "{}",
        ran.everything()
    );
    assert!(!warning(&home.run(&[]).expect_success()), "once for each change");
    let list = home.run(&["--list"]).expect_success();
    assert!(list.stdout.contains("postgres: can't be looked into: "), "{}", list.everything());
    home.mode("data/postgres", 0o755);
    home.run(&[]).expect_success();
    home.mode("data/postgres", 0o700);
    assert!(warning(&home.run(&[]).expect_success()), "it changed");
    // With a script there that an earlier run knows, its dump would be missing from the backup.
    home.prepare("postgres", "true");
    home.run(&[]).expect_success();
    home.give("data/postgres", STRANGER);
    home.mode("data/postgres", 0o700);
    let ran = home.run(&[]).expect_code(1);
    assert!(
        last_line(&ran.stdout)
            .starts_with("1 ok, 1 failed: postgres (prepare-backup.sh can't be looked at: "),
        "{}",
        ran.everything()
    );
}

/// Anyone who is root in that container can rewrite the script, which then runs as the user.
#[test]
fn a_script_in_a_folder_that_its_own_container_mounts_is_a_note() {
    let home = Home::new();
    home.prepare("app", "true");
    let listed = |compose: &str| {
        home.sandbox.write("containers/app/compose.yaml", compose);
        home.run(&["--list"]).expect_success().stdout
    };
    let data = home.sandbox.path("data/app").display().to_string();
    let containers = home.sandbox.path("containers/app").display().to_string();
    let mounting = |volume: &str| format!("services: {{a: {{image: x, volumes: ['{volume}']}}}}\n");
    let note = format!(
        "  note: {containers}/compose.yaml mounts its folder into a container, which can rewrite it\n  hint: mv '{data}/prepare-backup.sh' '{containers}/' "
    );
    for volume in [format!("{data}:/data"), "../../data:/all".into(), format!("{data}/:/data:rw")] {
        let text = listed(&mounting(&volume));
        assert!(text.contains(&note), "{volume}: {text}");
    }
    for volume in [format!("{data}:/data:ro"), format!("{data}/below:/data"), "named:/data".into()] {
        assert_eq!(listed(&mounting(&volume)), "app: prepare-backup.sh\n", "{volume}");
    }
}

/// What a killed new-container leaves holds an executable script; a disk's lost+found belongs to root.
#[test]
fn leftovers_are_not_services() {
    let home = Home::new();
    home.prepare("app", "true");
    for name in [".wiki.new-aB3xYz", ".wiki.backrest-part", "lost+found"] {
        home.prepare(name, "touch ran; exit 1");
    }
    let ran = home.run(&[]).expect_success();
    assert_eq!(last_line(&ran.stdout), "1 ok");
}

/// A container that owns its bind mount may put anything in a script's place at any moment.
#[test]
fn nothing_in_a_scripts_place_keeps_us_waiting() {
    let home = Home::new();
    let script = home.prepare("app", "true");
    let path = |name: &str| home.sandbox.path(format!("data/app/{name}"));
    fs::copy(&script, path("file")).unwrap();
    nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o755)).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for name in ["file", "fifo"] {
                    fs::hard_link(path(name), path("next")).unwrap();
                    fs::rename(path("next"), &script).unwrap();
                    // rename(2) of two names of one file leaves both.
                    let _ = fs::remove_file(path("next"));
                }
            }
        });
        for _ in 0..60 {
            let ran = home.run(&["--list"]);
            assert!(matches!(ran.end, End::Exited(0 | 1)), "{}", ran.everything());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    for kind in ["c 1 5", "c 1 3", "p"] {
        fs::remove_file(&script).unwrap();
        let done = Command::new("mknod").arg("-m755").arg(&script).args(kind.split(' ')).status().unwrap();
        assert!(done.success(), "this test needs root, to make a device");
        let ran = home.run(&[]).expect_code(1);
        assert_eq!(last_line(&ran.stdout), "0 ok, 1 failed: app (prepare-backup.sh is not a regular file)");
    }
    fs::remove_file(&script).unwrap();
    home.prepare("app", "true");
    let settings = home.sandbox.path("containers/backrest/.env");
    for kind in ["c 1 5", "p"] {
        let made = Command::new("mknod").arg(&settings).args(kind.split(' ')).status().unwrap();
        assert!(made.success());
        let ran = home.run(&[]).expect_success();
        assert!(
            ran.stderr.contains(".env: not read, defaults are used: not a regular file"),
            "{}",
            ran.everything()
        );
        fs::remove_file(&settings).unwrap();
    }
}
