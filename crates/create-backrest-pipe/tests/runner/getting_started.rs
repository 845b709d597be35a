//! `docs/getting-started.md`: every command in it, typed in its order in a bare home.
//!
//! The programs come from an archive as `install.sh` wants it. `docker` answers as a client whose containers run, and
//! Backrest's page is the server of these tests. What a person does in the web page can't be typed, so it is not tried here.

use std::fs;
use std::path::Path;

use common::testing::{built, copy_program};

use crate::backrest::Server;
use crate::home::Home;

/// Verified against a server that runs restic, in the tests of `verify`.
const TRIED_THERE: &str = "create-backrest-pipe verify --plan nightly";

const PROGRAMS: [&str; 3] = ["build-ignore", "pre-backup-actions", "new-container"];

/// Compose starts everything; a dump ends as pg_dump's do; Backrest's container has its mounts.
const DOCKER: &str = r#"#!/bin/sh
case "$*" in
    'compose exec -T database sh -c '*) printf -- '--\n-- PostgreSQL database dump\n--\n\n--\n-- PostgreSQL database dump complete\n--\n' ;;
    'ps '*) echo 0123 ;;
    'inspect '*)
        c=$HOME/containers d=$HOME/data
        mount() { printf '{"Source":"%s","Destination":"%s","RW":%s}' "$1" "$2" "$3"; }
        printf '[{"Id":"0123","Name":"/backrest","State":{"Running":true},"Mounts":[%s,%s,%s]}]\n' \
            "$(mount "$c/backrest/bridge" /bridge true)" "$(mount "$d" /userdata/data false)" \
            "$(mount "$c" /userdata/containers false)" ;;
esac
"#;

/// The archive, with the programs as they were built.
#[track_caller]
fn put_archive(home: &Home) {
    let folder = home.sandbox.path("backrest-helpers-0");
    fs::create_dir_all(folder.join("share")).unwrap();
    fs::rename(home.sandbox.path(".local/bin"), folder.join("bin")).unwrap();
    fs::remove_dir_all(home.sandbox.path(".local")).unwrap();
    for name in PROGRAMS {
        copy_program(built(name, name), folder.join("bin").join(name));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::copy(root.join("xtask/install.sh"), folder.join("install.sh")).unwrap();
    let mut tar = home.sandbox.command("tar");
    home.sandbox.run(tar.args(["-czf", "backrest-helpers-0.tar.gz", "backrest-helpers-0"])).expect_success();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_command_of_the_page_works_in_a_bare_home() {
    let home = Home::new();
    put_archive(&home);
    for root in ["containers", "data"] {
        fs::remove_dir_all(home.sandbox.path(root)).unwrap();
    }
    let server = Server::start();
    // A plan as the page has just made it.
    server.state.lock().unwrap().config["plans"][0]["hooks"] = serde_json::json!([]);
    home.sandbox.script("programs/docker", DOCKER);
    let page = include_str!("../../../../docs/getting-started.md");
    let blocks = page.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let mut tried = 0;
    for block in blocks.filter(|block| *block != TRIED_THERE) {
        let typed = block.replace("http://localhost:9898", &server.address);
        let mut shell = home.with_crontabs("bash");
        shell.args(["-euo", "pipefail", "-c", &typed]);
        let path = [home.sandbox.path(".local/bin"), home.sandbox.path("programs")];
        let path = path.map(|folder| folder.display().to_string()).join(":");
        shell.env("PATH", format!("{path}:/usr/sbin:/usr/bin:/sbin:/bin"));
        let ran = home.sandbox.run(&mut shell);
        // Whether cron runs is a matter of the machine.
        let wrong = ran.stdout.lines().filter(|line| line.starts_with('✗') && !line.starts_with("✗ reboot"));
        let is_good = ran.end.is_success() || block.starts_with("create-backrest-pipe status");
        assert!(is_good && wrong.count() == 0, "{block}\n{}", ran.everything());
        tried += 1;
    }
    assert!(tried >= 8, "only {tried} blocks were found");
    assert!(home.sandbox.path("data/wiki/database.sql.gz").is_file(), "the rehearsal made a dump");
    let ignored = home.sandbox.read("containers/backrest/ignorefile.txt");
    assert!(ignored.contains("/wiki/cache"), "{ignored}");
    assert!(server.config()["plans"][0]["hooks"].to_string().contains("pre-backups"));
}
