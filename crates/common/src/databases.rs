//! The databases that people run beside their services: how an image is recognised, and where it keeps its files.
//!
//! An image is recognised by the last part of its name alone (`ghcr.io/immich-app/postgres:14` is PostgreSQL), exactly:
//! `postgres-exporter` is not a database.

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
    /// The last part of the names of its images.
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
        images: &["mysql", "mysql-server", "percona", "percona-server", "alpine-mysql"],
        folders: &["/var/lib/mysql", "/bitnami/mysql"],
    },
    Database {
        kind: Kind::Mongo,
        name: "MongoDB",
        images: &["mongo", "mongodb", "mongodb-community-server", "alpine-mongo"],
        folders: &["/data/db", "/bitnami/mongodb"],
    },
    Database {
        kind: Kind::Redis,
        name: "Redis",
        images: &["redis", "valkey", "keydb", "redis-stack", "redis-stack-server"],
        folders: &["/data", "/bitnami/redis", "/bitnami/valkey"],
    },
    other(
        "InfluxDB",
        &["influxdb", "influxdb3-core"],
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
];

const fn other(
    name: &'static str,
    images: &'static [&'static str],
    folders: &'static [&'static str],
) -> Database {
    Database { kind: Kind::Other, name, images, folders }
}

/// The database that `image` is, if it is one.
pub fn of_image(image: &str) -> Option<&'static Database> {
    let without_digest = image.split('@').next().unwrap_or(image);
    let last = without_digest.rsplit('/').next().unwrap_or(without_digest);
    let name = last.split(':').next().unwrap_or(last).to_ascii_lowercase();
    ALL.iter().find(|database| database.images.contains(&name.as_str()))
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
            ("prometheuscommunity/postgres-exporter", None),
            ("dpage/pgadmin4", None),
            ("phpmyadmin", None),
            ("", None),
        ] {
            assert_eq!(of_image(image).map(|database| database.kind), expected, "{image}");
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
