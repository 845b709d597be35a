//! What each database needs in compose.yaml, `.env` and `.resticignore`, and the script that dumps it. No I/O.

use crate::cli::Database;

/// One database's pieces of the four files.
pub(crate) struct Pieces {
    /// Its service in compose.yaml, without indentation.
    pub(crate) service: &'static str,
    /// Variables of `.env` beside the name and the user: each gets a password of its own.
    pub(crate) passwords: &'static [&'static str],
    /// Whether `.env` names a database and a user.
    pub(crate) has_user: bool,
    pub(crate) rules: &'static str,
    pub(crate) script: &'static str,
}

const LIVE_FILES: &str = "\
# The database changes these files while they are read; prepare-backup.sh makes a dump instead.
/database/
";

// From 18 on the image keeps each version's files in a folder of its own below this one.
const POSTGRES: &str = r#"
database:
  image: postgres:18
  restart: unless-stopped
  environment:
    POSTGRES_DB: ${DB_NAME}
    POSTGRES_USER: ${DB_USER}
    POSTGRES_PASSWORD: ${DB_PASSWORD}
  volumes:
    - ${DATA_DIR}/database:/var/lib/postgresql
"#;

const MARIADB: &str = r#"
database:
  image: mariadb:11.8
  restart: unless-stopped
  environment:
    MARIADB_DATABASE: ${DB_NAME}
    MARIADB_USER: ${DB_USER}
    MARIADB_PASSWORD: ${DB_PASSWORD}
    MARIADB_ROOT_PASSWORD: ${DB_ROOT_PASSWORD}
  volumes:
    - ${DATA_DIR}/database:/var/lib/mysql
"#;

const MYSQL: &str = r#"
database:
  image: mysql:8.4
  restart: unless-stopped
  environment:
    MYSQL_DATABASE: ${DB_NAME}
    MYSQL_USER: ${DB_USER}
    MYSQL_PASSWORD: ${DB_PASSWORD}
    MYSQL_ROOT_PASSWORD: ${DB_ROOT_PASSWORD}
  volumes:
    - ${DATA_DIR}/database:/var/lib/mysql
"#;

const MONGO: &str = r#"
database:
  image: mongo:8
  restart: unless-stopped
  environment:
    MONGO_INITDB_ROOT_USERNAME: ${DB_USER}
    MONGO_INITDB_ROOT_PASSWORD: ${DB_PASSWORD}
  volumes:
    - ${DATA_DIR}/database:/data/db
"#;

// Redis takes its configuration on standard input, so the password is in no argument list. The shell makes way for it:
// as process 1 a shell would not see TERM, and after ten seconds Docker would end both without the last snapshot.
const REDIS: &str = r#"
database:
  image: redis:8
  restart: unless-stopped
  command:
    - sh
    - -c
    - |
      exec redis-server - <<END
      requirepass $$REDIS_PASSWORD
      dir /data
      save 300 1
      END
  environment:
    REDIS_PASSWORD: ${DB_PASSWORD}
  volumes:
    - ${DATA_DIR}/database:/data
"#;

pub(crate) fn pieces(database: Database) -> Pieces {
    let server = |service, script| Pieces {
        service,
        passwords: &["DB_PASSWORD"],
        has_user: true,
        rules: LIVE_FILES,
        script,
    };
    let with_root = &["DB_PASSWORD", "DB_ROOT_PASSWORD"];
    match database {
        Database::Postgres => server(POSTGRES, include_str!("../templates/postgres.sh")),
        Database::Mongo => server(MONGO, include_str!("../templates/mongo.sh")),
        Database::Mariadb => {
            Pieces { passwords: with_root, ..server(MARIADB, include_str!("../templates/mariadb.sh")) }
        }
        Database::Mysql => {
            Pieces { passwords: with_root, ..server(MYSQL, include_str!("../templates/mysql.sh")) }
        }
        Database::Redis => Pieces { has_user: false, ..server(REDIS, include_str!("../templates/redis.sh")) },
        Database::Sqlite => Pieces {
            service: "",
            passwords: &[],
            has_user: false,
            rules: "\
# The live database; prepare-backup.sh copies it to database.sqlite. If it has another name, change it here and there.
/data/{{name}}.db
/data/{{name}}.db-wal
/data/{{name}}.db-shm
/data/{{name}}.db-journal
",
            script: include_str!("../templates/sqlite.sh"),
        },
    }
}
