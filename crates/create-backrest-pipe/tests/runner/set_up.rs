//! The bare command: everything in place, once.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use common::lock::{Attempt, attempt};
use common::testing::{Sandbox, built, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::home::{Home, client, in_background};

#[track_caller]
fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// The lines of a crontab that start the listener.
#[track_caller]
pub(crate) fn listener_lines(home: &Home) -> Vec<String> {
    let crontab = home.crontab().unwrap_or_default();
    crontab.lines().filter(|line| line.contains("pipe-listener")).map(String::from).collect()
}

#[test]
fn everything_is_put_in_place() {
    let home = Home::new();
    let ran = home.set_up();
    assert!(ran.stderr.is_empty(), "{}", ran.everything());
    let pipe = home.backrest("bridge/backrest-pipe");
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!((mode(&home.backrest("bridge")), mode(&pipe)), (0o700, 0o600));
    assert_eq!(mode(&home.backrest("state")), 0o700);
    assert_eq!(fs::read_link(home.backrest("backrest-pipe")).unwrap(), Path::new("bridge/backrest-pipe"));
    let installed = home.backrest("bridge/backrest-send");
    assert_eq!(mode(&installed), 0o755);
    assert_eq!(fs::read(&installed).unwrap(), fs::read(client()).unwrap());
    let listener = home.listener().expect("a listener that holds its lock");
    assert!(ran.stdout.contains(&format!("process {listener}")), "{}", ran.everything());
    let lines = listener_lines(&home);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with(&format!("@reboot {}/.local/bin/pipe-listener", home.sandbox.home().display()))
    );
}

#[test]
fn the_listener_survives_the_terminal_it_was_started_in() {
    let home = Home::new();
    home.set_up();
    let listener = home.listener().unwrap();
    let session = nix::unistd::getsid(Some(Pid::from_raw(listener))).unwrap();
    assert_eq!(session.as_raw(), listener, "it leads a session of its own");
    for stream in ["0", "1", "2"] {
        let opened = fs::read_link(format!("/proc/{listener}/fd/{stream}")).unwrap();
        let opened = opened.to_str().unwrap();
        assert!(opened == "/dev/null" || opened.contains("/containers/backrest/logs/"), "{stream}: {opened}");
    }
}

#[test]
fn the_second_run_changes_nothing_and_says_so() {
    let home = Home::new();
    home.set_crontab("# mine\n0 3 * * * /bin/true 100\\%\n");
    home.set_up();
    // The listener goes on writing its own files.
    let without_its_files = || -> Vec<String> {
        let everything = home.everything();
        let ours = |line: &&str| !["logs/", "state/"].iter().any(|folder| line.contains(folder));
        everything.lines().filter(ours).map(String::from).collect()
    };
    let (before, listener) = (without_its_files(), home.listener());
    let again = home.set_up();
    assert_eq!(again.stdout, "Everything is in place: nothing was changed.\n");
    assert_eq!((without_its_files(), home.listener()), (before, listener));
    home.expect_listeners(1);
    assert_eq!(listener_lines(&home).len(), 1);
}

#[test]
fn two_runs_at_the_same_time_start_one_listener_and_add_one_line() {
    let home = Home::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| home.set_up())).collect();
        for run in runs {
            run.join().unwrap();
        }
    });
    home.expect_listeners(1);
    assert_eq!(listener_lines(&home).len(), 1);
}

#[test]
fn a_listener_of_another_version_is_replaced_by_the_installed_one() {
    let home = Home::new();
    // As an installation does it: the new file takes the old one's name, and what runs goes on running. All in one
    // namespace: from within a user namespace the processes outside it can't be looked at.
    let upgrade = r#"cd "$1" && ./create-backrest-pipe && cp pipe-listener new && mv new pipe-listener
        ./create-backrest-pipe status; ./create-backrest-pipe && ./create-backrest-pipe"#;
    let mut command = home.with_crontabs("sh");
    let ran = home.sandbox.run(command.args(["-c", upgrade, "sh"]).arg(home.sandbox.path(".local/bin")));
    let printed = ran.expect_success().stdout;
    let (_, printed) =
        printed.split_once("✗ listener   another program than the installed one listens").unwrap();
    let (_, printed) = printed.split_once("stopped   the listener").unwrap();
    let (_, printed) = printed.split_once("started   the listener").unwrap();
    assert!(printed.ends_with("Everything is in place: nothing was changed.\n"), "{printed}");
    home.expect_listeners(1);
}

#[test]
fn a_listener_that_is_just_ending_is_waited_for_and_followed_by_another() {
    let home = Home::new();
    home.sandbox.script("containers/backrest/actions/slow", "#!/bin/sh\n: > \"$HOME/started\"\nsleep 1\n");
    home.set_up();
    let first = home.listener().unwrap();
    fs::write(home.backrest("bridge/backrest-pipe"), "slow\n").unwrap();
    wait_until("the action runs", || home.sandbox.path("started").exists());
    kill(Pid::from_raw(first), Signal::SIGTERM).unwrap();
    wait_until("it takes no more messages", || !home.backrest("bridge/backrest.sock").exists());
    let ran = home.set_up();
    assert!(ran.stdout.contains("started   the listener"), "{}", ran.everything());
    assert_ne!(home.listener().unwrap(), first);
    home.expect_listeners(1);
    assert!(home.set_up().stdout.starts_with("Everything is in place"));
}

