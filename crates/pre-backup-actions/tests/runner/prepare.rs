//! Prepare steps: all of them run, side by side, in time, with what they need; and one that fails is reported.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use common::process::End;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scripts::{Home, last_line, wait_for, wait_for_end_of};

#[test]
fn every_service_is_prepared_whatever_its_name() {
    let home = Home::new();
    let names = ["plain", "with blank", "-dash", "*", "line\nbreak", "$(touch x)", "ünïcode"];
    for name in names {
        home.prepare(name, "pwd >ran; ls >>ran");
    }
    let ran = home.run(&[]).expect_success();
    for name in names {
        assert!(home.exists(&format!("data/{name}/ran")), "{name}\n{}", ran.everything());
    }
    assert_eq!(last_line(&ran.stdout), "7 ok");
    assert!(ran.stdout.contains("line\\nbreak: ok ("), "{}", ran.everything());
}

#[test]
fn a_failing_script_does_not_stop_the_others_and_is_reported() {
    let home = Home::new();
    home.prepare("a", "echo dumping; echo no space >&2; exit 3");
    home.prepare("b", "touch ran");
    home.prepare("c", "kill -KILL $$");
    let ran = home.run(&["--jobs", "1"]).expect_code(1);
    assert!(home.exists("data/b/ran"));
    assert_eq!(last_line(&ran.stdout), "1 ok, 2 failed: a (exit code 3), c (killed by SIGKILL)");
    assert!(
        ran.stdout.contains("a | dumping\na | no space\na: failed: exit code 3 ("),
        "{}",
        ran.everything()
    );
    let log = home.sandbox.read("containers/backrest/logs/actions/a.log");
    assert!(log.contains("/data/a/prepare-backup.sh\ndumping\nno space\n── 20"), "{log}");
    assert!(log.contains("Z exit code 3 after ") || log.contains("+00:00 exit code 3 after "), "{log}");
}

#[test]
fn a_script_sees_its_service_and_nothing_of_the_callers_secrets() {
    let home = Home::new();
    home.prepare("my app", "pwd; env | sort; cat; test -t 0 || echo no terminal");
    let mut command = home.command(&[]);
    command.env("RESTIC_PASSWORD", "geheim").env("DATA_DIR", "/wrong").env("CONTAINER_DIR", "/wrong");
    command.env("COMPOSE_FILE", "/wrong/compose.yaml");
    command.env("PATH", "/usr/bin:/bin").env("DOCKER_HOST", "unix:///run/d.sock");
    let ran = home.sandbox.run_with_input(&mut command, b"typed\n").expect_success();
    let data = home.sandbox.path("data/my app");
    let container = home.sandbox.path("containers/my app");
    for expected in [
        format!("my app | {}\n", data.display()),
        format!("my app | DATA_DIR={}\n", data.display()),
        format!("my app | CONTAINER_DIR={}\n", container.display()),
        "my app | SERVICE=my app\n".into(),
        "my app | DOCKER_HOST=unix:///run/d.sock\n".into(),
        "my app | PATH=/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/snap/bin\n".into(),
        "my app | BACKUP_RUN=20".into(),
        "my app | no terminal\n".into(),
    ] {
        assert!(ran.stdout.contains(&expected), "{expected}\n{}", ran.everything());
    }
    assert!(!ran.stdout.contains("/wrong"), "{}", ran.everything());
    assert!(!ran.stdout.contains("geheim") && !ran.stdout.contains("typed"), "{}", ran.everything());
}

#[test]
fn backrests_own_folders_are_those_of_its_env_file() {
    let home = Home::new();
    home.sandbox.write("containers/backrest/.env", "CONTAINER_DIR=/srv/backrest-containers\n");
    home.sandbox.write("srv/.env", format!("CONTAINER_DIR={}\n", home.sandbox.path("srv").display()));
    home.prepare("backrest", "echo \"$CONTAINER_DIR\" >ran");
    home.run(&["--container-dir", &home.sandbox.path("srv").to_string_lossy()]).expect_success();
    assert_eq!(home.lines("data/backrest/ran"), [home.sandbox.path("srv").to_string_lossy()]);
}

#[test]
fn scripts_run_side_by_side_up_to_jobs() {
    let home = Home::new();
    // Each waits for the other: with one job they would never meet.
    for (own, other) in [("a", "b"), ("b", "a")] {
        home.prepare(own, &format!("touch here; n=0; until [ -e ../{other}/here ]; do sleep 0.05; n=$((n+1)); [ $n -lt 200 ] || exit 1; done"));
    }
    let ran = home.run(&["--jobs", "2"]).expect_success();
    assert_eq!(last_line(&ran.stdout), "2 ok");
}

