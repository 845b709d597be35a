//! What is made, and that it is made whole or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::process::End;
use common::testing::Sandbox;

pub(crate) fn tool(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_new-container"));
    command.args(arguments);
    command
}

#[track_caller]
fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

const FILES: [&str; 4] = [
    "containers/app/compose.yaml",
    "containers/app/.env",
    "data/app/.resticignore",
    "data/app/prepare-backup.sh",
];

#[test]
fn the_four_files_are_made_and_listed() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&mut tool(&sandbox, &["app", "--image", "nginx:1"])).expect_success();
    for file in FILES {
        assert!(sandbox.path(file).is_file(), "{}", ran.everything());
        assert!(
            ran.stdout.contains(&format!("made {}\n", sandbox.path(file).display())),
            "{}",
            ran.everything()
        );
    }
    assert_eq!(mode(&sandbox.path("containers/app/.env")), 0o600);
    assert_eq!(mode(&sandbox.path("data/app/prepare-backup.sh")), 0o755);
    assert_eq!(mode(&sandbox.path("data/app")), 0o755);
    let env = sandbox.read("containers/app/.env");
    let expected = format!(
        "DATA_DIR={}\nCONTAINER_DIR={}\n",
        sandbox.path("data/app").display(),
        sandbox.path("containers/app").display()
    );
    assert!(env.ends_with(&expected), "{env}");
    assert_eq!(sandbox.tree().lines().count(), 10, "nothing else is there\n{}", sandbox.tree());
}

#[test]
fn nothing_that_exists_is_touched() {
    for existing in ["containers/app", "data/app"] {
        let sandbox = Sandbox::new();
        sandbox.write(format!("{existing}/mine"), "mine");
        let before = sandbox.tree();
        let ran = sandbox.run(&mut tool(&sandbox, &["app"])).expect_code(1);
        let expected = format!(
            "new-container: make a service: {}: already exists\nhint: ",
            sandbox.path(existing).display()
        );
        assert!(ran.stderr.starts_with(&expected), "{}", ran.everything());
        assert_eq!(sandbox.tree(), before);
    }
}

#[test]
fn a_second_time_is_refused_and_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.run(&mut tool(&sandbox, &["app", "--database", "postgres"])).expect_success();
    let env = sandbox.read("containers/app/.env");
    sandbox.run(&mut tool(&sandbox, &["app", "--database", "postgres"])).expect_code(1);
    assert_eq!(sandbox.read("containers/app/.env"), env);
}

#[test]
fn names_that_are_none_are_a_wrong_command_line() {
    let sandbox = Sandbox::new();
    let before = sandbox.tree();
    for name in ["", " ", "My App", "../x", "a/b", ".x", "_x", "a\nb", "*"] {
        sandbox.run(&mut tool(&sandbox, &[name])).expect_code(2);
    }
    let ran = sandbox.run(&mut tool(&sandbox, &["--", "-rf"])).expect_code(2);
    assert!(ran.stderr.contains("try rf"), "{}", ran.everything());
    sandbox.run(&mut tool(&sandbox, &[])).expect_code(2);
    assert_eq!(sandbox.tree(), before);
}

