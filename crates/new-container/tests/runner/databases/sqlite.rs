//! SQLite: copied by the script while another program writes.

use std::io::Write;
use std::process::{Command, Stdio};

use super::Service;
use super::server::output;

#[test]
fn sqlite_is_copied_while_it_is_written_to_and_every_broken_dump_is_caught() {
    let service = Service::new("sqlite");
    let ran = service.prepare(&[]).expect_code(1);
    assert!(ran.stdout.contains("put the database's name into prepare-backup.sh\n"), "{}", ran.everything());
    assert!(!service.path("data/app.db").exists(), "no empty database is made");

    std::fs::create_dir(service.path("data")).unwrap();
    let live = service.path("data/app.db");
    let sql = |path: &std::path::Path, text: &str| {
        output(Command::new("sqlite3").args(["-batch", "-bail"]).arg(path).arg(text))
    };
    sql(
        &live,
        "PRAGMA journal_mode=wal; CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT); \
        WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 20000) INSERT INTO t SELECT n, hex(randomblob(60)) FROM c;",
    );
    // A service that has it open, with changes that are in its journal only.
    let mut writer =
        Command::new("sqlite3").arg(&live).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut typed = writer.stdin.take().unwrap();
    typed
        .write_all(b"PRAGMA wal_autocheckpoint=0; INSERT INTO t VALUES (100000, 'new'); SELECT 'written';\n")
        .unwrap();
    let mut printed = std::io::BufReader::new(writer.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("written") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut printed, &mut line).unwrap() > 0, "the writer exited");
    }

    let ran = service.prepare(&[]).expect_success();
    assert!(ran.stdout.ends_with("\n1 ok\n"), "{}", ran.everything());
    let rows = |path: &std::path::Path| sql(path, "SELECT * FROM t ORDER BY id");
    let dump = "database.sqlite";
    assert!(rows(&live).contains("100000|new\n") && rows(&live) == rows(&service.path(dump)));

    service.with_program("sqlite3", "#!/bin/sh\n/usr/bin/sqlite3 \"$@\"; s=$?\n[ -f database.sqlite ] && truncate -s 500000 database.sqlite\nexit $s\n");
    service.is_refused(dump, &[], "dump is damaged");
    service.with_program("sqlite3", "#!/bin/sh\nkill -KILL $$\n");
    service.is_refused(dump, &[], "exit code 137");
    service.without_program("sqlite3");
    drop(typed);
    writer.wait().unwrap();
    service.with_full_disk(|| service.is_refused(dump, &[], "exit code"));

    // Restored over a database with a journal that is not its own.
    let dumped = rows(&service.path(dump));
    output(Command::new("cp").arg(&live).arg(service.path("data/other.db")));
    let other = service.path("data/other.db");
    sql(&other, "PRAGMA journal_mode=wal; DELETE FROM t WHERE id > 5;");
    let mut journal = b"not a journal of this database".to_vec();
    journal.resize(4096, 7);
    for name in ["data/app.db-wal", "data/app.db-shm"] {
        std::fs::write(service.path(name), &journal).unwrap();
    }
    std::fs::rename(&other, &live).unwrap();
    service.sandbox.script("bin/on-stop", "#!/bin/sh\n");
    service.sandbox.script("bin/on-start", "#!/bin/sh\ntest ! -e \"$HOME/data/app/data/app.db-wal\"\n");
    service.restore("wiki.db-wal");
    assert_eq!(rows(&live), dumped);

    std::fs::rename(&live, service.path("data/gone")).unwrap();
    service.is_refused(dump, &[], "exit code 1");
}
