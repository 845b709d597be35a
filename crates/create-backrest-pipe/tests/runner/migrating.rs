//! `docs/migrating.md`: its commands, in a home in which the Bash scripts worked, there and back.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};

use common::testing::{Ran, wait_until};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::backrest::Server;
use crate::getting_started::{DOCKER, put_archive};
use crate::home::Home;
use crate::take_over::BASH_LISTENER;

const CRONTAB: &str = "@reboot ~/scripts/backrest-trigger.sh &\n0 2 * * * ~/scripts/build-ignorefile.sh\n";
const OLD_RULES: &str = "data/wiki/cache\n";

/// The blocks of commands below a heading of the page.
#[track_caller]
fn commands<const N: usize>(heading: &str) -> [&'static str; N] {
    let page = include_str!("../../../../docs/migrating.md");
    let (_, section) = page.split_once(heading).expect("the page has this section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.collect::<Vec<_>>().try_into().expect("it has this many blocks")
}

/// A home of the scripts; in the data root there is a script of each kind.
#[track_caller]
fn home_of_the_scripts() -> Home {
    let home = Home::new();
    put_archive(&home);
    home.sandbox.script("programs/docker", DOCKER);
    home.sandbox.script("scripts/backrest-trigger.sh", BASH_LISTENER);
    home.sandbox.script("scripts/build-ignorefile.sh", "#!/bin/bash\n");
    home.set_crontab(CRONTAB);
    mkfifo(&home.backrest("backrest-pipe"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    home.sandbox.write("containers/wiki/compose.yaml", "services:\n  wiki:\n    image: wiki\n");
    home.sandbox.write("data/wiki/.resticignore", "cache\n");
    for path in ["cache/1", "x/cache/2"] {
        home.sandbox.write(format!("data/wiki/{path}"), "12345");
    }
    home.sandbox.write("containers/backrest/ignorefile.txt", OLD_RULES);
    home.sandbox.write("containers/backrest/.env", "");
    fs::set_permissions(home.backrest(".env"), Permissions::from_mode(0o600)).unwrap();
    for (service, text, mode) in
        [("wiki", "#!/bin/sh\n", 0o755), ("plain", "#!/bin/sh\n", 0o644), ("bare", "echo dumped\n", 0o755)]
    {
        let script = home.sandbox.script(format!("data/{service}/prepare-backup.sh"), text);
        fs::set_permissions(script, Permissions::from_mode(mode)).unwrap();
    }
    let theirs = home.sandbox.script("data/theirs/prepare-backup.sh", "#!/bin/sh\n");
    chown(theirs, Some(999), None).unwrap();
    home
}

/// Types `commands` in a shell that goes on after a failure.
#[must_use]
#[track_caller]
fn types(home: &Home, server: &Server, commands: &str) -> Ran {
    let mut shell = home.with_crontabs("bash");
    // Here no person answers the question of `hooks`.
    let answered = format!("{} --yes", server.address);
    shell.args(["-c", &commands.replace("http://localhost:9898", &answered)]);
    let path = [home.sandbox.path(".local/bin"), home.sandbox.path("programs")];
    let path = path.map(|folder| folder.display().to_string()).join(":");
    shell.env("PATH", format!("{path}:/usr/sbin:/usr/bin:/sbin:/bin"));
    home.sandbox.run(&mut shell)
}

#[test]
fn the_commands_of_the_page_lead_there_and_back() {
    let home = home_of_the_scripts();
    let server = Server::start();
    let hook = serde_json::json!({ "conditions": ["CONDITION_SNAPSHOT_START"],
        "actionCommand": { "command": "echo pre-backups > /backrest-pipe" } });
    server.state.lock().unwrap().config["plans"][0]["hooks"] = serde_json::json!([hook]);

    let listener = r#"scripts/backrest-trigger.sh & until tr '\0' ' ' </proc/$!/cmdline | grep -q trigger; do sleep 0.01; done"#;
    let [there, hooks] = commands("## In short");
    let ran = types(&home, &server, &format!("{listener}\n{there}\n{hooks}"));
    for printed in [
        "by the rule cache (",
        "to leave out only what is at the top of the service, write: /cache\n",
        "the Bash listener that runs",
        "- @reboot ~/scripts/backrest-trigger.sh &",
        "in Backrest's compose.yaml, below `volumes:`, add",
        "✗ crontab    your crontab calls an old script",
        "it is held back until you agree",
    ] {
        assert!(ran.stdout.contains(printed), "no {printed:?}\n{}", ran.everything());
    }
    assert_eq!(home.sandbox.read("containers/backrest/ignorefile.txt.before-build-ignore"), OLD_RULES);
    wait_until("the Bash listener ends", || home.processes("backrest-trigger.sh").is_empty());
    home.expect_listeners(1);
    let wired = server.config()["plans"][0]["hooks"].to_string();
    assert!(!wired.contains("/backrest-pipe") && wired.contains("ON_ERROR_CANCEL"), "{wired}");
    assert!(fs::symlink_metadata(home.backrest("backrest-pipe")).unwrap().is_symlink());
    let alias = types(&home, &server, ". ~/.local/bin/dn.sh; alias dn").expect_success();
    assert!(alias.stdout.ends_with("/new-container'\n"), "{}", alias.stdout);

    let ran = types(&home, &server, "pre-backup-actions");
    for line in [
        "plain: warning: prepare-backup.sh is not executable, so it was skipped",
        "bare | dumped\n",
        "bare: warning: prepare-backup.sh has no #! line, so /bin/sh runs it",
        "theirs: failed: prepare-backup.sh belongs to user ",
    ] {
        assert!(ran.stdout.contains(line), "no {line:?}\n{}", ran.everything());
    }
    let listed = types(&home, &server, "pre-backup-actions --list").stdout;
    assert!(listed.contains("\ntheirs: prepare-backup.sh belongs to user "), "{listed}");
    let again = types(&home, &server, there);
    assert!(again.stdout.contains("Everything is in place"), "{}", again.everything());

    let [back] = commands("## Back to the scripts");
    let ran = types(&home, &server, back).expect_success();
    assert_eq!(home.crontab().as_deref(), Some(CRONTAB), "{}", ran.everything());
    assert_eq!(home.sandbox.read("containers/backrest/ignorefile.txt"), OLD_RULES);
    assert!(fs::symlink_metadata(home.backrest("backrest-pipe")).unwrap().file_type().is_fifo());
    assert_eq!(server.config()["plans"][0]["hooks"], serde_json::Value::Null);
    assert!(!home.sandbox.path(".local/bin/build-ignore").exists());
    home.expect_listeners(0);
}
