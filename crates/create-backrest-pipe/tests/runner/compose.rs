//! The compose file that the project offers for Backrest, read by the real `docker-compose`.

use std::fs;

use common::testing::{Ran, Sandbox};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../compose.yaml");

#[must_use]
#[track_caller]
fn config(sandbox: &Sandbox, text: &str) -> Ran {
    sandbox.write("containers/backrest/compose.yaml", text);
    let home = sandbox.home();
    let home = home.display();
    sandbox.write(
        "containers/backrest/.env",
        format!("CONTAINER_DIR={home}/containers/backrest\nDATA_DIR={home}/data/backrest\n"),
    );
    let mut command = sandbox.command("docker-compose");
    command.current_dir(sandbox.path("containers/backrest")).args(["--file", "compose.yaml", "config"]);
    sandbox.run(&mut command).expect_success()
}

/// The mounts as `source:target:mode`. docker-compose 1 prints them so, version 2 as several lines each.
#[track_caller]
pub(crate) fn mounts_of(ran: &Ran) -> Vec<String> {
    let (mut mounts, mut source) = (Vec::<String>::new(), "");
    for line in ran.stdout.lines().map(str::trim_start) {
        if let Some(short) = line.strip_prefix("- /") {
            mounts.push(format!("/{short}"));
        } else if let Some(path) = line.strip_prefix("source: ") {
            source = path;
        } else if let Some(path) = line.strip_prefix("target: /") {
            mounts.push(format!("{source}:/{path}:rw"));
        } else if line == "read_only: true" {
            let last = mounts.pop().expect("read_only after a mount");
            mounts.push(last.replace(":rw", ":ro"));
        }
    }
    mounts
}

#[test]
fn docker_compose_accepts_it_with_every_mount_that_backups_need() {
    let sandbox = Sandbox::new();
    let ran = config(&sandbox, &fs::read_to_string(FILE).unwrap());
    let home = sandbox.home();
    let mounts = [
        ("data/backrest/data", "/data:rw"),
        ("data/backrest/config", "/config:rw"),
        ("data/backrest/cache", "/cache:rw"),
        ("data/backrest/tmp", "/tmp:rw"),
        ("data/backrest/rclone", "/root/.config/rclone:rw"),
        ("data", "/userdata/data:ro"),
        ("containers", "/userdata/containers:ro"),
        ("backups", "/repos:rw"),
        ("containers/backrest/bridge", "/bridge:rw"),
    ];
    for (source, target) in mounts {
        let mount = format!("{}:{target}", home.join(source).display());
        assert!(mounts_of(&ran).contains(&mount), "{mount}\n{}", ran.everything());
    }
    for setting in ["BACKREST_DATA: /data", "BACKREST_CONFIG: /config/config.json", "TMPDIR: /tmp", "9898"] {
        assert!(ran.stdout.contains(setting), "{setting}\n{}", ran.everything());
    }
    assert!(!ran.stdout.contains("/root/.ssh"), "SSH is for those who need it");
}

#[test]
fn its_parts_that_are_comments_are_accepted_once_they_are_none() {
    let sandbox = Sandbox::new();
    let text = fs::read_to_string(FILE).unwrap().replace("      # - ", "      - ");
    let ran = config(&sandbox, &text);
    for mount in ["data/backrest/ssh:/root/.ssh:ro", "containers/backrest/backrest-pipe:/backrest-pipe:rw"] {
        let found = mounts_of(&ran).iter().any(|line| line.ends_with(mount));
        assert!(found, "{mount}\n{}", ran.everything());
    }
}
