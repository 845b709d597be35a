//! `--adopt`: what an existing service's backup lacks is shown, then added; nothing that is there changes.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::testing::{Sandbox, built};

use crate::make::tool;

const SHOP: &str = "services:
  shop: {image: shop:1}
  db:
    image: postgres:17
    volumes: ['${DATA_DIR}/db:/var/lib/postgresql/data']
  maria: {image: 'lscr.io/linuxserver/mariadb', volumes: ['sql:/config']}
  cache: {image: 'valkey/valkey:9'}
  queue: {image: redis, volumes: ['./queue:/data']}
  mongo: {image: mongo, volumes: ['${DATA_DIR}/mongo:/data/db']}
  metrics: {image: 'influxdb:2', volumes: ['${DATA_DIR}/influx:/var/lib/influxdb2']}
volumes: {sql: {}}
";

/// A service with every kind of database, and one SQLite file in use.
#[track_caller]
fn shop() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("containers/shop/compose.yaml", SHOP);
    sandbox.write("containers/shop/.env", format!("DATA_DIR={}\n", sandbox.path("data/shop").display()));
    for folder in ["data/shop/db", "data/shop/mongo", "data/shop/app", "containers/shop/queue"] {
        std::fs::create_dir_all(sandbox.path(folder)).unwrap();
    }
    let live = sandbox.path("data/shop/app/it's [x].db");
    let status =
        Command::new("sqlite3").arg(live).arg("create table t(a); insert into t values (1)").status();
    assert!(status.unwrap().success());
    sandbox
}

#[test]
fn it_is_shown_first_and_written_with_yes() {
    let sandbox = shop();
    let before = sandbox.tree();
    let shown = sandbox.run(&mut tool(&sandbox, &["shop", "--adopt"])).expect_success();
    assert_eq!(sandbox.tree(), before);
    assert!(
        shown.stderr.contains("hint: new-container shop --adopt --yes writes this"),
        "{}",
        shown.everything()
    );
    for part in [
        "found PostgreSQL in the container db, its files in db\n",
        "found MariaDB in the container maria, its files in the named volume sql\n",
        "note: cache keeps nothing on disk",
        "note: metrics (InfluxDB) has no dump script",
        "note: the named volume sql is in no backup; the dump maria.sql.gz is\n",
    ] {
        assert!(shown.stdout.contains(part), "{part}\n{}", shown.everything());
    }
    sandbox.run(&mut tool(&sandbox, &["shop", "--adopt", "--yes"])).expect_success();
    insta::assert_snapshot!("script", sandbox.read("data/shop/prepare-backup.sh"));
    insta::assert_snapshot!("rules", sandbox.read("data/shop/.resticignore"));
    assert!(sandbox.read("containers/shop/.resticignore").ends_with("\n/queue/\n"));
    let mode = std::fs::metadata(sandbox.path("data/shop/prepare-backup.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    // A second time nothing is missing.
    let before = sandbox.tree();
    let again = sandbox.run(&mut tool(&sandbox, &["shop", "--adopt", "--yes"])).expect_success();
    assert!(again.stdout.ends_with("nothing to add\n"), "{}", again.everything());
    assert_eq!(sandbox.tree(), before);
}

#[test]
fn the_script_is_clean_to_shellcheck_and_its_sqlite_part_works() {
    let sandbox = shop();
    sandbox.run(&mut tool(&sandbox, &["shop", "--adopt", "--yes"])).expect_success();
    let script = sandbox.path("data/shop/prepare-backup.sh");
    let mut command = sandbox.command("shellcheck");
    command.args(["--norc", "--enable=all", "--exclude=SC2154,SC2250,SC2310,SC2311,SC2312"]).arg(&script);
    sandbox.run(&mut command).expect_success();
    // A service with SQLite alone, run by pre-backup-actions: the dump is proved, the live file is left out.
    std::fs::remove_file(&script).unwrap();
    std::fs::remove_file(sandbox.path("data/shop/.resticignore")).unwrap();
    sandbox.write("containers/shop/compose.yaml", "services: {shop: {image: 'shop:1'}}\n");
    sandbox.run(&mut tool(&sandbox, &["shop", "--adopt", "--yes"])).expect_success();
    built("build-ignore", "build-ignore");
    let ran =
        sandbox.run(&mut sandbox.command(built("pre-backup-actions", "pre-backup-actions"))).expect_success();
    assert!(sandbox.path("data/shop/dump-app-it_s__x_.db").is_file(), "{}", ran.everything());
    let mut explain = sandbox.command(built("build-ignore", "build-ignore"));
    let ran = sandbox.run(explain.arg("--explain").arg(sandbox.path("data/shop/app/it's [x].db")));
    assert!(ran.stdout.contains("left out"), "{}", ran.everything());
}

#[test]
fn a_script_of_the_users_own_stays_and_no_rule_is_added() {
    for place in ["data", "containers"] {
        let sandbox = shop();
        sandbox.script(format!("{place}/shop/prepare-backup.sh"), "#!/bin/sh\ntrue\n");
        let before = sandbox.tree();
        let ran = sandbox.run(&mut tool(&sandbox, &["shop", "--adopt", "--yes"])).expect_success();
        assert!(ran.stdout.contains("stays as it is, and no rule is added"), "{}", ran.everything());
        assert_eq!(sandbox.tree(), before);
    }
}

#[test]
fn lines_of_the_users_own_stay_and_decide() {
    let sandbox = shop();
    let own = "# mine\n/mongo/*\n!/mongo/keep\n*.tmp";
    sandbox.write("data/shop/.resticignore", own);
    let ran = sandbox.run(&mut tool(&sandbox, &["shop", "--adopt", "--yes"])).expect_success();
    let rules = sandbox.read("data/shop/.resticignore");
    assert!(rules.starts_with(&format!("{own}\n#")) && rules.contains("\n/db/\n"), "{rules}");
    assert!(!rules.contains("\n/mongo/\n"), "{rules}\n{}", ran.everything());
}

#[test]
fn the_stop_pair_can_be_added_as_well() {
    let sandbox = shop();
    sandbox.run(&mut tool(&sandbox, &["shop", "--adopt", "--stop", "--yes"])).expect_success();
    assert!(sandbox.read("data/shop/after-backup.sh").contains("Brings each container of shop back"));
    assert_eq!(sandbox.read("data/shop/.resticignore").lines().last(), Some("/.stopped-for-backup*"));
}

/// Database images own their data folder: a script in it would be refused.
#[test]
fn if_another_user_owns_the_data_folder_the_script_goes_to_the_container_folder() {
    let sandbox = shop();
    std::os::unix::fs::chown(sandbox.path("data/shop"), Some(999), Some(999)).unwrap();
    sandbox.run(&mut tool(&sandbox, &["shop", "--adopt", "--yes"])).expect_success();
    assert!(sandbox.path("containers/shop/prepare-backup.sh").is_file());
}

#[test]
fn a_service_without_a_compose_file_is_an_error() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&mut tool(&sandbox, &["shop", "--adopt"])).expect_code(1);
    assert!(
        ran.stderr.ends_with("no compose file\nhint: make a new service: new-container shop\n"),
        "{}",
        ran.everything()
    );
    sandbox.run(&mut tool(&sandbox, &["shop", "--adopt", "--image", "x"])).expect_code(2);
}

