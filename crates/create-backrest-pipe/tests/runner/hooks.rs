//! `hooks`: what is printed, and what is sent to a running Backrest.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use common::testing::{Ran, Sandbox};
use serde_json::{Value, json};

use crate::backrest::{LOGIN, REPOSITORY_PASSWORD, Server};

fn tool(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_create-backrest-pipe"));
    command.arg("hooks").args(arguments);
    command
}

/// Runs `hooks --apply` for the plan `nightly`, and sees that no password is shown.
#[track_caller]
#[must_use]
fn apply(sandbox: &Sandbox, server: &Server, arguments: &[&str]) -> Ran {
    let mut command = tool(sandbox, &["--apply", &server.address, "--plan", "nightly"]);
    without_secrets(sandbox.run(command.args(arguments)))
}

#[track_caller]
fn without_secrets(ran: Ran) -> Ran {
    for secret in [REPOSITORY_PASSWORD, LOGIN.1] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "a password is shown");
    }
    ran
}

#[test]
fn hooks_and_flag_are_printed_as_backrests_json() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&mut tool(&sandbox, &["--tailscale", "yes", "--notify", "yes"])).expect_success();
    let printed: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        printed["plan"]["backup_flags"],
        json!(["--exclude-file=/userdata/containers/backrest/ignorefile.txt"])
    );
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn tailscale_and_kuma_are_wired_where_they_are_used() {
    let sandbox = Sandbox::new();
    let plain = sandbox.run(&mut tool(&sandbox, &[])).expect_success().stdout;
    assert!(!plain.contains("tailscale") && !plain.contains("notify"), "{plain}");
    sandbox.write("containers/backrest/.env", "UPTIME_KUMA_PUSH_URL=https://kuma/api/push/secret-token\n");
    let programs = sandbox.script("programs/tailscale", "#!/bin/sh\n");
    let mut command = tool(&sandbox, &[]);
    command.env("PATH", programs.parent().unwrap());
    let both = sandbox.run(&mut command).expect_success().stdout;
    assert!(both.contains("start-tailscale") && both.contains("notify-down"), "{both}");
    assert!(!both.contains("secret-token"), "the push address stays on the host");
}

#[test]
fn an_ignore_file_that_the_container_does_not_see_is_refused() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(tool(&sandbox, &[]).env("IGNORE_FILE", "/etc/ignore")).expect_code(1);
    assert!(ran.stderr.contains("/etc/ignore: it is in neither root\nhint: "), "{}", ran.everything());
}

#[test]
fn a_running_backrest_gets_hooks_and_flag_and_keeps_every_other_field() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    let before = server.config();
    let ran = apply(&sandbox, &server, &["--yes", "--tailscale", "yes"]).expect_success();
    assert!(
        ran.stdout.contains("+ hook on SNAPSHOT_START, which stops it when this fails"),
        "{}",
        ran.everything()
    );
    let mut after = server.config();
    let hooks = after["plans"][0]["hooks"].as_array().unwrap().clone();
    assert_eq!(hooks[0], before["plans"][0]["hooks"][0], "the user's own hook comes first, as it did");
    assert_eq!(hooks[1]["conditions"], json!(["CONDITION_SNAPSHOT_START"]));
    assert_eq!(
        hooks[1]["actionCommand"]["command"],
        "#!/bridge/backrest-send\nstart-tailscale\n\
         pre-backups --failure-cancels --key home/{{ urlquery .Plan.Id }}\n"
    );
    let flags = ["--exclude-caches", "--exclude-file=/userdata/containers/backrest/ignorefile.txt"];
    assert_eq!(after["plans"][0]["backup_flags"], json!(flags));
    assert_eq!(after["repos"][0]["hooks"].as_array().unwrap().len(), 3);
    // Apart from these it is what it was.
    after["plans"][0]["hooks"] = before["plans"][0]["hooks"].clone();
    after["plans"][0]["backup_flags"] = before["plans"][0]["backup_flags"].clone();
    after["repos"][0]["hooks"] = before["repos"][0]["hooks"].clone();
    after["modno"] = before["modno"].clone();
    assert_eq!(after, before);
}

#[test]
fn the_second_time_nothing_is_written() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    apply(&sandbox, &server, &["--yes"]).expect_success();
    let before = server.config();
    let ran = apply(&sandbox, &server, &[]).expect_success();
    assert_eq!(ran.stdout, "Backrest has it so already: nothing was changed.\n");
    assert_eq!(server.config(), before, "not even its number");
}