#[test]
fn passwords_are_random_and_in_env_alone() {
    let sandbox = Sandbox::new();
    let mut seen = Vec::new();
    for name in ["one", "two"] {
        let ran = sandbox.run(&mut tool(&sandbox, &[name, "--database", "mariadb"])).expect_success();
        let env = sandbox.read(format!("containers/{name}/.env"));
        let passwords: Vec<String> =
            env.lines().filter_map(|line| Some(line.split_once("PASSWORD=")?.1.to_string())).collect();
        assert_eq!(passwords.len(), 2, "{env}");
        for password in &passwords {
            assert!(password.len() == 32 && password.chars().all(|c| c.is_ascii_alphanumeric()), "{env}");
            assert!(!ran.stdout.contains(password));
            for file in
                ["containers/NAME/compose.yaml", "data/NAME/prepare-backup.sh", "data/NAME/.resticignore"]
            {
                assert!(!sandbox.read(file.replace("NAME", name)).contains(password));
            }
        }
        seen.extend(passwords);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_dry_run_prints_the_files_without_a_password_and_makes_nothing() {
    let sandbox = Sandbox::new();
    let before = sandbox.tree();
    let ran = sandbox.run(&mut tool(&sandbox, &["app", "--database", "redis", "--dry-run"])).expect_success();
    for file in FILES {
        assert!(
            ran.stdout.contains(&format!("would make {}", sandbox.path(file).display())),
            "{}",
            ran.everything()
        );
    }
    assert!(ran.stdout.contains("\n    DB_PASSWORD=(a new password)\n"), "{}", ran.everything());
    assert_eq!(sandbox.tree(), before);
}

#[test]
fn backrests_own_name_is_reserved() {
    let sandbox = Sandbox::new();
    for arguments in [["backrest"].as_slice(), &["database", "--database", "redis"]] {
        let ran = sandbox.run(&mut tool(&sandbox, arguments)).expect_code(1);
        assert!(ran.stderr.ends_with("hint: choose another name\n"), "{}", ran.everything());
    }
    sandbox.run(&mut tool(&sandbox, &["database", "--database", "sqlite"])).expect_success();
}

#[test]
fn a_port_that_another_service_publishes_is_reported() {
    let sandbox = Sandbox::new();
    sandbox.run(&mut tool(&sandbox, &["one", "--port", "61234:80"])).expect_success();
    let ran = sandbox.run(&mut tool(&sandbox, &["two", "--port", "61234:80"])).expect_success();
    let expected = format!(
        "new-container: warning: port 61234:80: {} publishes it; ",
        sandbox.path("containers/one/compose.yaml").display()
    );
    assert!(ran.stderr.starts_with(&expected) && ran.stderr.ends_with(" is free\n"), "{}", ran.everything());
}

#[test]
fn without_the_compose_plugin_up_makes_nothing() {
    let sandbox = Sandbox::new();
    // As the client does without its plugin.
    sandbox
        .script("bin/docker", "#!/bin/sh\necho \"docker: 'compose' is not a docker command.\" >&2\nexit 1\n");
    let before = sandbox.tree();
    let mut command = tool(&sandbox, &["app", "--up"]);
    command.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display()));
    let ran = sandbox.run(&mut command).expect_code(1);
    assert!(ran.stderr.contains("hint: install Docker with its Compose plugin"), "{}", ran.everything());
    assert_eq!(sandbox.tree(), before);
}

#[test]
fn ctrl_c_ends_with_130_before_and_after_the_files_are_made() {
    for (sleeps_at, has_files) in [("version", false), ("up", true)] {
        let sandbox = Sandbox::new();
        let docker = format!("#!/bin/sh\ncase \"$*\" in *{sleeps_at}*) exec sleep 60 ;; esac\n");
        sandbox.script("bin/docker", docker);
        let mut command = sandbox.command("timeout");
        command.args(["--preserve-status", "--signal", "INT", "2", env!("CARGO_BIN_EXE_new-container")]);
        command.args(["app", "--up"]);
        command.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display()));
        let ran = sandbox.run(&mut command).expect_code(130);
        assert!(ran.stderr.contains("new-container: interrupted; "), "{}", ran.everything());
        assert_eq!(sandbox.path("data/app").exists(), has_files, "{}", ran.everything());
    }
}

/// A rule for every *.db would leave out databases that the script does not copy.
#[test]
fn sqlite_leaves_out_its_one_live_file_and_reports_the_rule() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&mut tool(&sandbox, &["app", "--database", "sqlite"])).expect_success();
    let rules = sandbox.read("data/app/.resticignore");
    let rules: Vec<_> = rules.lines().filter(|line| line.starts_with('/')).collect();
    assert_eq!(rules, ["", "-wal", "-shm", "-journal"].map(|end| format!("/data/app.db{end}")));
    assert!(ran.stdout.contains("/data/app.db leaves the live file out"), "{}", ran.everything());
}

#[test]
fn a_missing_root_is_named_with_what_to_do() {
    let sandbox = Sandbox::empty();
    let ran = sandbox.run(&mut tool(&sandbox, &["app"])).expect_code(1);
    let data = sandbox.path("data");
    let expected = format!(
        "new-container: find the folder of all services: {0}: no such folder\nhint: mkdir -p '{0}', or name another folder with --data-root",
        data.display()
    );
    assert!(ran.stderr.starts_with(&expected), "{}", ran.everything());
}

#[test]
fn a_failure_half_way_leaves_nothing() {
    let sandbox = Sandbox::new();
    // A template whose file can't be written: its name is a folder of another one.
    sandbox.write("containers/.templates/default/x", "file");
    sandbox.write("containers/.templates/broken/x/y", "below it");
    let before = sandbox.tree();
    let ran = sandbox.run(&mut tool(&sandbox, &["app", "--template", "broken"])).expect_code(1);
    assert_eq!(sandbox.tree(), before, "{}", ran.everything());
}