#[test]
fn a_service_that_exists_may_have_any_name() {
    for name in ["Nextcloud", "my photos", "it's", "a\nb"] {
        let sandbox = Sandbox::new();
        sandbox.write(format!("containers/{name}/compose.yaml"), "services: {db: {image: 'postgres:17'}}\n");
        std::fs::create_dir_all(sandbox.path(format!("data/{name}"))).unwrap();
        let shown = sandbox.run(&mut tool(&sandbox, &[name, "--adopt"])).expect_success();
        assert_eq!(shown.stderr.lines().filter(|line| line.starts_with("hint: ")).count(), 1, "{name}");
        sandbox.run(&mut tool(&sandbox, &[name, "--adopt", "--yes"])).expect_success();
        let script = sandbox.path(format!("data/{name}/prepare-backup.sh"));
        let checked = Command::new("shellcheck").arg(&script).status().unwrap();
        assert!(checked.success(), "{name}: {}", std::fs::read_to_string(script).unwrap());
        sandbox.run(&mut tool(&sandbox, &[name])).expect_code(2);
    }
}

#[test]
fn a_slip_in_the_name_is_answered_with_the_service_that_was_meant() {
    let sandbox = shop();
    let ran = sandbox.run(&mut tool(&sandbox, &["Shpo", "--adopt"])).expect_code(1);
    assert!(ran.stderr.ends_with("hint: did you mean: new-container shop --adopt\n"), "{}", ran.everything());
}

#[test]
fn a_compose_file_that_can_not_be_read_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.write("containers/app/compose.yaml", "services:\n  app: [\n");
    let ran = sandbox.run(&mut tool(&sandbox, &["app", "--adopt"])).expect_code(1);
    assert!(
        ran.stderr.contains("app/compose.yaml: no service in it can be read\nhint: "),
        "{}",
        ran.everything()
    );
}
