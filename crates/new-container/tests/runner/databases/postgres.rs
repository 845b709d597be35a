//! PostgreSQL: a cluster with passwords on, dumped by the script, restored into a second database.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Service;
use super::server::{Server, command_as, folder, output, works};

/// Debian keeps the server's programs of each version in a folder of its own.
#[track_caller]
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("package postgresql is installed");
    let mut found: Vec<_> = versions
        .flatten()
        .map(|entry| entry.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| panic!("package postgresql is installed: no {name}"))
}

#[track_caller]
fn start(user: &str, password: &str) -> Server {
    let folder = folder(Some("postgres"));
    let place = folder.path().to_str().expect("UTF-8").to_string();
    let secret = folder.path().join("secret");
    fs::write(&secret, password).expect("write the password");
    let mut initdb = command_as("postgres", program("initdb"));
    initdb.current_dir("/").args([
        "-D",
        &format!("{place}/data"),
        "-U",
        user,
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
    ]);
    output(initdb.args(["--no-locale", "--no-sync", "--pwfile"]).arg(&secret));
    let mut postgres = command_as("postgres", program("postgres"));
    postgres.current_dir("/").args(["-D", &format!("{place}/data"), "-k", &place]);
    postgres.args(["-c", "listen_addresses=", "-c", "fsync=off"]);
    Server::start(&mut postgres, folder, || works(Command::new("pg_isready").args(["-q", "-h", &place])))
}

const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, text text, bytes bytea); \
     INSERT INTO t SELECT n, repeat(md5(n::text), 20) || E' \\\\ '' \\t\\n ü', decode(md5(n::text), 'hex') \
     FROM generate_series(1, 20000) n; CREATE VIEW v AS SELECT count(*) FROM t;";

/// A server with the service's user and its database, which holds [`ROWS`].
struct Filled {
    server: Server,
    user: String,
    name: String,
    password: String,
}

impl Filled {
    #[track_caller]
    fn new(service: &Service) -> Filled {
        let (user, name) = (service.env("DB_USER"), service.env("DB_NAME"));
        let password = service.env("DB_PASSWORD");
        let server = start(&user, &password);
        let filled = Filled { server, user, name, password };
        filled.sql("postgres", &format!("CREATE DATABASE {}", filled.name));
        filled.sql(&filled.name, ROWS);
        filled
    }

    /// The folder of its socket.
    #[track_caller]
    fn socket(&self) -> &str {
        self.server.folder.path().to_str().expect("UTF-8")
    }

    /// What a client needs to know.
    #[track_caller]
    fn client(&self) -> [(&str, &str); 3] {
        [("PGHOST", self.socket()), ("PGUSER", &self.user), ("PGPASSWORD", &self.password)]
    }

    #[track_caller]
    fn sql(&self, database: &str, text: &str) -> String {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text]);
        output(psql.envs(self.client()))
    }
}

#[test]
fn postgres_is_dumped_and_restored_and_every_broken_dump_is_caught() {
    let service = Service::new("postgres");
    let filled = Filled::new(&service);
    let Filled { name, password, .. } = &filled;
    let container = |name: &str, password: &str| {
        service.container(&[
            ("PGHOST", filled.socket()),
            ("POSTGRES_USER", &filled.user),
            ("POSTGRES_DB", name),
            ("POSTGRES_PASSWORD", password),
        ]);
    };
    container(name, password);

    let ran = service.prepare(&[]).expect_success();
    assert!(ran.stdout.ends_with("\n1 ok\n"), "{}", ran.everything());
    assert!(!ran.stdout.contains(password.as_str()));
    filled.sql("postgres", "CREATE DATABASE restored");
    container("restored", password);
    // Over what is there already it does the same.
    for _ in 0..2 {
        service.restore(" psql ");
    }
    container(name, password);
    let rows = |database: &str| {
        filled.sql(database, "COPY (SELECT * FROM t ORDER BY id) TO STDOUT; SELECT * FROM v;")
    };
    assert!(rows(name).lines().count() > 20_000 && rows(name) == rows("restored"));

    let dump = "database.sql.gz";
    container(name, "wrong");
    service.is_refused(dump, &[], "exit code");
    container(name, password);
    service.with_full_disk(|| service.is_refused(dump, &[], "exit code"));
    // Killed half way, and a script that hides it.
    service.with_program("pg_dump", "#!/bin/sh\n/usr/bin/pg_dump \"$@\" | head -c 300000\nkill -KILL $$\n");
    service.is_refused(dump, &[], "exit code");
    service.with_program("pg_dump", "#!/bin/sh\n/usr/bin/pg_dump \"$@\" | head -c 300000\n");
    service.is_refused(dump, &[], "dump is damaged");
    service.without_program("pg_dump");
    filled.sql(name, "DELETE FROM t WHERE id > 5000");
    service.is_refused(dump, &[], "dump has shrunk");
    drop(filled);
    service.is_refused(dump, &[], "exit code");
}

