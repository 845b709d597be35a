//! MariaDB: dumped by the script as root with a password, restored into a second database.

use std::process::Command;

use super::Service;
use super::server::{Server, folder, output, works};

#[track_caller]
fn start() -> Server {
    let folder = folder(None);
    let place = folder.path().to_str().expect("UTF-8").to_string();
    let datadir = format!("--datadir={place}/data");
    let mut install = Command::new("mariadb-install-db");
    install.args([
        "--no-defaults",
        &datadir,
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--user=root",
    ]);
    // A server that starts removes the temporary tables of every other one in the same folder.
    output(install.env("TMPDIR", &place));
    let mut mariadbd = Command::new("mariadbd");
    mariadbd.args([
        "--no-defaults",
        &datadir,
        "--skip-networking",
        "--user=root",
        "--innodb-flush-log-at-trx-commit=0",
    ]);
    mariadbd.args([
        format!("--socket={place}/s"),
        format!("--pid-file={place}/pid"),
        format!("--tmpdir={place}"),
    ]);
    let ping = || {
        works(Command::new("mariadb-admin").args([
            "--no-defaults",
            "-u",
            "root",
            &format!("--socket={place}/s"),
            "ping",
        ]))
    };
    Server::start(&mut mariadbd, folder, ping)
}

#[test]
fn mariadb_is_dumped_and_restored_and_every_broken_dump_is_caught() {
    let service = Service::new("mariadb");
    let (name, password) = (service.env("DB_NAME"), service.env("DB_ROOT_PASSWORD"));
    let server = start();
    let socket = server.folder.path().join("s").to_str().expect("UTF-8").to_string();
    let client = [("MYSQL_UNIX_PORT", socket.as_str()), ("MYSQL_PWD", &password)];
    let mut set_password = Command::new("mariadb");
    set_password.args(["--no-defaults", "-u", "root", &format!("--socket={socket}"), "-e"]);
    output(set_password.arg(format!("ALTER USER root@localhost IDENTIFIED BY '{password}'; CREATE DATABASE {name}; CREATE DATABASE restored")));
    let sql = |database: &str, text: &str| {
        output(
            Command::new("mariadb")
                .args(["--no-defaults", "-u", "root", "-D", database, "-B", "-e", text])
                .envs(client),
        )
    };
    sql(
        &name,
        "CREATE TABLE t (id INT PRIMARY KEY, text TEXT, bytes BLOB); \
        INSERT INTO t SELECT seq, CONCAT(REPEAT(MD5(seq), 20), ' \\\\ '' \\t\\n ü'), UNHEX(MD5(seq)) FROM seq_1_to_20000; \
        CREATE PROCEDURE p() SELECT 1; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.text = 'x'",
    );
    let container = |password: &str| {
        service.container(&[
            ("MYSQL_UNIX_PORT", &socket),
            ("MARIADB_DATABASE", &name),
            ("MARIADB_ROOT_PASSWORD", password),
        ]);
    };
    container(&password);
    // The container's own client finds its server by itself; ours needs its address.
    let client_of = |before: &str, after: &str| {
        format!("#!/bin/sh\n{before}/usr/bin/mariadb-dump --no-defaults --socket='{socket}' \"$@\"{after}\n")
    };
    service.with_program("mariadb-dump", &client_of("exec ", ""));

    let ran = service.prepare(&[]).expect_success();
    assert!(ran.stdout.ends_with("\n1 ok\n"), "{}", ran.everything());
    service.with_program(
        "mariadb",
        &format!("#!/bin/sh\nexec /usr/bin/mariadb --no-defaults --socket='{socket}' \"$@\"\n"),
    );
    service.container(&[("MARIADB_DATABASE", "restored"), ("MARIADB_ROOT_PASSWORD", &password)]);
    service.restore(" mariadb ");
    let rows = |database: &str| sql(database, "SELECT id, HEX(text), HEX(bytes) FROM t ORDER BY id");
    assert!(rows(&name).lines().count() > 20_000 && rows(&name) == rows("restored"));
    let routines = sql(
        "restored",
        "SELECT routine_name FROM information_schema.routines WHERE routine_schema = 'restored'",
    );
    assert!(routines.contains('p'), "{routines}");

    let dump = "database.sql.gz";
    container("wrong");
    service.is_refused(dump, &[], "exit code");
    container(&password);
    service.with_full_disk(|| service.is_refused(dump, &[], "exit code"));
    service.with_program("mariadb-dump", &client_of("", " | head -c 300000\nkill -KILL $$"));
    service.is_refused(dump, &[], "exit code");
    service.with_program("mariadb-dump", &client_of("", " | head -c 300000"));
    service.is_refused(dump, &[], "dump is damaged");
    service.with_program("mariadb-dump", &client_of("exec ", ""));
    drop(server);
    service.is_refused(dump, &[], "exit code");
}

/// An existing server may hold databases that its variables do not name.
#[test]
fn an_adopted_server_is_dumped_whole() {
    let service = Service::new("mariadb");
    service.adopt();
    let servers = [start(), start()];
    let socket = |server: &Server| server.folder.path().join("s").to_str().expect("UTF-8").to_string();
    let sql = |server: &Server, text: &str| {
        let mut client = Command::new("mariadb");
        client.args([
            "--no-defaults",
            "-u",
            "root",
            &format!("--socket={}", socket(server)),
            "-B",
            "-e",
            text,
        ]);
        output(client.env("MYSQL_PWD", "secret"))
    };
    for server in &servers {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-u", "root", &format!("--socket={}", socket(server)), "-e"]);
        output(client.arg("ALTER USER root@localhost IDENTIFIED BY 'secret'"));
    }
    for name in ["one", "two"] {
        sql(
            &servers[0],
            &format!("CREATE DATABASE {name}; USE {name}; CREATE TABLE t SELECT seq FROM seq_1_to_1000"),
        );
    }
    service.container(&[("MYSQL_ROOT_PASSWORD", "secret")]);
    for name in ["mariadb-dump", "mariadb"] {
        let server = &servers[usize::from(name == "mariadb")];
        let socket = socket(server);
        service.with_program(
            name,
            &format!("#!/bin/sh\nexec /usr/bin/{name} --no-defaults --socket='{socket}' \"$@\"\n"),
        );
    }
    let ran = service.prepare(&[]).expect_success();
    assert!(ran.stdout.ends_with("\n1 ok\n"), "{}", ran.everything());
    service.restore(" mariadb --user=root\n");
    for name in ["one", "two"] {
        let count = format!("SELECT COUNT(*), SUM(seq) FROM {name}.t");
        assert_eq!(sql(&servers[0], &count), sql(&servers[1], &count));
    }
}
