//! `status` and `log`: what is wrong is found, named and fixed by what is proposed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::testing::{Ran, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::backrest::{LOGIN, REPOSITORY_PASSWORD, Server};
use crate::home::Home;

/// The states of all checks of that name.
#[track_caller]
pub(crate) fn states(home: &Home, name: &str) -> Vec<String> {
    let ran = home.run(&["status", "--json"]);
    let report: Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{}", ran.everything()));
    let checks = report["checks"].as_array().unwrap();
    let named = checks.iter().filter(|check| check["name"] == name);
    named.map(|check| check["state"].as_str().unwrap().to_string()).collect()
}

#[must_use]
#[track_caller]
pub(crate) fn status(home: &Home) -> Ran {
    home.run(&["status"])
}

#[test]
fn an_empty_home_shows_what_to_do() {
    let home = Home::new();
    let before = home.everything();
    let ran = status(&home).expect_code(1);
    assert!(ran.stdout.contains("✗ listener   no listener runs"), "{}", ran.everything());
    assert!(ran.stdout.contains("→ create-backrest-pipe\n"), "{}", ran.everything());
    assert_eq!(home.everything(), before, "it only looks");
}

#[test]
fn what_is_proposed_works_on_the_same_folders() {
    let home = Home::new();
    let elsewhere = home.sandbox.path("else where");
    fs::create_dir(&elsewhere).unwrap();
    let ran = home.run(&["status", "--container-root", elsewhere.to_str().unwrap()]).expect_code(1);
    let flag = format!(" --container-root '{}'\n", elsewhere.display());
    for command in ["→ create-backrest-pipe", "→ build-ignore"] {
        assert!(ran.stdout.contains(&format!("{command}{flag}")), "{}", ran.everything());
    }
}

#[test]
fn what_was_set_up_is_good() {
    let home = Home::new();
    home.set_up();
    for name in ["bridge", "listener", "socket", "client", "settings", "disk"] {
        let states = states(&home, name);
        assert!(
            !states.is_empty() && states.iter().all(|state| state == "good"),
            "{name}: {}",
            status(&home).everything()
        );
    }
}

#[test]
fn a_disk_with_too_little_room_is_found() {
    let home = Home::new();
    let script = r#"mount -t tmpfs -o size=64m none "$HOME/data" && exec "$0" status"#;
    let mut command = home.sandbox.command("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", script]);
    let ran = home.sandbox.run(command.arg(home.sandbox.path(".local/bin/create-backrest-pipe")));
    let data = home.sandbox.path("data");
    let expected = format!("✗ disk       only 64 MiB free at {}: dumps may not fit", data.display());
    assert!(ran.stdout.contains(&expected) && ran.stdout.contains("→ make room"), "{}", ran.everything());
}

/// A replacement, because the clock of a machine that tests run on may not be synchronised.
#[test]
fn a_clock_that_is_not_synchronised_is_found() {
    let home = Home::new();
    for (answer, sign) in [("no", "✗ clock"), ("yes", "✓ clock")] {
        home.sandbox.script("bin/timedatectl", format!("#!/bin/sh\n[ \"$1\" = show ] && echo {answer}\n"));
        let path = format!("{}:/usr/bin:/bin", home.sandbox.path("bin").display());
        let ran = home.sandbox.run(home.tool(&["status"]).env("PATH", path));
        assert!(ran.stdout.contains(sign), "{}", ran.everything());
    }
}

#[test]
fn a_lost_fifo_is_found_and_fixed() {
    let home = Home::new();
    home.set_up();
    // A listener that runs would make it again at once.
    let listener = home.listener().unwrap();
    kill(Pid::from_raw(listener), Signal::SIGKILL).unwrap();
    wait_until("the listener is gone", || home.listener().is_none());
    fs::remove_file(home.backrest("bridge/backrest-pipe")).unwrap();
    assert_eq!(states(&home, "bridge"), ["bad"]);
    home.set_up();
    assert_eq!(states(&home, "bridge"), ["good"]);
    // Both fix it, and the second one has nothing to do.
    fs::remove_file(home.backrest("bridge/backrest-pipe")).unwrap();
    home.set_up();
    assert_eq!(states(&home, "bridge"), ["good"]);
}

#[test]
fn a_client_that_was_changed_is_found() {
    let home = Home::new();
    home.set_up();
    home.sandbox
        .script("containers/backrest/bridge/backrest-send", "#!/bin/sh\necho hostile > \"$HOME/ran\"\n");
    assert_eq!(states(&home, "client"), ["bad"]);
    assert!(!home.sandbox.path("ran").exists(), "what lies in the bridge is never run here");
}

#[test]
fn a_lost_crontab_line_is_found() {
    let home = Home::new();
    home.set_up();
    home.set_crontab("# nothing\n");
    let ran = status(&home).expect_code(1);
    assert!(ran.stdout.contains("the listener's line is not in your crontab"), "{}", ran.everything());
}

#[test]
fn a_line_of_the_env_file_that_is_not_used_is_named() {
    let home = Home::new();
    home.sandbox.write("containers/backrest/.env", "TZ=UTC\nDATA_DIR='unclosed\n");
    let ran = status(&home).expect_code(1);
    assert!(ran.stdout.contains(".env:2:"), "{}", ran.everything());
}

