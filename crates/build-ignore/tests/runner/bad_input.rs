//! What people and disks do to the tool: one clear line each, and what can go on goes on.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use common::testing::{Ran, Sandbox};
use rustix::fs::{Mode, OFlags};

use crate::command_line::PROGRAM;

const IGNORE_FILE: &str = "containers/backrest/ignorefile.txt";

#[must_use]
#[track_caller]
fn build(sandbox: &Sandbox) -> Ran {
    sandbox.run(&mut sandbox.command(PROGRAM))
}

/// The ignore file, which need not be UTF-8.
#[track_caller]
fn text_of(sandbox: &Sandbox) -> String {
    String::from_utf8_lossy(&fs::read(sandbox.path(IGNORE_FILE)).expect("read the ignore file")).into_owned()
}

#[track_caller]
fn warns(ran: &Ran, expected: &str) {
    assert!(
        ran.stderr.lines().any(|line| line.contains(expected)),
        "no line with {expected:?}\n{}",
        ran.everything()
    );
}

#[test]
fn a_missing_root_is_reported_and_the_other_one_is_built() {
    let sandbox = Sandbox::new();
    sandbox.write("containers/web/.resticignore", "x\n");
    fs::remove_dir_all(sandbox.path("data")).unwrap();
    let ran = build(&sandbox).expect_code(1);
    warns(&ran, "build-ignore: read the root: ");
    warns(&ran, "hint: ");
    assert!(sandbox.read(IGNORE_FILE).contains("/userdata/containers/web/x"));
}

#[test]
fn a_root_that_was_named_and_is_missing_stops_the_run() {
    let sandbox = Sandbox::new();
    sandbox.write("data/web/.resticignore", "x\n");
    for flag in ["--data-root", "--container-root"] {
        let tree = sandbox.tree();
        let ran = sandbox.run(sandbox.command(PROGRAM).arg(flag).arg(sandbox.path("typo"))).expect_code(1);
        warns(&ran, "/typo: there is no such folder");
        assert_eq!(sandbox.tree(), tree);
    }
}

#[test]
fn without_any_root_nothing_is_written() {
    let sandbox = Sandbox::empty();
    let ran = build(&sandbox).expect_code(1);
    assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.everything());
    assert_eq!(sandbox.tree(), "");
}

#[test]
fn an_ignore_file_that_is_none_is_named() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("data/folder/.resticignore")).unwrap();
    let rules = sandbox.write("elsewhere", "*\n");
    fs::create_dir_all(sandbox.path("data/link")).unwrap();
    symlink(&rules, sandbox.path("data/link/.resticignore")).unwrap();
    sandbox.write("data/binary/.resticignore", b"a\0b\n\xff\xfe\n\x1b[31m\n");
    sandbox.write("data/good/.resticignore", "x\n");
    let ran = build(&sandbox).expect_success();
    warns(&ran, "data/folder/.resticignore: a folder, not a file; its rules are not used");
    warns(
        &ran,
        "data/link/.resticignore: a symlink, which git does not follow either; its rules are not used",
    );
    warns(&ran, "data/binary/.resticignore:1: a NUL byte");
    assert!(!ran.stderr.contains('\x1b'), "{}", ran.everything());
    assert!(text_of(&sandbox).contains("/userdata/data/good/x\n"));
    assert!(!text_of(&sandbox).contains("link"), "{}", text_of(&sandbox));
    sandbox.run(sandbox.command(PROGRAM).arg("--strict")).expect_code(1);
}