#[test]
fn a_dry_run_says_the_steps_and_takes_none() {
    let home = Home::new();
    let before = home.everything();
    let ran = home.run(&["--dry-run"]).expect_success();
    assert!(ran.stdout.contains("bridge/backrest-pipe, the FIFO"), "{}", ran.everything());
    assert_eq!(home.everything(), before);
}

#[test]
fn it_works_in_a_home_that_has_only_the_two_roots() {
    let home = Home::new();
    fs::remove_dir(home.backrest("")).unwrap();
    let before = home.everything();
    home.set_up();
    assert!(home.listener().is_some());
    home.run(&["remove"]).expect_success();
    assert_eq!(home.everything(), before);
}

#[test]
fn a_missing_container_root_is_named() {
    let home = Home::new();
    let ran = home.run(&["--container-root", "/nonexistent"]).expect_code(1);
    assert!(ran.stderr.contains("/nonexistent: no such folder\nhint: "), "{}", ran.everything());
}

#[test]
fn the_empty_folder_that_docker_makes_is_replaced() {
    let home = Home::new();
    fs::create_dir(home.backrest("backrest-pipe")).unwrap();
    fs::create_dir_all(home.backrest("bridge/backrest-pipe")).unwrap();
    let ran = home.set_up();
    assert!(ran.stderr.contains("--force-recreate"), "{}", ran.everything());
    assert!(fs::metadata(home.backrest("backrest-pipe")).unwrap().file_type().is_fifo());
    assert!(home.set_up().stdout.starts_with("Everything is in place"));
}

#[test]
fn a_plain_file_in_the_fifos_place_is_refused_and_kept() {
    for place in ["backrest-pipe", "bridge/backrest-pipe"] {
        let home = Home::new();
        // What a hook's `echo pre-backups > pipe` leaves where the FIFO is missing.
        home.sandbox.write(format!("containers/backrest/{place}"), "pre-backups\n");
        let before = home.everything();
        let ran = home.run(&[]).expect_code(1);
        assert!(
            ran.stderr.contains("a plain file is where the FIFO belongs\nhint: "),
            "{}",
            ran.everything()
        );
        assert_eq!(home.everything(), before, "nothing is half done");
    }
}

#[test]
fn a_symlink_that_the_container_made_is_neither_followed_nor_kept() {
    let home = Home::new();
    let secret = home.sandbox.write("secret", "theirs");
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    fs::create_dir(home.backrest("bridge")).unwrap();
    symlink(&secret, home.backrest("bridge/backrest-send")).unwrap();
    home.set_up();
    assert_eq!((home.sandbox.read("secret"), mode(&secret)), ("theirs".into(), 0o640));
    assert!(fs::symlink_metadata(home.backrest("bridge/backrest-send")).unwrap().is_file());

    fs::remove_file(home.backrest("bridge/backrest-pipe")).unwrap();
    symlink(&secret, home.backrest("bridge/backrest-pipe")).unwrap();
    let ran = home.run(&[]).expect_code(1);
    assert!(ran.stderr.contains("a symlink to"), "{}", ran.everything());
    assert_eq!((home.sandbox.read("secret"), mode(&secret)), ("theirs".into(), 0o640));
}

#[test]
fn a_client_that_would_not_run_in_the_container_is_not_installed() {
    let home = Home::new();
    fs::remove_file(home.sandbox.path(".local/bin/backrest-send")).unwrap();
    home.install("backrest-send", Path::new("/bin/sh"));
    let ran = home.run(&[]).expect_code(1);
    assert!(ran.stderr.contains("it is linked dynamically"), "{}", ran.everything());
    assert!(!home.backrest("bridge/backrest-send").exists());
    assert!(home.listener().is_some(), "the rest is done");

    fs::remove_file(home.sandbox.path(".local/bin/backrest-send")).unwrap();
    let ran = home.run(&[]).expect_success();
    assert!(ran.stderr.contains("backrest-send is not installed"), "{}", ran.everything());
}

#[test]
fn without_a_crontab_program_the_rest_is_done() {
    let home = Home::new();
    let programs = home.sandbox.path("programs");
    fs::create_dir(&programs).unwrap();
    for program in ["setsid", "unshare", "sh", "mount"] {
        let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
        symlink(found.iter().find(|path| path.exists()).unwrap(), programs.join(program)).unwrap();
    }
    let mut command = home.tool(&[]);
    let ran = home.sandbox.run(command.env("PATH", &programs)).expect_code(1);
    assert!(ran.stderr.contains("the program crontab is not installed\nhint: "), "{}", ran.everything());
    assert!(home.listener().is_some());
}