#[test]
fn a_script_past_its_time_is_ended_with_its_grandchildren() {
    let home = Home::new();
    home.prepare("hung", "(trap '' TERM; echo $$ >group; while :; do sleep 1; done) & wait");
    home.prepare("long", "# timeout: 1m\nsleep 2");
    let started = Instant::now();
    let ran = home.run(&["--timeout", "500ms", "--jobs", "2"]).expect_code(1);
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(last_line(&ran.stdout), "1 ok, 1 failed: hung (not done in 500ms)");
    let group: i32 = home.lines("data/hung/group")[0].parse().unwrap();
    wait_for_end_of(group);
}

#[test]
fn an_interruption_terminates_the_scripts_and_is_reported() {
    let home = Home::new();
    home.prepare("a", "touch here; sleep 60");
    home.after("a", "touch back");
    home.prepare("b", "touch ran");
    let child = home.start(&["--jobs", "1"]);
    wait_for(&home.sandbox.path("data/a/here"));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let started = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(!home.exists("data/b/ran"), "nothing starts after it");
    let journal = home.run(&["--journal"]).expect_success();
    assert!(journal.stdout.starts_with("a: prepared 20"), "{}", journal.everything());
}

#[test]
fn a_symlinked_service_folder_is_prepared_too() {
    let home = Home::new();
    home.sandbox.script("elsewhere/app/prepare-backup.sh", "#!/bin/sh\ntouch ran\n");
    symlink(home.sandbox.path("elsewhere/app"), home.sandbox.path("data/linked")).unwrap();
    home.run(&[]).expect_success();
    assert!(home.exists("elsewhere/app/ran"));
}

#[test]
fn only_names_services_and_globs() {
    let home = Home::new();
    for name in ["db-one", "db-two", "web"] {
        home.prepare(name, "touch ran");
    }
    let ran = home.run(&["--only", "db-*"]).expect_success();
    assert_eq!(last_line(&ran.stdout), "2 ok");
    assert!(!home.exists("data/web/ran"));
    let ran = home.run(&["--only", "mail"]).expect_code(1);
    assert!(
        ran.stderr.contains("--only mail: no service of that name has a prepare-backup.sh\nhint: "),
        "{}",
        ran.everything()
    );
    home.run(&["--only", "[a"]).expect_code(2);
}

#[test]
fn heavy_and_ordered_services_are_respected() {
    let home = Home::new();
    let step = |extra: &str| {
        format!("{extra}\necho \"$SERVICE\" >>../order; [ ! -e ../busy ] || echo overlap >>../order")
    };
    home.prepare("a", &step("# after: z"));
    home.prepare(
        "h",
        &format!("# weight: heavy\ntouch ../busy; sleep 0.3; {}; rm ../busy", "echo h >>../order"),
    );
    home.prepare("m", &step(""));
    home.prepare("z", &step(""));
    home.run(&["--jobs", "4"]).expect_success();
    let order = home.lines("data/order");
    let at = |name: &str| order.iter().position(|line| line == name).unwrap();
    assert!(at("z") < at("a") && !order.contains(&"overlap".to_string()), "{order:?}");
}

#[test]
fn a_script_that_may_fail_is_a_warning() {
    let home = Home::new();
    home.prepare("a", "# on-failure: continue\nexit 1");
    let ran = home.run(&[]).expect_success();
    assert_eq!(last_line(&ran.stdout), "0 ok, 1 with a warning: a (exit code 1)");
}

#[test]
fn a_second_run_says_who_is_at_it_and_waits_when_asked() {
    let home = Home::new();
    home.prepare("a", "touch here; until [ -e go ]; do sleep 0.05; done");
    let mut first = home.start(&[]);
    wait_for(&home.sandbox.path("data/a/here"));
    let ran = home.run(&[]).expect_code(1);
    let expected = format!("pre-backup-actions: another run is under way: process {} since 20", first.id());
    assert!(ran.stderr.starts_with(&expected), "{}", ran.everything());
    assert!(ran.stderr.contains("\nhint: wait until it is done, or use --wait\n"));
    let mut second = home.start(&["--wait", "--only", "a"]);
    home.sandbox.write("data/a/go", "");
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
}

#[test]
fn output_can_not_steer_a_terminal_and_is_bounded() {
    let home = Home::new();
    home.prepare(
        "a",
        "printf '\\033]0;owned\\007\\n'; yes 'a long line of nothing' | head -c 20000000; exit 1",
    );
    let ran = home.run(&[]).expect_code(1);
    assert!(ran.stdout.starts_with("a | \\x1b]0;owned\\x07\n"), "{}", &ran.stdout[..100]);
    assert!(ran.stdout.len() < 200_000, "{}", ran.stdout.len());
    assert!(ran.stdout.contains("a | … more in "));
    let logs = std::fs::read_dir(home.sandbox.path("containers/backrest/logs/actions")).unwrap();
    let size: u64 = logs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 3 << 20, "{size}");
}

