//! The dialogue, on a real terminal (script(1) makes one).

use common::testing::{Ran, Sandbox};

/// Runs the tool on a terminal with these answers. What it prints is on standard output, with line ends as a terminal
/// has them.
#[must_use]
#[track_caller]
fn on_a_terminal(sandbox: &Sandbox, arguments: &str, answers: &str) -> Ran {
    let mut command = sandbox.command("script");
    let tool = format!("exec {} {arguments}", env!("CARGO_BIN_EXE_new-container"));
    command.args(["--quiet", "--return", "--echo", "never", "--command", &tool, "/dev/null"]);
    sandbox.run_with_input(&mut command, answers.as_bytes())
}

#[test]
fn without_a_name_everything_is_asked() {
    let sandbox = Sandbox::new();
    let answers = "backrest\nwiki\nnginx:1\n61235:80\nproxy\npostgres\n\n";
    let ran = on_a_terminal(&sandbox, "", answers).expect_code(0);
    assert!(
        ran.stdout.contains("backrest is reserved: it is Backrest's own folder\r\nName: "),
        "{}",
        ran.everything()
    );
    let compose = sandbox.read("containers/wiki/compose.yaml");
    for part in ["image: nginx:1", "\"61235:80\"", "- proxy", "image: postgres:"] {
        assert!(compose.contains(part), "{part}\n{compose}");
    }
    assert!(sandbox.read("data/wiki/prepare-backup.sh").contains("pg_dump"));
}

#[test]
fn ctrl_d_makes_nothing() {
    for (arguments, answers) in
        [("", "\u{4}"), ("", "wiki\n\u{4}"), ("wiki", "\u{4}"), ("wiki --ask", "\n\n\n\u{4}")]
    {
        let sandbox = Sandbox::new();
        let before = sandbox.tree();
        let ran = on_a_terminal(&sandbox, arguments, answers).expect_code(130);
        assert!(ran.stdout.ends_with("new-container: nothing was made\r\n"), "{}", ran.everything());
        assert_eq!(sandbox.tree(), before);
    }
}

#[test]
fn folders_are_checked_before_the_first_question() {
    let sandbox = Sandbox::empty();
    let ran = on_a_terminal(&sandbox, "", "wiki\n").expect_code(1);
    assert!(ran.stdout.contains("no such folder") && !ran.stdout.contains("Name: "), "{}", ran.everything());
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("data/wiki")).unwrap();
    let ran = on_a_terminal(&sandbox, "wiki", "\n\n").expect_code(1);
    assert!(ran.stdout.contains("already exists") && !ran.stdout.contains("Image"), "{}", ran.everything());
}

#[test]
fn without_a_terminal_a_name_is_needed() {
    let sandbox = Sandbox::new();
    for arguments in [[].as_slice(), &["wiki", "--ask"]] {
        let ran = sandbox.run(&mut crate::make::tool(&sandbox, arguments)).expect_code(2);
        assert!(ran.stderr.contains("hint: new-container NAME --image IMAGE"), "{}", ran.everything());
    }
}