#[test]
fn odd_names_survive_the_crontab_and_the_shell() {
    let home = Home::new();
    let odd = home.sandbox.path("it's 100% \"odd\" $HOME");
    fs::create_dir_all(odd.join("backrest")).unwrap();
    home.run(&["--container-root", odd.to_str().unwrap()]).expect_success();
    let line = listener_lines(&home).remove(0);
    // As cron reads it: an escaped % is a %, the rest is for sh.
    let script = line.strip_prefix("@reboot ").unwrap().replace("\\%", "%").replace(" >/dev/null 2>&1", "");
    let script = format!("set -- {script}; printf '%s\\n' \"$@\"");
    let ran = home.sandbox.run(home.sandbox.command("sh").args(["-c", &script])).expect_success();
    let folder = odd.join("backrest");
    assert!(ran.stdout.lines().any(|word| Path::new(word) == folder), "{}", ran.everything());
    assert!(
        home.run(&["--container-root", odd.to_str().unwrap()]).stdout.starts_with("Everything is in place")
    );
    home.run(&["remove", "--container-root", odd.to_str().unwrap()]).expect_success();
    assert_eq!(home.crontab(), None);
}

#[test]
fn the_crontab_line_starts_the_listener_as_cron_runs_it() {
    let home = Home::new();
    home.set_up();
    let first = home.listener().unwrap();
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    // The kernel closes a killed process's files after its command line is gone.
    let lock = home.backrest("state/listener.lock");
    wait_until("the killed listener's lock", || matches!(attempt(&lock), Ok(Attempt::Held(_))));
    let line = listener_lines(&home).remove(0);
    // cron(8) runs a job with HOME, a short PATH and sh, in the home.
    let mut sh = Command::new("sh");
    sh.args(["-c", &line.strip_prefix("@reboot ").unwrap().replace("\\%", "%")]).env_clear();
    sh.env("HOME", home.sandbox.home()).env("PATH", "/usr/bin:/bin").current_dir(home.sandbox.home());
    let mut job = in_background(&mut sh);
    wait_until("cron's listener", || home.listener().is_some_and(|now| now != first));
    assert!(home.set_up().stdout.starts_with("Everything is in place"));
    home.run(&["remove"]).expect_success();
    job.wait().unwrap();
}

#[test]
fn the_machines_own_crontab_is_not_touched() {
    let outside = |sandbox: &Sandbox| {
        let mut command: Command = sandbox.command("crontab");
        let ran = sandbox.run(command.arg("-l"));
        (ran.end, ran.stdout, ran.stderr)
    };
    let home = Home::new();
    let before = outside(&home.sandbox);
    home.set_up();
    assert_eq!(listener_lines(&home).len(), 1, "the line is in the crontab of this home");
    assert_eq!(outside(&home.sandbox), before, "and in no other");
}

#[test]
fn a_fifo_of_another_mode_is_closed_to_others() {
    let home = Home::new();
    fs::create_dir(home.backrest("bridge")).unwrap();
    mkfifo(&home.backrest("bridge/backrest-pipe"), Mode::from_bits_truncate(0o666)).unwrap();
    home.set_up();
    assert_eq!(
        (mode(&home.backrest("bridge")), mode(&home.backrest("bridge/backrest-pipe"))),
        (0o700, 0o600)
    );
}

#[test]
fn scripts_that_would_be_refused_are_listed_with_the_command_that_fixes_each() {
    let home = Home::new();
    home.install("pre-backup-actions", &built("pre-backup-actions", "pre-backup-actions"));
    home.sandbox.script("data/good/prepare-backup.sh", "#!/bin/sh\n");
    let bad = home.sandbox.script("data/bad/prepare-backup.sh", "#!/bin/sh\n");
    let after = home.sandbox.script("data/bad/after-backup.sh", "#!/bin/sh\n");
    for script in [&bad, &after] {
        fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let ran = home.run(&[]).expect_success();
    let fixes: Vec<_> = ran.stderr.lines().filter_map(|line| line.strip_prefix("hint: ")).collect();
    assert_eq!(fixes.len(), 2, "{}", ran.everything());
    assert!(ran.stderr.contains(&format!("{}: not run: ", bad.display())), "{}", ran.everything());
    assert!(!ran.stderr.contains("good/"), "{}", ran.everything());
    for fix in fixes {
        let (_, fix) = fix.split_once("look at what it does, then: ").unwrap();
        assert!(
            home.sandbox.run(home.sandbox.command("sh").args(["-c", fix])).expect_success().stderr.is_empty()
        );
    }
    assert_eq!(home.run(&[]).expect_success().stderr, "");
}

#[test]
fn a_listener_that_does_not_start_is_reported_with_its_error() {
    let home = Home::new();
    fs::remove_file(home.sandbox.path(".local/bin/pipe-listener")).unwrap();
    home.sandbox.script(
        ".local/bin/pipe-listener",
        "#!/bin/sh\necho 'pipe-listener: no room' >&2\necho 'hint: free some' >&2\nexit 1\n",
    );
    let ran = home.run(&[]).expect_code(1);
    assert!(
        ran.stderr.contains("start the listener: exit status: 1: pipe-listener: no room\n"),
        "{}",
        ran.stderr
    );
}
