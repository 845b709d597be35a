//! `docs/getting-started.md`: every command in it, typed in its order in a bare home.
//!
//! The programs come from an archive as `install.sh` wants it. `docker` answers as a client whose containers run, and
//! Backrest's page is the server of these tests; what a person does in it is done here instead. The page's last command
//! runs against the server that makes backups with real restic.

use std::fs;
use std::path::Path;

use common::testing::{built, copy_program, newest_restic};

use crate::backrest::Server;
use crate::home::Home;
use crate::verify::server::Server as BackupServer;
use crate::verify::world::OLD_ENOUGH;

/// Needs a backup, so it comes last.
const VERIFY: &str = "create-backrest-pipe verify --plan nightly";

const PROGRAMS: [&str; 3] = ["build-ignore", "pre-backup-actions", "new-container"];

/// Compose starts everything; a dump ends as pg_dump's do; Backrest's container has its mounts.
pub(crate) const DOCKER: &str = r#"#!/bin/sh
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
pub(crate) fn put_archive(home: &Home) {
    let folder = home.sandbox.path("backrest-helpers-0");
    fs::create_dir_all(folder.join("share")).unwrap();
    fs::create_dir(folder.join("bin")).unwrap();
    // Copies: tar fails if another test links or removes a file that it reads.
    for program in fs::read_dir(home.sandbox.path(".local/bin")).unwrap().flatten() {
        copy_program(program.path(), folder.join("bin").join(program.file_name()));
    }
    fs::remove_dir_all(home.sandbox.path(".local")).unwrap();
    for name in PROGRAMS {
        copy_program(built(name, name), folder.join("bin").join(name));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::create_dir(folder.join("share/backrest-helpers")).unwrap();
    for place in ["", "share/backrest-helpers"] {
        fs::copy(root.join("xtask/install.sh"), folder.join(place).join("install.sh")).unwrap();
    }
    let mut tar = home.sandbox.command("tar");
    home.sandbox
        .run(tar.args(["-I", "gzip -1", "-cf", "backrest-helpers-0.tar.gz", "backrest-helpers-0"]))
        .expect_success();
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
    let typed = |block: &str, address: &str| {
        let mut shell = home.with_crontabs("bash");
        shell.args(["-euo", "pipefail", "-c", &block.replace("http://localhost:9898", address)]);
        let path = [home.sandbox.path(".local/bin"), home.sandbox.path("programs")];
        let path = path.map(|folder| folder.display().to_string()).join(":");
        shell.env("PATH", format!("{path}:/usr/sbin:/usr/bin:/sbin:/bin"));
        home.sandbox.run(&mut shell)
    };
    let (last, blocks): (Vec<&str>, Vec<&str>) = blocks.partition(|block| *block == VERIFY);
    assert_eq!(last, [VERIFY]);
    for block in &blocks {
        let ran = typed(block, &server.address);
        // Whether cron runs is a matter of the machine.
        let wrong = ran.stdout.lines().filter(|line| line.starts_with('✗') && !line.starts_with("✗ reboot"));
        let is_good = ran.end.is_success() || block.starts_with("create-backrest-pipe status");
        assert!(is_good && wrong.count() == 0, "{block}\n{}", ran.everything());
    }
    let tried = blocks.len();
    assert!(tried >= 8, "only {tried} blocks were found");
    assert!(home.sandbox.path("data/wiki/database.sql.gz").is_file(), "the rehearsal made a dump");
    let ignored = home.sandbox.read("containers/backrest/ignorefile.txt");
    assert!(ignored.contains("/wiki/cache"), "{ignored}");
    assert!(server.config()["plans"][0]["hooks"].to_string().contains("pre-backups"));

    // The backup that the page has made in Backrest, with the hooks and the flag of the plan.
    let folder = home.sandbox.path("server");
    fs::create_dir(&folder).unwrap();
    let roots = [home.sandbox.path("data"), home.sandbox.path("containers")];
    let hooks = server.config()["plans"][0]["hooks"].clone();
    let backrest = BackupServer::start(&newest_restic(), &folder, &[&roots[0], &roots[1]], &hooks);
    backrest.init();
    let env = home.sandbox.read("containers/backrest/.env");
    // This restic runs on the host, so it sees the roots in the home.
    home.sandbox
        .write("containers/backrest/.env", format!("{env}BACKUP_MOUNT={}\n", home.sandbox.home().display()));
    let hook = || {
        let ran = typed("pre-backup-actions && build-ignore", &backrest.address);
        drop(ran.expect_success());
    };
    hook();
    std::thread::sleep(OLD_ENOUGH);
    let flag =
        format!("--exclude-file={}", home.sandbox.path("containers/backrest/ignorefile.txt").display());
    backrest.back_up(&[&flag], hook);
    let ran =
        typed(&format!("{VERIFY} --backrest http://localhost:9898"), &backrest.address).expect_success();
    assert!(ran.stdout.contains("1 of 1 dumps proved"), "{}", ran.everything());
}