#[test]
fn the_plans_hooks_are_looked_for_in_backrests_configuration() {
    let home = Home::new();
    let plan = |rest: &str| {
        let text = format!(
            r#"{{"plans":[{{"id":"p","repo":"r","paths":["/userdata"]{rest}}}],
            "repos":[{{"id":"r","password":"never-shown"}}]}}"#
        );
        home.sandbox.write("data/backrest/config/config.json", text);
    };
    plan("");
    assert_eq!(states(&home, "hooks"), ["bad"]);
    let ran = home.run(&["hooks", "--tailscale", "no"]).expect_success();
    let hooks: Value = serde_json::from_str(&ran.stdout).unwrap();
    plan(&format!(r#","hooks":{},"backup_flags":{}"#, hooks["plan"]["hooks"], hooks["plan"]["backup_flags"]));
    assert_eq!(states(&home, "hooks"), ["good"]);
    // Where the plan looks for the ignore file counts, too.
    home.sandbox.write("containers/backrest/.env", "IGNORE_FILE=other.txt\n");
    let lacks = "✗ hooks      plan \"p\" lacks the backup flag --exclude-file=/userdata/containers/backrest/other.txt";
    assert!(status(&home).stdout.contains(lacks), "{}", status(&home).everything());
    assert!(!status(&home).everything().contains("never-shown"));
}

#[test]
fn the_running_backrest_is_asked_where_its_file_belongs_to_root() {
    let (home, server) = (Home::new(), Server::start());
    let ask = |arguments: &[&str]| {
        home.run(&[&["status", "--backrest", server.address.as_str()], arguments].concat()).stdout
    };
    assert!(ask(&[]).contains("✗ hooks      plan \"nightly\" lacks hooks"), "{}", ask(&[]));
    let apply = ["hooks", "--apply", &server.address, "--plan", "nightly", "--yes", "--tailscale", "yes"];
    home.run(&apply).expect_success();
    assert!(ask(&[]).contains("✓ hooks      plan \"nightly\" has the hooks"));
    server.state.lock().unwrap().is_closed = true;
    assert!(ask(&[]).contains("→ log in: --user NAME"));
    let file = home.sandbox.write("password", LOGIN.1);
    let answer = ask(&["--user", LOGIN.0, "--password-file", file.to_str().unwrap()]);
    assert!(answer.contains("✓ hooks") && !answer.contains(REPOSITORY_PASSWORD), "{answer}");
}

#[test]
fn the_container_is_asked_with_docker() {
    let home = Home::new();
    home.set_up();
    // No Docker engine runs here: this answers as `docker` does for a container that has, or has not, the mount.
    let answer = |running: bool, mounts: &str, ping: &str| {
        home.sandbox.script(
            "programs/docker",
            format!("#!/bin/sh\ncase $1 in\nps) echo 0123 ;;\ninspect) cat <<'E'\n[{{\"Id\":\"0123\",\"Name\":\"/backrest\",\"State\":{{\"Running\":{running}}},\"Mounts\":[{mounts}]}}]\nE\n;;\nexec) {ping} ;;\nesac\n"),
        );
    };
    let docker = |mounts: &str, ping: &str| answer(true, mounts, ping);
    let ask = || {
        let mut command = home.tool(&["status"]);
        let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", home.sandbox.path("programs").display());
        home.sandbox.run(command.env("PATH", path)).stdout
    };
    // In any language.
    let fails =
        "#!/bin/sh\n[ $1 = context ] && exec echo unix:///nonexistent\necho 'kein Docker' >&2; exit 1\n";
    home.sandbox.script("programs/docker", fails);
    assert!(ask().contains("✗ container  Docker does not run: docker ps"), "{}", ask());
    docker("", "");
    assert!(ask().contains("✗ container  no container has the bridge mounted"));
    let mount = format!(r#"{{"Source":"{}","Destination":"/bridge"}}"#, home.backrest("bridge").display());
    answer(false, &mount, "exit 1");
    let stopped = ask();
    assert!(stopped.contains("✗ container  backrest has the bridge mounted, but does not run"), "{stopped}");
    assert!(stopped.contains("→ docker compose up --detach (in "), "{stopped}");
    docker(&mount, "exit 69");
    assert!(ask().contains("✗ container  from within backrest: docker exec"));
    docker(&mount, "exit 0");
    let answer = ask();
    assert!(answer.contains("✓ container  the listener answers from within backrest"), "{answer}");
    let data = home.sandbox.path("data").display().to_string();
    assert!(
        answer.contains(&format!("✗ container  backrest does not see {data} at /userdata/data")),
        "{answer}"
    );
    assert!(answer.contains(&format!("→ add `- {data}:/userdata/data:ro` to")), "{answer}");
    // One mount for both will do.
    let both =
        format!(r#"{mount},{{"Source":"{}","Destination":"/userdata"}}"#, home.sandbox.home().display());
    docker(&both, "exit 0");
    let sees = ask();
    assert!(sees.contains("✓ container  backrest sees both roots"), "{sees}");
    assert!(!sees.contains("docker compose does not work"), "{sees}");
    let with_compose = home.sandbox.read("programs/docker");
    home.sandbox
        .script("programs/docker", with_compose.replace("case $1 in", "case $1 in compose) exit 1;;"));
    assert!(ask().contains("✗ container  docker compose does not work"), "{}", ask());
    let fifo = format!(
        r#"{mount},{{"Source":"{}","Destination":"/backrest-pipe"}}"#,
        home.backrest("backrest-pipe").display()
    );
    docker(&fifo, "echo 1");
    assert!(ask().contains("still has an older FIFO at /backrest-pipe"));
}

#[test]
fn an_engine_that_may_not_be_asked_is_not_taken_for_stopped() {
    let home = Home::new();
    let socket = home.sandbox.path("docker.sock");
    let _engine = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).unwrap();
    let docker = format!("[ $1 = context ] && exec echo unix://{}\nexit 1", socket.display());
    let ran = status_of_ordinary_user(&home, &[("docker", &docker), ("crontab", "exit 1")]);
    assert!(ran.stdout.contains("? container  not checked: "), "{}", ran.everything());
    assert!(ran.stdout.contains("sudo usermod --append --groups docker $USER"), "{}", ran.everything());
}

/// The one who runs the tests, or another if that is root, who needs no right.
#[track_caller]
fn ordinary_user() -> nix::unistd::User {
    let own = nix::unistd::geteuid();
    nix::unistd::User::from_uid(if own.is_root() { 65534.into() } else { own }).unwrap().unwrap()
}

/// What `status` prints if `programs` are first in PATH.
#[must_use]
#[track_caller]
fn status_of_ordinary_user(home: &Home, programs: &[(&str, &str)]) -> Ran {
    for (name, text) in programs {
        home.sandbox.script(format!("programs/{name}"), format!("#!/bin/sh\n{text}\n"));
    }
    fs::set_permissions(home.sandbox.home().parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let user = ordinary_user();
    let mut command = home.sandbox.command("setpriv");
    if nix::unistd::geteuid().is_root() {
        command.args(["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string(), "--clear-groups"]);
    }
    command.arg(home.sandbox.path(".local/bin/create-backrest-pipe")).arg("status");
    let path = format!("{}:/usr/bin:/bin", home.sandbox.path("programs").display());
    home.sandbox.run(command.env("PATH", path))
}

#[test]
fn the_right_to_change_the_network_is_looked_for() {
    let home = Home::new();
    // These answer as `tailscale`, `sudo` and `crontab` do, from what lies in the home.
    let tailscale = r#"[ "$1" = debug ] && exec cat "$HOME/prefs"; exec cat "$HOME/status""#;
    let scripts = [("tailscale", tailscale), ("sudo", r#"[ -e "$HOME/sudo" ]"#), ("crontab", "exit 1")];
    let user = ordinary_user();
    let ask = |files: &[(&str, &str)]| {
        for (name, text) in files {
            home.sandbox.write(name, text);
        }
        let ran = status_of_ordinary_user(&home, &scripts);
        let line = ran.stdout.lines().find(|line| line.contains(" tailscale "));
        line.unwrap_or_else(|| panic!("{}", ran.everything())).to_string()
    };
    let down = ("status", r#"{"BackendState":"Stopped"}"#);
    assert!(ask(&[("prefs", "{}"), down]).starts_with("✗ tailscale  you may not bring it up and down"));
    let up = ("status", r#"{"BackendState":"Running"}"#);
    assert!(ask(&[up]).starts_with("? tailscale  it is up"));
    assert!(ask(&[("sudo", ""), down]).starts_with("✓ tailscale  sudo lets you"));
    let operator = format!(r#"{{"OperatorUser":"{}"}}"#, user.name);
    assert!(ask(&[("prefs", &operator)]).starts_with("✓ tailscale  you are its operator"));
}

#[test]
fn the_push_address_is_never_shown() {
    let home = Home::new();
    home.sandbox.write(
        "containers/backrest/.env",
        "UPTIME_KUMA_PUSH_URL=http://127.0.0.1:1/api/push/secret-token?status=up\n",
    );
    let ran = status(&home).expect_code(1);
    assert!(ran.stdout.contains("✗ kuma       Uptime Kuma does not answer"), "{}", ran.everything());
    assert!(!ran.everything().contains("secret-token"));
}

#[test]
fn the_log_shows_the_last_lines_and_nothing_that_steers_a_terminal() {
    let home = Home::new();
    let ran = home.run(&["log"]).expect_code(1);
    assert!(ran.stderr.contains("hint: start one"), "{}", ran.everything());
    home.sandbox.write("containers/backrest/logs/listener.log.1", "one\ntwo\n");
    home.sandbox.write("containers/backrest/logs/listener.log", "three \u{1b}[2J\nfour\n");
    let ran = home.run(&["log", "--lines", "3"]).expect_success();
    assert_eq!(ran.stdout, "two\nthree \\x1b[2J\nfour\n");
}