#[test]
fn json_is_one_object_and_nothing_else() {
    let home = Home::new();
    home.prepare("good", "echo output");
    home.prepare("bad", "echo last words; exit 2");
    let ran = home.run(&["--json"]).expect_code(1);
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["summary"], "1 ok, 1 failed: bad (exit code 2)");
    assert_eq!(value["services"][0]["service"], "bad");
    assert_eq!(value["services"][0]["last_line"], "last words");
    assert_eq!(value["services"][1]["result"], "ok");
}

#[test]
fn nothing_to_do_is_reported() {
    let home = Home::new();
    home.sandbox.write("data/app/file", "");
    let ran = home.run(&[]).expect_success();
    let data = home.sandbox.path("data");
    let expected =
        format!("nothing to prepare: none of 2 services below {} has a prepare-backup.sh\n", data.display());
    assert_eq!(ran.stdout, expected);
}

#[test]
fn a_missing_root_is_one_clear_line() {
    let sandbox = common::testing::Sandbox::empty();
    let tool = env!("CARGO_BIN_EXE_pre-backup-actions");
    let ran = sandbox.run(&mut sandbox.command(tool)).expect_code(1);
    assert!(ran.stderr.starts_with("pre-backup-actions: find Backrest's folder: "), "{}", ran.everything());
    std::fs::create_dir(sandbox.path("containers")).unwrap();
    let ran = sandbox.run(&mut sandbox.command(tool)).expect_code(1);
    assert!(ran.stderr.starts_with("pre-backup-actions: look for services: "), "{}", ran.everything());
    assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.everything());
    assert!(ran.stderr.contains(&*sandbox.path("data").to_string_lossy()), "{}", ran.everything());
    std::fs::create_dir(sandbox.path("data")).unwrap();
    assert_eq!(sandbox.run(&mut sandbox.command(tool)).expect_success().end, End::Exited(0));
}

#[test]
fn list_and_dry_run_run_nothing() {
    let home = Home::new();
    home.prepare("a", "# after: b\ntouch ran");
    home.prepare("b", "# weight: heavy\n# timeout: 2h\ntouch ran");
    home.after("b", "touch ran");
    let list = home.run(&["--list"]).expect_success();
    assert_eq!(
        list.stdout,
        "a: prepare-backup.sh (after b)\nb: prepare-backup.sh (runs alone, at most 2h), after-backup.sh\n"
    );
    let dry = home.run(&["--dry-run"]).expect_success();
    let data = home.sandbox.path("data").to_string_lossy().into_owned();
    let expected = format!(
        "would run {data}/b/prepare-backup.sh, alone\nwould run {data}/a/prepare-backup.sh, after b\n"
    );
    assert_eq!(dry.stdout, expected);
    assert!(!home.exists("data/a/ran") && !home.exists("data/b/ran"));
    let json = home.run(&["--dry-run", "--json"]).expect_success();
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(value["prepare"], serde_json::json!(["b", "a"]));
}

#[test]
fn a_person_at_a_terminal_sees_a_table_and_the_summary_last() {
    let home = Home::new();
    home.prepare("immich", "# dump: db.sql kind=any\nhead -c 1000 /dev/zero >\"$DUMP_DIR/db.sql\"");
    home.run(&[]).expect_success();
    home.prepare("immich", "# dump: db.sql kind=any\nhead -c 2000 /dev/zero >\"$DUMP_DIR/db.sql\"");
    home.prepare("wiki", "echo no space; exit 1");
    // script(1) has a terminal for it.
    let mut command = home.sandbox.command("script");
    command.args(["-qec", env!("CARGO_BIN_EXE_pre-backup-actions"), "/dev/null"]).env("TERM", "xterm");
    let ran = home.sandbox.run(&mut command).expect_code(1);
    let shown = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
    let plain = strip(&ran.stdout);
    let table =
        plain.lines().skip_while(|line| shown(line) != ["service", "result", "time", "dump", "change"]);
    let rows: Vec<_> = table.map(shown).collect();
    assert!(rows.len() == 4, "{}", ran.everything());
    assert_eq!((rows[1][0].as_str(), rows[1][1].as_str()), ("immich", "ok"), "{}", ran.everything());
    assert!(rows[1].join(" ").ends_with(" 2.0 KiB +100 %"), "{:?}", rows[1]);
    assert_eq!(rows[2][..4], ["wiki", "exit", "code", "1"], "{}", ran.everything());
    assert_eq!(rows[3].join(" "), "1 ok, 1 failed: wiki (exit code 1)");
    assert!(plain.contains("its last line: no space"), "{}", ran.everything());
    // The bar counts each step as soon as it is over, the failed one too, and never shows a number of no task.
    let (before, after) = ran.stdout.split_once("its last line: no space").unwrap();
    assert!(before.contains(" 0 of 2 ") && after.contains(" 1 of 2 "), "{}", ran.everything());
    assert!(!after.contains(" 0 of 2 ") && !before.contains(" of 0 "), "{}", ran.everything());
}

