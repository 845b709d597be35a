//! The databases that people run beside their services: how an image is recognised, and where it keeps its files.
//!
//! An image is recognised by the end of its name alone (`ghcr.io/immich-app/postgres:14` is PostgreSQL), exactly:
//! `postgres-exporter` is not a database. A fork, or an image that is built here, is recognised by what is mounted into it.

use std::path::Path;

use crate::compose::ComposeService;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    Mariadb,
    /// MySQL.
    Mysql,
    /// MongoDB.
    Mongo,
    /// Redis, Valkey and KeyDB.
    Redis,
    /// One without a dump script: it has to be stopped.
    Other,
}

/// One row of the table.
#[derive(Debug)]
pub struct Database {
    /// What it is.
    pub kind: Kind,
    /// Its name for a person.
    pub name: &'static str,
    /// The ends of the names of its images.
    images: &'static [&'static str],
    /// The folders in the container that hold its live files.
    folders: &'static [&'static str],
}

/// The table.
pub const ALL: &[Database] = &[
    Database {
        kind: Kind::Postgres,
        name: "PostgreSQL",
        images: &[
            "postgres",
            "postgresql",
            "postgis",
            "pgvector",
            "pgvecto-rs",
            "vectorchord-postgres",
            "timescaledb",
            "timescaledb-ha",
            "pgautoupgrade",
            "alpine-postgres",
            "cloudnative-vectorchord",
            "vchord-postgres",
            "postgresql-repmgr",
            "percona-distribution-postgresql",
            "citus",
            "paradedb",
        ],
        folders: &["/var/lib/postgresql", "/bitnami/postgresql", "/home/postgres/pgdata"],
    },
    Database {
        kind: Kind::Mariadb,
        name: "MariaDB",
        images: &["mariadb", "alpine-mariadb", "mariadb-galera"],
        folders: &["/var/lib/mysql", "/bitnami/mariadb", "/config"],
    },
    Database {
        kind: Kind::Mysql,
        name: "MySQL",
        images: &[
            "mysql",
            "mysql-server",
            "percona",
            "percona-server",
            "percona-xtradb-cluster",
            "alpine-mysql",
        ],
        folders: &["/var/lib/mysql", "/bitnami/mysql"],
    },
    Database {
        kind: Kind::Mongo,
        name: "MongoDB",
        images: &["mongo", "mongodb", "mongodb-community-server", "percona-server-mongodb", "alpine-mongo"],
        folders: &["/data/db", "/bitnami/mongodb"],
    },
    Database {
        kind: Kind::Redis,
        name: "Redis",
        images: &["redis", "valkey", "keydb", "redict", "redis-stack", "redis-stack-server"],
        folders: &["/data", "/bitnami/redis", "/bitnami/valkey"],
    },
    other(
        "InfluxDB",
        &["influxdb", "influxdb3-core", "influxdb3-enterprise"],
        &["/var/lib/influxdb", "/var/lib/influxdb2", "/var/lib/influxdb3"],
    ),
    other("CouchDB", &["couchdb"], &["/opt/couchdb/data"]),
    other("Elasticsearch", &["elasticsearch"], &["/usr/share/elasticsearch/data"]),
    other("OpenSearch", &["opensearch"], &["/usr/share/opensearch/data"]),
    other("ClickHouse", &["clickhouse", "clickhouse-server"], &["/var/lib/clickhouse"]),
    other("Meilisearch", &["meilisearch"], &["/meili_data"]),
    other("Typesense", &["typesense"], &["/data"]),
    other("Qdrant", &["qdrant"], &["/qdrant/storage"]),
    other("Neo4j", &["neo4j"], &["/data"]),
    other("Cassandra", &["cassandra"], &["/var/lib/cassandra"]),
    other("CockroachDB", &["cockroach"], &["/cockroach/cockroach-data"]),
    other("SurrealDB", &["surrealdb"], &["/data"]),
    other("VictoriaMetrics", &["victoria-metrics"], &["/victoria-metrics-data", "/storage"]),
    other("Prometheus", &["prometheus"], &["/prometheus"]),
    other("Dragonfly", &["dragonfly"], &["/data"]),
    other("SQL Server", &["mssql/server"], &["/var/opt/mssql"]),
    other("ArangoDB", &["arangodb"], &["/var/lib/arangodb3"]),
    other("RethinkDB", &["rethinkdb"], &["/data"]),
    other("ScyllaDB", &["scylla"], &["/var/lib/scylla"]),
    other("QuestDB", &["questdb"], &["/var/lib/questdb"]),
];

const fn other(
    name: &'static str,
    images: &'static [&'static str],
    folders: &'static [&'static str],
) -> Database {
    Database { kind: Kind::Other, name, images, folders }
}