#[test]
fn taken_out_again_only_the_number_is_different() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    let mut before = server.config();
    apply(&sandbox, &server, &["--yes", "--tailscale", "yes", "--notify", "yes"]).expect_success();
    apply(&sandbox, &server, &["--yes", "--remove"]).expect_success();
    before["modno"] = json!(14);
    assert_eq!(server.config(), before);
    let ran = apply(&sandbox, &server, &["--remove"]).expect_success();
    assert_eq!(ran.stdout, "Backrest has it so already: nothing was changed.\n");
}

#[test]
fn nothing_is_written_unless_someone_agrees() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    let ran = apply(&sandbox, &server, &[]).expect_code(1);
    assert!(ran.stdout.contains("+ hook") && ran.stderr.contains("hint: "), "{}", ran.everything());
    let ran = apply(&sandbox, &server, &["--dry-run", "--tailscale", "yes"]).expect_success();
    insta::assert_snapshot!(ran.stdout);
    assert!(!server.state.lock().unwrap().calls.contains(&"SetConfig".to_string()));
}

#[test]
fn a_change_that_another_client_makes_meanwhile_is_not_overwritten() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    server.state.lock().unwrap().is_busy_elsewhere = true;
    let ran = apply(&sandbox, &server, &["--yes"]).expect_code(1);
    assert!(ran.stderr.contains("it was changed meanwhile"), "{}", ran.everything());
    assert_eq!(server.config()["plans"][0]["hooks"].as_array().unwrap().len(), 1);
}

#[test]
fn nothing_is_written_while_backrest_is_at_work() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    server.state.lock().unwrap().operations =
        json!([{ "id": "2", "planId": "nightly", "status": "STATUS_INPROGRESS", "operationBackup": {} }]);
    let ran = apply(&sandbox, &server, &["--yes"]).expect_code(1);
    assert!(ran.stderr.contains("a backup of plan \"nightly\"\nhint: "), "{}", ran.everything());
    assert!(!server.state.lock().unwrap().calls.contains(&"SetConfig".to_string()));
}

#[test]
fn a_closed_backrest_wants_a_login() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    server.state.lock().unwrap().is_closed = true;
    let ran = apply(&sandbox, &server, &["--yes"]).expect_code(1);
    assert!(
        ran.stderr.contains("401") && ran.stderr.contains("hint: log in: --user NAME"),
        "{}",
        ran.everything()
    );

    let file = sandbox.write("password", format!("{}\n", LOGIN.1));
    let file = file.to_str().unwrap();
    apply(&sandbox, &server, &["--yes", "--user", LOGIN.0, "--password-file", file]).expect_success();

    let mut command = tool(&sandbox, &["--apply", &server.address, "--plan", "nightly", "--user", LOGIN.0]);
    without_secrets(sandbox.run(command.env("BACKREST_PASSWORD", LOGIN.1))).expect_success();
    let ran = sandbox.run(command.env("BACKREST_PASSWORD", "wrong")).expect_code(1);
    assert!(ran.stderr.contains("invalid password\nhint: see that user"), "{}", ran.everything());
    let ran =
        sandbox.run(Command::new("setsid").arg("--wait").arg(command.get_program()).args(command.get_args()));
    assert!(ran.stderr.contains("--password-file FILE"), "{}", ran.everything());
}

#[test]
fn an_open_backrest_wants_no_login_from_who_names_a_user() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    apply(&sandbox, &server, &["--yes", "--user", LOGIN.0]).expect_success();
    assert!(!server.state.lock().unwrap().calls.contains(&"Login".to_string()));
}

#[test]
fn a_hook_of_ones_own_that_can_keep_ours_from_running_is_reported() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    let warning = "a hook of your own on ANY_ERROR comes before post-backups";
    let ran = apply(&sandbox, &server, &["--dry-run"]).expect_success();
    assert!(ran.stderr.contains(warning), "{}", ran.everything());
    server.state.lock().unwrap().config["plans"][0]["hooks"][0].as_object_mut().unwrap().remove("onError");
    let ran = apply(&sandbox, &server, &["--dry-run"]).expect_success();
    assert!(!ran.stderr.contains(warning), "{}", ran.everything());
}