/// A file system of 16 KiB that is full.
#[test]
fn a_full_disk_leaves_nothing() {
    let sandbox = Sandbox::new();
    let data = sandbox.path("data");
    mount(&["-t", "tmpfs", "-o", "size=16k,mode=755", "none", data.to_str().unwrap()]);
    fs::write(data.join("filler"), vec![b'x'; 12 << 10]).unwrap();
    let before = sandbox.tree();
    let ran = sandbox.run(&mut tool(&sandbox, &["app"]));
    let after = sandbox.tree();
    let unmounted = Command::new("umount").arg(&data).status().unwrap();
    let ran = ran.expect_code(1);
    assert!(unmounted.success());
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.everything());
    assert_eq!(before, after);
}

#[track_caller]
fn mount(arguments: &[&str]) {
    let status = Command::new("mount").args(arguments).status().expect("run mount");
    assert!(status.success(), "this test needs root, to mount a small file system");
}

/// Kills the tool at every single system call that changes something; whatever is left, the next run sets right.
#[test]
fn killed_anywhere_the_next_run_makes_it_whole() {
    let calls =
        ["mkdir", "write", "fsync", "rename", "renameat2", "linkat", "unlink", "flock", "chmod", "fchmod"];
    let kills: usize = calls.iter().map(|call| kill_at_each(call)).sum();
    assert!(kills > 25, "only {kills} places were killed at");
}

/// Kills it at the first `call`, the second, … until it makes no more of them; returns how many those were.
#[track_caller]
fn kill_at_each(call: &str) -> usize {
    for when in 1..100 {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command("strace");
        command.args(["-o", "/dev/null", "-e", &format!("inject={call}:signal=KILL:when={when}")]);
        command.args([env!("CARGO_BIN_EXE_new-container"), "app", "--database", "postgres"]);
        let ran = sandbox.run(&mut command);
        if ran.end.is_success() {
            return when - 1;
        }
        let was_whole = FILES.iter().all(|file| sandbox.path(file).is_file());
        let again = sandbox.run(&mut tool(&sandbox, &["app", "--database", "postgres"]));
        // A service that was whole already is refused, as always.
        let as_expected = again.end.is_success() || (was_whole && again.end == End::Exited(1));
        assert!(as_expected, "killed at {call} {when}\n{}", again.everything());
        assert!(
            FILES.iter().all(|file| sandbox.path(file).is_file()),
            "{call} {when}\n{}",
            again.everything()
        );
        assert_eq!(sandbox.tree().lines().count(), 10, "killed at {call} {when}\n{}", again.everything());
    }
    panic!("it never came to its end");
}

#[test]
fn edit_opens_the_users_editor_and_up_starts_it() {
    let sandbox = Sandbox::new();
    let editor = sandbox.script("bin/my editor", "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$HOME/edited\"\n");
    sandbox.script("bin/docker", "#!/bin/sh\necho \"$PWD: $*\"\n");
    let mut command = tool(&sandbox, &["app", "--edit", "--up"]);
    command.env("EDITOR", format!("'{}' -w", editor.display()));
    command.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display()));
    let ran = sandbox.run(&mut command).expect_success();
    let folder = sandbox.path("containers/app");
    assert_eq!(sandbox.read("edited"), format!("-w\n{0}/compose.yaml\n{0}/.env\n", folder.display()));
    assert!(
        ran.stdout.ends_with(&format!("{}: compose up --detach\n", folder.display())),
        "{}",
        ran.everything()
    );
}

/// A folder that Docker or sudo made is root's.
#[test]
fn a_folder_of_another_user_gets_the_command_that_helps() {
    let sandbox = Sandbox::new();
    let data = sandbox.path("data");
    let top = sandbox.home().parent().unwrap().to_path_buf();
    fs::set_permissions(&top, fs::Permissions::from_mode(0o755)).unwrap();
    let chown = |owner: &str| {
        let status = Command::new("chown").args(["-R", owner]).arg(sandbox.home()).status();
        status.unwrap().success()
    };
    let is_root = chown("65534:65534");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = if is_root { sandbox.command("setpriv") } else { sandbox.command("env") };
    if is_root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    let ran =
        sandbox.run(command.arg(env!("CARGO_BIN_EXE_new-container")).args(["app", "--database", "postgres"]));
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let ran = ran.expect_code(1);
    let hint = format!("\nhint: sudo chown $USER {}\n", data.display());
    assert!(ran.stderr.contains("Permission denied") && ran.stderr.contains(&hint), "{}", ran.everything());
    assert!(!sandbox.path("containers/app").exists(), "{}", ran.everything());
}