/// The database that `image` is, if it is one.
fn of_image(image: &str) -> Option<&'static Database> {
    let without_digest = image.split('@').next().unwrap_or(image).to_ascii_lowercase();
    // A colon before the last slash is that of a registry's port.
    let (above, last) = without_digest.rsplit_once('/').unwrap_or(("", &without_digest));
    let path = format!("/{above}/{}", last.split(':').next().unwrap_or(last));
    let is_end = |image: &str| path.strip_suffix(image).is_some_and(|above| above.ends_with('/'));
    ALL.iter().find(|database| database.images.iter().any(|image| is_end(image)))
}

/// The database that a service is: by its image, otherwise by what it mounts where only this database keeps its files.
pub fn of_service(service: &ComposeService) -> Option<&'static Database> {
    service.image.as_deref().and_then(of_image).or_else(|| {
        let is_mounted = |folder: &str| {
            let targets = service.mounts.iter().filter(|mount| !mount.is_read_only);
            folder.starts_with("/var/")
                && targets.map(|mount| &mount.target).any(|target| target.starts_with(folder))
        };
        ALL.iter().find(|database| database.folders.iter().any(|folder| is_mounted(folder)))
    })
}

impl Database {
    /// The mounts of `service` that hold its live files.
    pub fn mounts_of<'s>(
        &self,
        service: &'s ComposeService,
    ) -> impl Iterator<Item = &'s crate::compose::Mount> {
        let folders = self.folders;
        service
            .mounts
            .iter()
            .filter(move |mount| folders.iter().map(Path::new).any(|folder| mount.target.starts_with(folder)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_the_end_of_its_name() {
        for (image, expected) in [
            ("postgres", Some(Kind::Postgres)),
            ("docker.io/library/postgres:16-alpine", Some(Kind::Postgres)),
            ("ghcr.io/immich-app/postgres:14-vectorchord0.4.3@sha256:aa", Some(Kind::Postgres)),
            ("postgis/postgis:17-3.5", Some(Kind::Postgres)),
            ("lscr.io/linuxserver/mariadb:latest", Some(Kind::Mariadb)),
            ("mysql:8.4", Some(Kind::Mysql)),
            ("mongo@sha256:aa", Some(Kind::Mongo)),
            ("docker.io/valkey/valkey:9", Some(Kind::Redis)),
            ("localhost:5000/redis", Some(Kind::Redis)),
            ("influxdb:2.7", Some(Kind::Other)),
            ("quay.io:443/percona/percona-server-mongodb:7.0@sha256:aa", Some(Kind::Mongo)),
            ("mcr.microsoft.com/mssql/server:2022-latest", Some(Kind::Other)),
            ("docker.dragonflydb.io/dragonflydb/dragonfly", Some(Kind::Other)),
            ("eqalpha/keydb:x86_64_v6.3.4", Some(Kind::Redis)),
            ("timescale/timescaledb-ha:pg17", Some(Kind::Postgres)),
            ("ghcr.io/me/server", None),
            ("mongo-express:1", None),
            ("ghcr.io/me/not-postgres", None),
            ("postgres/exporter", None),
            ("prometheuscommunity/postgres-exporter", None),
            ("dpage/pgadmin4", None),
            ("phpmyadmin", None),
            ("", None),
        ] {
            assert_eq!(of_image(image).map(|database| database.kind), expected, "{image}");
        }
    }

    #[test]
    fn a_fork_is_known_by_what_it_mounts() {
        let service = |image: Option<&str>, target: &str, is_read_only| {
            let source = crate::compose::Source::Volume("x".into());
            let mount = crate::compose::Mount { source, target: target.into(), is_read_only };
            ComposeService { image: image.map(Into::into), mounts: vec![mount], ..ComposeService::default() }
        };
        for (image, target, is_read_only, name) in [
            (Some("me/pg-with-extras"), "/var/lib/postgresql/data", false, Some("PostgreSQL")),
            (None, "/var/lib/mysql", false, Some("MariaDB")),
            (Some("ghcr.io/me/influx"), "/var/lib/influxdb2", false, Some("InfluxDB")),
            (Some("mysql"), "/elsewhere", false, Some("MySQL")),
            (Some("me/backup"), "/var/lib/postgresql/data", true, None),
            (Some("me/app"), "/data", false, None),
            (Some("me/app"), "/config", false, None),
            (Some("me/app"), "/var/lib/mysql-files", false, None),
        ] {
            let found = of_service(&service(image, target, is_read_only)).map(|database| database.name);
            assert_eq!(found, name, "{image:?} {target}");
        }
    }

    #[test]
    fn no_image_is_in_two_rows() {
        let mut names: Vec<_> = ALL.iter().flat_map(|database| database.images).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
