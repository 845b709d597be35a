//! The services of the demo: which files each has, and which of them its owner would want in a backup.
//!
//! Nothing is written here. Each file carries its fate as its owner means it; the rules for the tool are
//! the `.resticignore` files among them. So the comparison at the end does not ask the tool that it judges.

/// A service with its files.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// The name of its folders.
    pub(crate) name: &'static str,
    /// Its files.
    pub(crate) files: Vec<Planted>,
}

/// One file, by its path below the home.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    pub(crate) path: String,
    pub(crate) content: Content,
    pub(crate) fate: Fate,
}

/// What a file holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    /// This many bytes that can't be compressed, like photos and films.
    Random(usize),
    /// This text.
    Text(&'static str),
    /// This text, executable.
    Script(&'static str),
    /// The SQLite database that these statements make.
    Database(&'static str),
}

/// What is to become of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    BackedUp,
    LeftOut,
}

const KIB: usize = 1024;

/// The dump that the prepare script of [`DUMPED`] makes, below the home.
pub(crate) const DUMP: &str = "data/vaultwarden/dump.sqlite3";
/// The service that has a database.
pub(crate) const DUMPED: &str = "vaultwarden";
/// How many rows the database has.
pub(crate) const ROWS: usize = 500;

const TABLES: &str = "PRAGMA journal_mode=WAL;
CREATE TABLE ciphers (uuid TEXT PRIMARY KEY, name TEXT NOT NULL, data TEXT NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
INSERT INTO ciphers SELECT printf('%08x', i * 2654435761 % 4294967296), 'login ' || i, hex(randomblob(200)) FROM n;";

const PREPARE: &str = "#!/bin/sh
# A database that is in use can't be copied as a file; its own program writes a copy that is whole.
# dump: dump.sqlite3 kind=sqlite
set -eu
sqlite3 -bail db.sqlite3 '.timeout 60000' \".backup '$DUMP_DIR/dump.sqlite3'\"
";

/// All services of the demo.
pub(crate) fn all() -> Vec<Service> {
    vec![immich(), vaultwarden(), jellyfin(), home_assistant(), paperless()]
}

fn immich() -> Service {
    let mut files = compose("immich");
    files.push(rules("data/immich", "# made again from the library\n/thumbs/\n/encoded-video/\n*.tmp\n"));
    files.extend(many(40, "data/immich/library/2025/IMG_", ".jpg", 300 * KIB, Fate::BackedUp));
    files.extend(many(240, "data/immich/thumbs/", "-preview.webp", 24 * KIB, Fate::LeftOut));
    files.extend(many(3, "data/immich/encoded-video/", ".mp4", 4096 * KIB, Fate::LeftOut));
    files.extend(many(2, "data/immich/library/2025/upload-", ".tmp", 500 * KIB, Fate::LeftOut));
    Service { name: "immich", files }
}

fn vaultwarden() -> Service {
    let mut files = compose("vaultwarden");
    files.push(rules(
        "data/vaultwarden",
        "# dump.sqlite3 is the copy that counts\n/db.sqlite3*\n/icon_cache/\n",
    ));
    files.push(planted("data/vaultwarden/db.sqlite3", Content::Database(TABLES), Fate::LeftOut));
    files.push(planted("data/vaultwarden/prepare-backup.sh", Content::Script(PREPARE), Fate::BackedUp));
    files.extend(many(6, "data/vaultwarden/attachments/", ".bin", 80 * KIB, Fate::BackedUp));
    files.extend(many(60, "data/vaultwarden/icon_cache/", ".png", 3 * KIB, Fate::LeftOut));
    Service { name: DUMPED, files }
}

fn jellyfin() -> Service {
    let mut files = compose("jellyfin");
    files.push(rules("data/jellyfin", "cache/\n/config/transcodes/*\n*.log\n"));
    // A file of rules deeper down holds for its own folder.
    files.push(rules("data/jellyfin/config/metadata", "/people/\n"));
    files.push(rules("containers/jellyfin", "*.bak\n"));
    files.push(random("containers/jellyfin/compose.yaml.bak", 2 * KIB, Fate::LeftOut));
    files.extend(many(12, "data/jellyfin/config/data/library-", ".xml", 40 * KIB, Fate::BackedUp));
    files.extend(many(8, "data/jellyfin/config/metadata/library/", ".nfo", 6 * KIB, Fate::BackedUp));
    files.extend(many(50, "data/jellyfin/config/metadata/people/", ".jpg", 30 * KIB, Fate::LeftOut));
    files.extend(many(80, "data/jellyfin/cache/images/", ".webp", 100 * KIB, Fate::LeftOut));
    files.extend(many(2, "data/jellyfin/config/transcodes/", ".ts", 3072 * KIB, Fate::LeftOut));
    files.extend(many(5, "data/jellyfin/config/log/server_", ".log", 200 * KIB, Fate::LeftOut));
    Service { name: "jellyfin", files }
}

fn home_assistant() -> Service {
    let mut files = compose("Home Assistant");
    let lines = "*.log*\n!keep.log\n__pycache__/\n/tts/\n";
    files.push(rules("data/Home Assistant", lines));
    files.push(random("data/Home Assistant/configuration.yaml", 4 * KIB, Fate::BackedUp));
    files.push(random("data/Home Assistant/.storage/core.config", 90 * KIB, Fate::BackedUp));
    files.push(random("data/Home Assistant/keep.log", 10 * KIB, Fate::BackedUp));
    files.extend(many(15, "data/Home Assistant/custom components/part ", ".py", 8 * KIB, Fate::BackedUp));
    let caches = "data/Home Assistant/custom components/__pycache__/part ";
    files.extend(many(15, caches, ".pyc", 9 * KIB, Fate::LeftOut));
    files.extend(many(4, "data/Home Assistant/home-assistant.log.", "", 700 * KIB, Fate::LeftOut));
    files.extend(many(20, "data/Home Assistant/tts/", ".mp3", 60 * KIB, Fate::LeftOut));
    Service { name: "Home Assistant", files }
}

fn paperless() -> Service {
    let mut files = vec![rules("data/paperless", "/media/thumbnails/\n/index/\n")];
    files.extend(many(30, "data/paperless/media/originals/", ".pdf", 150 * KIB, Fate::BackedUp));
    files.extend(many(30, "data/paperless/media/thumbnails/", ".webp", 25 * KIB, Fate::LeftOut));
    files.extend(many(4, "data/paperless/index/segment-", ".idx", 300 * KIB, Fate::LeftOut));
    Service { name: "paperless", files }
}

fn planted(path: &str, content: Content, fate: Fate) -> Planted {
    Planted { path: path.into(), content, fate }
}

fn compose(service: &str) -> Vec<Planted> {
    let text = "services:\n  app:\n    image: example\n    volumes: [\"${DATA_DIR}:/data\"]\n";
    [("compose.yaml", text), (".env", "TZ=Europe/Berlin\n")]
        .map(|(name, text)| {
            planted(&format!("containers/{service}/{name}"), Content::Text(text), Fate::BackedUp)
        })
        .to_vec()
}

fn rules(folder: &str, lines: &'static str) -> Planted {
    planted(&format!("{folder}/.resticignore"), Content::Text(lines), Fate::BackedUp)
}

fn random(path: &str, size: usize, fate: Fate) -> Planted {
    planted(path, Content::Random(size), fate)
}

/// `count` files of about `size` bytes.
fn many(count: usize, before: &str, after: &str, size: usize, fate: Fate) -> Vec<Planted> {
    let size_of = |number: usize| size - size / 4 + size / 2 * (number * 7 % 10) / 10;
    (1..=count).map(|number| random(&format!("{before}{number:04}{after}"), size_of(number), fate)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_demo_shows_what_it_promises() {
        let services = all();
        assert!(services.len() >= 5);
        let files = || services.iter().flat_map(|service| &service.files);
        let paths: BTreeSet<_> = files().map(|file| &file.path).collect();
        assert_eq!(paths.len(), files().count(), "each path once");
        assert!(services.iter().any(|service| service.name.contains(' ')));
        let only_data = |s: &Service| s.files.iter().all(|file| file.path.starts_with("data/"));
        assert!(services.iter().any(only_data));
        for service in &services {
            for fate in [Fate::BackedUp, Fate::LeftOut] {
                assert!(service.files.iter().any(|file| file.fate == fate), "{}: {fate:?}", service.name);
            }
        }
    }
}