#[test]
fn at_a_terminal_the_password_is_not_shown_and_the_person_decides() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    server.state.lock().unwrap().is_closed = true;
    let tool = env!("CARGO_BIN_EXE_create-backrest-pipe");
    let line = format!("'{tool}' hooks --apply {} --plan nightly --user {}", server.address, LOGIN.0);
    let prompts = ["Backrest's password of me: ", "[y/N] "];
    let printed = talk(&sandbox, &line, &prompts.map(String::from), &[LOGIN.1, "n"]);
    assert!(printed.contains("Nothing was changed.") && !printed.contains(LOGIN.1), "{printed}");
    let printed = talk(&sandbox, &line, &prompts.map(String::from), &[LOGIN.1, "y"]);
    assert!(printed.contains("Done: plan \"nightly\"") && !printed.contains(LOGIN.1), "{printed}");
}

#[test]
fn an_interrupted_question_leaves_the_terminal_as_it_was() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    server.state.lock().unwrap().is_closed = true;
    let tool = env!("CARGO_BIN_EXE_create-backrest-pipe");
    let line = format!(
        "trap : INT; stty -a; '{tool}' hooks --apply {} --plan nightly --user {}; echo \"code $?\"; stty -a",
        server.address, LOGIN.0
    );
    // Ctrl-C.
    let printed = talk(&sandbox, &line, &["Backrest's password of me: ".into()], &["\x03"]);
    let (before, after) = printed.split_once("Backrest's password of me: ").unwrap();
    let modes = before.trim_end();
    assert!(modes.contains(" echo "), "{printed}");
    assert!(after.contains("code 130") && after.trim_end().ends_with(modes), "{printed}");
}

/// Runs the shell's `line` at a terminal, types each answer once its prompt is there, and returns all that is shown.
#[track_caller]
fn talk(sandbox: &Sandbox, line: &str, prompts: &[String], answers: &[&str]) -> String {
    // script(1) has a terminal; what hangs is killed.
    let mut command = sandbox.command("timeout");
    command.args(["60", "script", "--quiet", "--return", "--command", line, "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    for (prompt, answer) in prompts.iter().zip(answers) {
        let before = shown.len();
        let mut byte = [0];
        while !shown[before..].ends_with(prompt.as_bytes()) {
            assert_eq!(screen.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&shown));
            shown.extend(byte);
        }
        keyboard.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    screen.read_to_end(&mut shown).unwrap();
    child.wait().unwrap();
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn what_is_no_backrest_is_named() {
    let sandbox = Sandbox::new();
    let at = |address: &str| {
        sandbox
            .run(&mut tool(&sandbox, &["--apply", address, "--plan", "x\u{1b}", "--wait", "0s"]))
            .expect_code(1)
    };
    for (address, printed) in [
        ("http://127.0.0.1:1", "refused (os error 111)\nhint: see that Backrest runs"),
        ("ftp://127.0.0.1", "it is not a web address"),
        ("http://me:secret@127.0.0.1", "the address holds a user or a password"),
    ] {
        let ran = at(address);
        assert!(ran.stderr.contains(printed) && !ran.stderr.contains("secret"), "{}", ran.everything());
    }
    let server = Server::start();
    let ran = at(&format!("{}/elsewhere", server.address));
    assert!(ran.stderr.contains("this is not Backrest"), "{}", ran.everything());
    let ran = at(&server.address);
    let why = "Backrest has no plan \"x\\x1b\"\nhint: its plans are \"nightly\"";
    assert!(ran.stderr.contains(why), "{}", ran.everything());
}

/// Replaces the plan's hooks on the server.
#[track_caller]
fn set_hooks(server: &Server, hooks: Value) {
    server.state.lock().unwrap().config["plans"][0]["hooks"] = hooks;
}

fn at_start(text: &str) -> Value {
    json!({ "conditions": ["CONDITION_SNAPSHOT_START"], "actionCommand": { "command": text } })
}

#[test]
fn the_hook_that_the_page_teaches_is_completed_once() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    set_hooks(&server, json!([at_start("/bridge/backrest-send pre-backups")]));
    let ran = apply(&sandbox, &server, &["--yes"]).expect_success();
    let config = server.config();
    let hooks = config["plans"][0]["hooks"].as_array().unwrap();
    let starts = hooks.iter().filter(|hook| hook["conditions"] == json!(["CONDITION_SNAPSHOT_START"]));
    assert_eq!(starts.count(), 1, "{}", ran.everything());
    assert_eq!(hooks[0]["onError"], "ON_ERROR_CANCEL");
    apply(&sandbox, &server, &["--yes", "--remove"]).expect_success();
    assert_eq!(server.config()["plans"][0].get("hooks"), None);
}

#[test]
fn an_address_from_the_browser_is_enough() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    let address = format!("{}/#/plan/nightly", server.address);
    let ran = sandbox.run(&mut tool(&sandbox, &["--apply", &address, "--yes"])).expect_success();
    assert!(ran.stdout.contains("Done: plan \"nightly\""), "{}", ran.everything());
    // The only plan needs no name.
    sandbox.run(&mut tool(&sandbox, &["--apply", &server.address])).expect_success();
}