/// Opening a FIFO waits for its other end, and /dev/zero has no end.
#[test]
fn a_fifo_or_a_device_in_place_of_rules_never_hangs() {
    let sandbox = Sandbox::new();
    sandbox.write("data/.resticignore", "*.log\n");
    for name in ["fifo", "zero", "socket"] {
        fs::create_dir_all(sandbox.path(format!("data/{name}"))).unwrap();
    }
    nix::unistd::mkfifo(&sandbox.path("data/fifo/.resticignore"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.path("data/socket/.resticignore")).unwrap();
    let zero = sandbox.path("data/zero/.resticignore");
    let kind = nix::sys::stat::SFlag::S_IFCHR;
    let is_made =
        nix::sys::stat::mknod(&zero, kind, nix::sys::stat::Mode::S_IRWXU, nix::sys::stat::makedev(1, 5));
    let mut devices = vec!["fifo", "socket"];
    devices.extend(is_made.is_ok().then_some("zero"));
    for mode in ["--check", "--report", "--output"] {
        let mut command = sandbox.command("timeout");
        command.args(["20", PROGRAM, mode]).args((mode == "--output").then_some("-"));
        let ran = sandbox.run(&mut command);
        for name in &devices {
            warns(&ran, &format!("data/{name}/.resticignore: not a regular file; its rules are not used"));
        }
    }
}

#[test]
fn an_env_file_with_errors_is_reported_with_its_lines() {
    let sandbox = Sandbox::new();
    sandbox.write("containers/backrest/.env", "A='open\nIGNORE_FILE=here.txt\n");
    let ran = build(&sandbox).expect_success();
    warns(&ran, ".env:1: A, column 3: the quote is not closed; the line is not used");
    assert!(sandbox.path("containers/backrest/here.txt").is_file());
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let sandbox = Sandbox::new();
    // A device of its own that is full: the tmpfs has room for the old file only.
    let script = r#"
        mount -t tmpfs -o size=16k tmpfs "$HOME/containers/backrest" || exit 9
        echo old > "$HOME/containers/backrest/ignorefile.txt"
        head -c 1000000 /dev/zero > "$HOME/containers/backrest/filler" 2>/dev/null
        "$PROGRAM"; code=$?
        cat "$HOME/containers/backrest/ignorefile.txt"; ls -A "$HOME/containers/backrest"
        exit $code"#;
    for number in 0..100 {
        sandbox.write(format!("data/s{number}/.resticignore"), "*.log\n".repeat(50));
    }
    let mut command = sandbox.command("unshare");
    command.args(["--mount", "--map-root-user", "bash", "-c", script]).env("PROGRAM", PROGRAM);
    let ran = sandbox.run(&mut command).expect_code(1);
    warns(&ran, "No space left on device");
    assert_eq!(ran.stdout, "old\nfiller\nignorefile.txt\n", "{}", ran.everything());
}

/// As root nothing is unreadable, so the tool runs as uid 65534, in a user namespace of its own where needed.
#[test]
fn an_unreadable_folder_is_reported_and_the_walk_continues() {
    let sandbox = Sandbox::new();
    sandbox.write("data/db/pgdata/base/.resticignore", "x\n");
    sandbox.write("data/db/.resticignore", "*.tmp\n");
    sandbox.write("data/zoo/.resticignore", "x\n");
    fs::set_permissions(sandbox.path("data/db/pgdata"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = as_ordinary_user(&sandbox);
    command.args([PROGRAM, "--output", "-"]);
    let ran = sandbox.run(&mut command);
    fs::set_permissions(sandbox.path("data/db/pgdata"), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = ran.expect_success();
    warns(
        &ran,
        "data/db/pgdata: not entered: Permission denied (os error 13); rules by name leave nothing out in it: ",
    );
    assert!(ran.stdout.contains("/userdata/data/zoo/x"), "{}", ran.everything());
    let kept = "\n/userdata/data/db/*.tmp\n# db/pgdata/.resticignore: everything in it is kept\n!/userdata/data/db/pgdata/*\n";
    assert!(ran.stdout.contains(kept), "{}", ran.everything());
}

/// What Docker or sudo made is root's: the hint is the command that helps, for the folder that is in the way.
#[test]
fn a_denied_permission_gets_the_command_that_helps() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "*.log\n");
    let cases: [(&str, u32, &[&str], &str); 4] = [
        ("containers/backrest", 0o555, &[], "containers/backrest"),
        ("containers", 0o000, &[], "containers"),
        ("data", 0o000, &["--report"], "data"),
        ("elsewhere", 0o555, &["--output", "elsewhere/ignore.txt"], "elsewhere"),
    ];
    for (folder, mode, arguments, named) in cases {
        fs::create_dir_all(sandbox.path(folder)).unwrap();
        fs::set_permissions(sandbox.path(folder), fs::Permissions::from_mode(mode)).unwrap();
        let mut command = as_ordinary_user(&sandbox);
        fs::set_permissions(sandbox.path(folder), fs::Permissions::from_mode(mode)).unwrap();
        let ran = sandbox.run(command.arg(PROGRAM).args(arguments));
        fs::set_permissions(sandbox.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
        let ran = ran.expect_code(1);
        let errors: Vec<&str> = ran.stderr.lines().filter(|line| !line.contains(": warning: ")).collect();
        assert!(errors[0].ends_with("Permission denied (os error 13)"), "{folder}: {}", ran.everything());
        let command = format!("sudo chown $USER {}", sandbox.path(named).display());
        assert!(
            errors[1].starts_with("hint: ") && errors[1].contains(&command),
            "{folder}: {}",
            ran.everything()
        );
    }
}

#[track_caller]
pub(crate) fn as_ordinary_user(sandbox: &Sandbox) -> std::process::Command {
    let mut folder = sandbox.home();
    while folder.starts_with(std::env::temp_dir()) && folder != std::env::temp_dir() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        folder = folder.parent().unwrap().to_path_buf();
    }
    if nix::unistd::geteuid().is_root() {
        let mut command = sandbox.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        command
    } else {
        sandbox.command("env")
    }
}

#[test]
fn very_long_lines_and_very_many_rules_are_taken() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "data/long/.resticignore",
        format!("{}\n!{}\n*.log\n", "a".repeat(1 << 20), "b?".repeat(1 << 19)),
    );
    let many: Vec<String> = (0..100_000).map(|number| format!("file-{number}\n")).collect();
    sandbox.write("data/many/.resticignore", many.concat());
    sandbox.write("data/many/file-99999", "");
    let ran = build(&sandbox).expect_success();
    warns(&ran, "data/long/.resticignore:1: restic's syntax can't express it");
    assert!(ran.stderr.lines().all(|line| line.len() < 1000), "a warning is a line that a person can read");
    let text = sandbox.read(IGNORE_FILE);
    assert!(text.lines().all(|line| line.len() < 64 << 10), "restic takes no longer line");
    assert!(text.contains("/userdata/data/many/file-99999\n"));
    assert!(text.contains("/userdata/data/long/*.log\n"));
}

