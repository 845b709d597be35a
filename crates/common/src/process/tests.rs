//! Children that behave as badly as prepare scripts do.

use super::*;

const PATIENT: Limits = Limits {
    deadline: Duration::from_secs(30),
    grace: Duration::from_millis(200),
    drain: Duration::from_millis(300),
};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[track_caller]
fn run_shell(script: &str) -> (Finished, Vec<String>) {
    let mut lines = Vec::new();
    let finished = run(&mut shell(script), PATIENT, None, &mut |line| lines.push(escape(line))).unwrap();
    (finished, lines)
}

#[test]
fn both_streams_come_in_the_order_they_were_written() {
    let (finished, lines) = run_shell("echo one; echo two >&2; printf three; exit 3");
    assert_eq!((finished.end, lines), (End::Exited(3), vec!["one".into(), "two".into(), "three".into()]));
}

#[test]
fn standard_input_is_empty() {
    assert_eq!(run_shell("cat; echo end").1, ["end"]);
}

#[test]
fn a_grandchild_that_keeps_the_output_open_is_killed_and_reported() {
    let (finished, lines) = run_shell("sleep 60 & echo done");
    let left = LeftBehind::Killed;
    assert_eq!((finished.end, finished.left_behind, lines), (End::Exited(0), left, vec!["done".into()]));
    assert!(finished.elapsed < Duration::from_secs(10), "{finished}");
}

#[test]
fn one_that_has_left_the_group_is_not_waited_for_and_not_reported_as_killed() {
    let (finished, lines) = run_shell("setsid sleep 60 & echo $!; sleep 0.2; exit 3");
    assert_eq!((finished.end, finished.left_behind), (End::Exited(3), LeftBehind::Running));
    assert!(finished.elapsed < Duration::from_secs(10), "{finished}");
    let daemon = nix::unistd::Pid::from_raw(lines[0].parse().unwrap());
    nix::sys::signal::kill(daemon, Signal::SIGKILL).expect("it still runs");
}

#[test]
fn a_daemon_that_lets_go_of_the_output_is_left_alone() {
    let (finished, lines) = run_shell("sleep 5 >/dev/null 2>&1 & echo $!");
    assert!(finished.end.is_success() && finished.left_behind == LeftBehind::Nothing);
    let daemon = nix::unistd::Pid::from_raw(lines[0].parse().unwrap());
    nix::sys::signal::kill(daemon, Signal::SIGKILL).expect("it still runs");
}

#[test]
fn a_signal_is_reported_by_name() {
    assert_eq!(run_shell("kill -SEGV $$").0.end.to_string(), "killed by SIGSEGV");
}

#[test]
fn captured_streams_stay_apart_and_large_input_does_not_lock_up() {
    let input = vec![b'x'; 1 << 20];
    let captured = capture(&mut shell("echo error >&2; cat"), &input, PATIENT, None).unwrap();
    assert_eq!((captured.stdout.len(), captured.stderr.as_slice()), (1 << 20, b"error\n".as_slice()));
}

#[test]
fn a_failed_command_is_named_with_its_code_and_last_words() {
    let captured = capture(&mut shell("echo first >&2; echo last >&2; exit 4"), b"", PATIENT, None).unwrap();
    let error = captured.success().unwrap_err().to_string();
    assert!(error.starts_with("sh -c ") && error.ends_with(": exit code 4: last"), "{error}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = capture(&mut Command::new("/no/such/program"), b"", PATIENT, None).unwrap_err();
    assert_eq!(
        crate::exit::one_line(&error),
        "start: /no/such/program: No such file or directory (os error 2)"
    );
}