/// An existing server may hold databases and users that its variables do not name.
#[test]
fn an_adopted_server_is_dumped_whole() {
    let service = Service::new("postgres");
    let filled = Filled::new(&service);
    filled.sql("postgres", "CREATE ROLE reader PASSWORD 'x'; CREATE TABLE elsewhere AS SELECT 42 AS answer");
    service.adopt();
    // A password that Docker hands over as a file.
    let secret = service.sandbox.write("secret", &filled.password);
    service.container(&[
        ("PGHOST", filled.socket()),
        ("POSTGRES_USER", &filled.user),
        ("POSTGRES_PASSWORD_FILE", secret.to_str().expect("UTF-8")),
    ]);
    let ran = service.prepare(&[]).expect_success();
    assert!(ran.stdout.ends_with("\n1 ok\n"), "{}", ran.everything());

    let restored = Filled {
        server: start(&filled.user, &filled.password),
        user: filled.user.clone(),
        name: filled.name.clone(),
        password: filled.password.clone(),
    };
    service.container(&[
        ("PGHOST", restored.socket()),
        ("POSTGRES_USER", &filled.user),
        ("POSTGRES_PASSWORD", &filled.password),
    ]);
    service.restore(" postgres\n");
    let rows = "COPY (SELECT * FROM t ORDER BY id) TO STDOUT; SELECT * FROM v;";
    assert_eq!(filled.sql(&filled.name, rows), restored.sql(&filled.name, rows));
    let others = "SELECT answer FROM elsewhere; SELECT count(*) FROM pg_roles WHERE rolname = 'reader';";
    assert_eq!(filled.sql("postgres", others), restored.sql("postgres", others));
}

/// The format that `pg_restore` reads has no closing line, and its table of contents is at its beginning.
#[test]
fn an_archive_is_read_to_its_end() {
    let service = Service::new("postgres");
    let filled = Filled::new(&service);
    let Filled { name, password, .. } = &filled;
    service.container(&[
        ("PGHOST", filled.socket()),
        ("PGUSER", &filled.user),
        ("PGPASSWORD", password),
        ("PGDATABASE", name),
    ]);
    let dump = "database.dump";
    // A tar ends with two blocks of zeros, of which one is enough.
    for (format, too_much) in [("custom", 1), ("tar", 513)] {
        let script = format!(
            "#!/usr/bin/env bash\n# dump: database.dump kind=postgres\nset -euo pipefail\n\
             docker compose exec -T database pg_dump --format={format} > \"$DUMP_DIR/database.dump\"\n"
        );
        service.sandbox.script("data/app/prepare-backup.sh", script);
        let ran = service.prepare(&[]).expect_success();
        assert!(ran.stdout.ends_with("\n1 ok\n"), "nothing is left unproved\n{}", ran.everything());
        let whole = fs::metadata(service.path(dump)).expect("a dump").len();
        // Two archives of the same rows need not have the same length.
        for rest in [format!("-{too_much}"), (whole / 2).to_string(), "2000".to_string()] {
            let cut = format!("#!/bin/sh\n/usr/bin/pg_dump \"$@\" | head -c {rest}\n");
            service.with_program("pg_dump", &cut);
            service.is_refused(dump, &[], "dump is damaged");
        }
        service.without_program("pg_dump");
    }

    // The container's server may be newer than this host's client. The dump is not to blame.
    for message in
        ["unsupported version (1.99) in file header", "this build does not support compression with lz4"]
    {
        let older = format!("#!/bin/sh\necho 'pg_restore: error: {message}' >&2\nexit 1\n");
        service.with_program("pg_restore", &older);
        let ran = service.prepare(&[]).expect_success();
        assert!(
            ran.stdout.contains("a newer postgresql-client is needed to read the archive"),
            "{}",
            ran.everything()
        );
    }
}