#[test]
fn a_loop_of_symlinks_is_not_followed() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/d/.resticignore", "x\n");
    symlink("..", sandbox.path("data/s/d/up")).unwrap();
    symlink("self", sandbox.path("data/s/self")).unwrap();
    build(&sandbox).expect_success();
}

#[test]
fn a_very_deep_tree_is_walked() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("data/s");
    fs::create_dir_all(&folder).unwrap();
    // Deeper than PATH_MAX: made step by step from within.
    let mut open = rustix::fs::open(&folder, OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..600 {
        rustix::fs::mkdirat(&open, "d123456789", Mode::RWXU).unwrap();
        open = rustix::fs::openat(&open, "d123456789", OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let flags = OFlags::CREATE | OFlags::WRONLY;
    let rules = rustix::fs::openat(&open, ".resticignore", flags, Mode::RUSR | Mode::WUSR).unwrap();
    rustix::io::write(&rules, b"x\n").unwrap();
    let ran = build(&sandbox).expect_success();
    assert!(ran.stdout.contains("1 rule,"), "{}", ran.everything());
    sandbox.run(sandbox.command("rm").arg("-rf").arg(&folder)).expect_success();
}

#[test]
fn a_mount_with_blanks_and_dollars_is_written_so_that_restic_reads_it_back() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "x\n");
    let ran = sandbox
        .run(sandbox.command(PROGRAM).args(["--output", "-", "--mount", "/my $mount"]))
        .expect_success();
    assert!(ran.stdout.contains("/my $$mount/data/s/x\n"), "{}", ran.everything());
    let ran =
        sandbox.run(sandbox.command(PROGRAM).args(["--output", "-", "--mount", "relative"])).expect_code(1);
    warns(&ran, "the mount is not an absolute path: relative");
}

#[test]
fn files_that_come_and_go_while_it_runs_do_no_harm() {
    let sandbox = Sandbox::new();
    for number in 0..200 {
        sandbox.write(format!("data/s{number}/.resticignore"), "*.log\n");
    }
    let script = r#"
        while [ ! -e "$HOME/stop" ]; do
            for i in $(seq 0 20); do
                rm -rf "$HOME/data/s$i"; mkdir -p "$HOME/data/s$i/d"; echo '*.tmp' > "$HOME/data/s$i/.resticignore"
            done
        done"#;
    let mut churn = sandbox.command("bash").args(["-c", script]).spawn().unwrap();
    for _ in 0..30 {
        let ran = build(&sandbox).expect_success();
        assert!(
            ran.stderr.lines().all(|line| {
                ["vanished", "No such file", "has no rules any more"].iter().any(|known| line.contains(known))
            }),
            "{}",
            ran.everything()
        );
    }
    sandbox.write("stop", "");
    churn.wait().unwrap();
    assert!(sandbox.read(IGNORE_FILE).contains("/userdata/data/s199/*.log"));
}

#[test]
fn over_the_limit_of_single_paths_the_rest_is_kept_and_reported() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "*\n!*/\n!*.md\n");
    for number in 0..5_100 {
        sandbox.write(format!("data/s/d/{number}.jpg"), "");
    }
    let ran = build(&sandbox).expect_success();
    // The files and the .resticignore itself, less those that have a line.
    warns(
        &ran,
        "data/s: 101 paths that rules leave out stay in the backup: more than 5000 would need lines of their own",
    );
    let text = sandbox.read(IGNORE_FILE);
    assert_eq!(text.lines().filter(|line| line.ends_with(".jpg")).count(), 4_999);
    sandbox.run(sandbox.command(PROGRAM).arg("--strict")).expect_code(1);
}