#[test]
fn the_table_fits_the_terminal_and_uses_its_width() {
    let home = Home::new();
    home.prepare(&"long-name-".repeat(6), &format!("# dump: {}.sql\n:", "x".repeat(60)));
    home.prepare("wiki", "# dump: db.sql kind=any\necho x >\"$DUMP_DIR/db.sql\"\n# weight: odd");
    let rows_in = |columns: usize| {
        let mut command = home.sandbox.command("script");
        let tool = format!("stty cols {columns}; {}", env!("CARGO_BIN_EXE_pre-backup-actions"));
        command.args(["-qec", &tool, "/dev/null"]).env("TERM", "xterm");
        let plain = strip(&home.sandbox.run(&mut command).expect_code(1).stdout);
        let table = plain.lines().skip_while(|line| !line.starts_with("service ")).take(3);
        table.map(String::from).collect::<Vec<_>>()
    };
    let (narrow, wide) = (rows_in(80), rows_in(200));
    assert!(narrow.len() == 3 && narrow.iter().all(|line| line.chars().count() <= 80), "{narrow:?}");
    assert!(narrow.iter().any(|line| line.contains('…')), "{narrow:?}");
    assert!(wide.len() == 3 && wide.iter().all(|line| !line.contains('…')), "{wide:?}");
}

/// Started from a terminal a script is in the background: what reads there would be stopped until its time is over.
#[test]
fn a_script_that_asks_something_on_the_terminal_fails_at_once() {
    let home = Home::new();
    home.prepare("app", "set -e\nread answer </dev/tty; echo \"got $answer\"");
    let mut command = home.sandbox.command("script");
    command.args(["-qec", env!("CARGO_BIN_EXE_pre-backup-actions"), "/dev/null"]).env("TERM", "xterm");
    let started = Instant::now();
    let ran = home.sandbox.run(&mut command).expect_code(1);
    assert!(started.elapsed() < Duration::from_secs(30), "{}", ran.everything());
    let expected = "1 failed: app (waits for an answer on the terminal, which it does not have)";
    assert!(ran.stdout.contains(expected), "{}", ran.everything());
    // Without a terminal the shell itself reports it.
    let mut command = home.sandbox.command("setsid");
    let ran = home.sandbox.run(command.args(["-w", env!("CARGO_BIN_EXE_pre-backup-actions")])).expect_code(1);
    assert!(
        ran.stdout.contains("/dev/tty") && last_line(&ran.stdout).contains("exit code"),
        "{}",
        ran.everything()
    );
}

/// The last line is what a person needs then.
#[test]
fn an_interruption_leaves_the_command_that_brings_everything_back() {
    let home = Home::new();
    home.prepare("a", "rm -f up; touch here; sleep 60");
    home.after("a", "touch up");
    home.prepare("b", "touch ran");
    let mut command = home.command(&["--jobs", "1"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    wait_for(&home.sandbox.path("data/a/here"));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = "still prepared, because after-backup.sh has not run: a; to bring it back: pre-backup-actions --after";
    assert_eq!(last_line(&text), expected, "{text}");
    let summary = "\n0 ok, 1 failed: a (interrupted), 1 not run: b (interrupted)\n";
    assert!(text.contains(summary), "{text}");
    home.run(&["--after"]).expect_success();
    assert!(home.exists("data/a/up"));
}

/// As the bridge calls it: it waits, and the hook's output shows why.
#[test]
fn waiting_for_another_run_is_shown() {
    let home = Home::new();
    home.prepare("a", "touch here; until [ -e go ]; do sleep 0.05; done");
    let mut first = home.start(&[]);
    wait_for(&home.sandbox.path("data/a/here"));
    let mut command = home.command(&["--wait", "1m"]);
    let second = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    home.sandbox.write("data/a/go", "");
    let output = second.wait_with_output().unwrap();
    assert!(first.wait().unwrap().success() && output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = format!("another run is under way (process {} since 20", first.id());
    assert!(
        text.starts_with(&expected) && text.lines().next().unwrap().ends_with("); waiting for it"),
        "{text}"
    );
}

/// `text` without what moves the cursor or sets a colour, and with each line as it is in the end.
fn strip(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\u{1b}' => {
                characters.by_ref().skip(1).find(char::is_ascii_alphabetic);
            }
            // Whatever stood before it in this line is written over.
            '\r' if characters.as_str().starts_with('\n') => {}
            '\r' => out.truncate(out.rfind('\n').map_or(0, |end| end + 1)),
            c => out.push(c),
        }
    }
    out
}