#[test]
fn hooks_of_the_old_scripts_are_replaced_only_if_asked() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    set_hooks(
        &server,
        json!([at_start("echo start-tailscale > /backrest-pipe; echo pre-backups > /backrest-pipe")]),
    );
    let ran = apply(&sandbox, &server, &["--dry-run"]).expect_success();
    assert!(
        ran.stderr.contains("1 hook of the old scripts") && ran.stderr.contains("--replace-old"),
        "{}",
        ran.everything()
    );
    let ran = apply(&sandbox, &server, &["--yes", "--replace-old"]).expect_success();
    assert!(!server.config().to_string().contains("> /backrest-pipe"), "{}", ran.everything());
}

#[test]
fn services_are_written_into_the_hook() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    apply(&sandbox, &server, &["--yes", "--services", "immich,wiki*"]).expect_success();
    assert!(server.config().to_string().contains("{{ urlquery .Plan.Id }} immich wiki*\\n"));
    let ran = apply(&sandbox, &server, &[]).expect_success();
    assert!(ran.stdout.contains("nothing was changed"), "they stay: {}", ran.everything());
    apply(&sandbox, &server, &["--yes", "--services", "*"]).expect_success();
    assert!(!server.config().to_string().contains("immich"));
    apply(&sandbox, &server, &["--yes", "--services", "a b"]).expect_code(2);
}

#[test]
fn a_hook_that_can_not_be_read_is_asked_about() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    set_hooks(&server, json!([at_start("if true; then /bridge/backrest-send pre-backups; fi")]));
    let before = server.config();
    let ran = apply(&sandbox, &server, &["--yes"]).expect_code(1);
    assert!(ran.stderr.contains("may send pre-backups already\nhint: "), "{}", ran.everything());
    assert_eq!(server.config(), before);
    let tool = env!("CARGO_BIN_EXE_create-backrest-pipe");
    let line = format!("'{tool}' hooks --apply {} --plan nightly", server.address);
    let prompts = ["send pre-backups already? [y/N] ", "Apply these changes? [y/N] "].map(String::from);
    talk(&sandbox, &line, &prompts, &["y", "y"]);
    let config = server.config();
    let hooks = config["plans"][0]["hooks"].as_array().unwrap();
    assert_eq!(hooks[0], before["plans"][0]["hooks"][0]);
    let starts = hooks.iter().filter(|hook| hook["conditions"] == json!(["CONDITION_SNAPSHOT_START"]));
    assert_eq!(starts.count(), 1, "{config}");
}

#[test]
fn plans_that_share_a_monitor_are_named() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    apply(&sandbox, &server, &["--yes", "--notify", "yes"]).expect_success();
    {
        let mut state = server.state.lock().unwrap();
        let mut second = state.config["plans"][0].clone();
        second["id"] = json!("my weekly");
        state.config["plans"].as_array_mut().unwrap().push(second);
    }
    let shared = "plans \"nightly\", \"my weekly\" push to one monitor";
    let ran = apply(&sandbox, &server, &["--notify", "yes"]).expect_success();
    assert!(ran.stderr.contains(shared), "{}", ran.everything());
    sandbox
        .write("containers/backrest/.env", "UPTIME_KUMA_PUSH_URL_MY_WEEKLY=https://kuma/api/push/secret\n");
    let ran = apply(&sandbox, &server, &["--notify", "yes"]).expect_success();
    assert!(!ran.stderr.contains(shared) && !ran.everything().contains("secret"), "{}", ran.everything());
}

#[test]
fn a_backrest_that_is_still_starting_is_waited_for() {
    let sandbox = Sandbox::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let address = format!("http://127.0.0.1:{port}");
    let late = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(700));
        Server::start_at(port)
    });
    let mut command = tool(&sandbox, &["--apply", &address, "--plan", "nightly", "--yes"]);
    let ran = sandbox.run(&mut command).expect_success();
    assert!(ran.stderr.contains("waiting for Backrest"), "{}", ran.everything());
    drop(late.join().unwrap());
}
