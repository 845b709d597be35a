//! The services of the demo: which files each has, and which of them its owner would want in a backup.
//!
//! Each file carries its fate as its owner means it; the rules for the tool are the `.resticignore` files among them. So
//! the comparison at the end does not ask the tool that it judges.

use std::path::PathBuf;

use anyhow::{Result, bail};
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

use crate::home::Home;
use Fate::{BackedUp, LeftOut};

/// The same bytes in every run.
const SEED: u64 = 20_260_301;

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

/// The services. What each has is below `data/NAME` and `containers/NAME`.
pub(crate) const NAMES: [&str; 5] = ["immich", DUMPED, "jellyfin", "Home Assistant", "paperless"];

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

/// Writes Backrest's `.env` and every file of the demo.
pub(crate) fn fill(home: &Home, files: &[Planted]) -> Result<()> {
    let quoted = |path: PathBuf| format!("'{}'", path.to_string_lossy().replace('\'', "\\'"));
    let env = format!(
        "CONTAINER_DIR={}\nDATA_DIR={}\n# /userdata in Backrest's container.\nBACKUP_MOUNT={}\n",
        quoted(home.at("containers/backrest")),
        quoted(home.at("data/backrest")),
        quoted(home.beside("home")),
    );
    home.write("containers/backrest/.env", env)?;
    let mut random = SmallRng::seed_from_u64(SEED);
    for Planted { path, content, .. } in files {
        if home.cancel.is_cancelled() {
            bail!("interrupted");
        }
        match *content {
            Content::Random(size) => {
                let mut bytes = vec![0; size];
                random.fill_bytes(&mut bytes);
                home.write(path, bytes)?;
            }
            Content::Text(text) => home.write(path, text)?,
            Content::Script(text) => home.script(path, text)?,
            Content::Database(statements) => {
                home.write(path, "")?;
                home.output_of(home.command("sqlite3").arg(home.at(path)), statements.as_bytes())?;
            }
        }
    }
    Ok(())
}

pub(crate) fn files() -> Vec<Planted> {
    let planted = |path: &str, content, fate| Planted { path: path.into(), content, fate };
    let mut files = vec![
        planted("data/vaultwarden/db.sqlite3", Content::Database(TABLES), LeftOut),
        planted("data/vaultwarden/prepare-backup.sh", Content::Script(PREPARE), BackedUp),
    ];
    for service in &NAMES[..4] {
        let text = "services:\n  app:\n    image: example\n    volumes: [\"${DATA_DIR}:/data\"]\n";
        for (name, text) in [("compose.yaml", text), (".env", "TZ=Europe/Berlin\n")] {
            files.push(planted(&format!("containers/{service}/{name}"), Content::Text(text), BackedUp));
        }
    }
    for (folder, lines) in RULES {
        files.push(planted(&format!("{folder}/.resticignore"), Content::Text(lines), BackedUp));
    }
    for (path, count, kibibytes, fate) in MANY {
        let size = kibibytes * 1024;
        for number in 1..=count {
            let bytes = size - size / 4 + size / 2 * (number * 7 % 10) / 10;
            files.push(planted(&path.replace('#', &format!("{number:04}")), Content::Random(bytes), fate));
        }
    }
    files
}

/// What each service leaves out. A file of rules deeper down holds for its own folder.
const RULES: [(&str, &str); 7] = [
    ("data/immich", "# made again from the library\n/thumbs/\n/encoded-video/\n*.tmp\n"),
    ("data/vaultwarden", "# dump.sqlite3 is the copy that counts\n/db.sqlite3*\n/icon_cache/\n"),
    ("data/jellyfin", "cache/\n/config/transcodes/*\n*.log\n"),
    ("data/jellyfin/config/metadata", "/people/\n"),
    ("containers/jellyfin", "*.bak\n"),
    ("data/Home Assistant", "*.log*\n!keep.log\n__pycache__/\n/tts/\n"),
    ("data/paperless", "/media/thumbnails/\n/index/\n"),
];

/// Files by their path with `#` for their number, how many, and about how many KiB each has.
const MANY: [(&str, usize, usize, Fate); 23] = [
    ("data/immich/library/2025/IMG_#.jpg", 40, 300, BackedUp),
    ("data/immich/thumbs/#-preview.webp", 240, 24, LeftOut),
    ("data/immich/encoded-video/#.mp4", 3, 4096, LeftOut),
    ("data/immich/library/2025/upload-#.tmp", 2, 500, LeftOut),
    ("data/vaultwarden/attachments/#.bin", 6, 80, BackedUp),
    ("data/vaultwarden/icon_cache/#.png", 60, 3, LeftOut),
    ("containers/jellyfin/compose.yaml.bak", 1, 2, LeftOut),
    ("data/jellyfin/config/data/library-#.xml", 12, 40, BackedUp),
    ("data/jellyfin/config/metadata/library/#.nfo", 8, 6, BackedUp),
    ("data/jellyfin/config/metadata/people/#.jpg", 50, 30, LeftOut),
    ("data/jellyfin/cache/images/#.webp", 80, 100, LeftOut),
    ("data/jellyfin/config/transcodes/#.ts", 2, 3072, LeftOut),
    ("data/jellyfin/config/log/server_#.log", 5, 200, LeftOut),
    ("data/Home Assistant/configuration.yaml", 1, 4, BackedUp),
    ("data/Home Assistant/.storage/core.config", 1, 90, BackedUp),
    ("data/Home Assistant/keep.log", 1, 10, BackedUp),
    ("data/Home Assistant/custom components/part #.py", 15, 8, BackedUp),
    ("data/Home Assistant/custom components/__pycache__/part #.pyc", 15, 9, LeftOut),
    ("data/Home Assistant/home-assistant.log.#", 4, 700, LeftOut),
    ("data/Home Assistant/tts/#.mp3", 20, 60, LeftOut),
    ("data/paperless/media/originals/#.pdf", 30, 150, BackedUp),
    ("data/paperless/media/thumbnails/#.webp", 30, 25, LeftOut),
    ("data/paperless/index/segment-#.idx", 4, 300, LeftOut),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_demo_shows_what_it_promises() {
        let files = files();
        let paths: BTreeSet<_> = files.iter().map(|file| &file.path).collect();
        assert_eq!(paths.len(), files.len(), "each path once");
        let of = |root: &str, name: &str, fate| {
            let folder = format!("{root}/{name}/");
            files.iter().any(|file| file.path.starts_with(&folder) && file.fate == fate)
        };
        assert!(NAMES.iter().any(|name| name.contains(' ') && of("data", name, LeftOut)));
        assert!(NAMES.iter().any(|name| !of("containers", name, BackedUp)), "one has a data folder only");
        assert!(NAMES.iter().all(|name| of("data", name, BackedUp) && of("data", name, LeftOut)));
        assert!(DUMP.starts_with(&format!("data/{DUMPED}/")));
    }
}
