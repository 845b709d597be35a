//! One `# dump:` line: `db.sql.gz min=1MiB max-shrink=50% kind=postgres`. Text in, a declaration or what was expected
//! out; no I/O.
//!
//! The path is the first word, with quotes where it holds blanks, below the service's data folder; it may be a glob.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use common::text::escape;
use globset::{GlobBuilder, GlobMatcher};

/// A dump that a script says it makes.
#[derive(Clone, Debug)]
pub(crate) struct Dump {
    pub(crate) line: usize,
    /// The path as it was written, which is the dump's name in messages and in the history.
    pub(crate) text: String,
    /// The pattern, where it is one.
    glob: Option<GlobMatcher>,
    /// The least number of bytes.
    pub(crate) minimum: u64,
    /// By how many per cent it may be smaller than the last good one.
    pub(crate) max_shrink: Option<u64>,
    /// What it has to be; found out from the file if it is not declared.
    pub(crate) kind: Option<Kind>,
}

/// What a dump can be, beyond bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Lz4,
    Postgres,
    Mysql,
    Sqlite,
    SqliteSql,
    Sql,
    Tar,
    Json,
    Rdb,
    Any,
}

/// Each kind, its word in a declaration, and what whole means for it, as the documentation lists them.
const KINDS: [(&str, Kind, &str); 14] = [
    ("gzip", Kind::Gzip, "decompressed to the end, every member, checksums included"),
    ("zstd", Kind::Zstd, "decompressed to the end, every frame, checksums included"),
    ("xz", Kind::Xz, "decompressed to the end, every block and stream, checksums included"),
    ("bzip2", Kind::Bzip2, "decompressed to the end, every block and stream, checksums included"),
    ("lz4", Kind::Lz4, "decompressed to the end, every block, checksums included"),
    (
        "postgres",
        Kind::Postgres,
        "SQL: the first line and `pg_dump`'s or `pg_dumpall`'s closing line; the custom, tar and folder formats: `pg_restore` reads them to the end",
    ),
    ("mysql", Kind::Mysql, "the first line and the closing line of `mysqldump` or `mariadb-dump`"),
    ("sqlite", Kind::Sqlite, "its size is what its header says, and `PRAGMA quick_check` answers `ok`"),
    (
        "sqlite-sql",
        Kind::SqliteSql,
        "the first line of `sqlite3`'s `.dump`, `COMMIT;` as its last, and no error in between",
    ),
    ("sql", Kind::Sql, "the first line is SQL; its end is unproved"),
    (
        "tar",
        Kind::Tar,
        "at least one member, every header's checksum, every member's length, and the block of zeros at the end",
    ),
    ("json", Kind::Json, "one JSON value or several, to the end"),
    ("rdb", Kind::Rdb, "a snapshot of Redis or Valkey with its end and its checksum"),
    ("any", Kind::Any, "nothing beyond the other points"),
];

impl Kind {
    pub(crate) fn is_compression(self) -> bool {
        matches!(self, Kind::Gzip | Kind::Zstd | Kind::Xz | Kind::Bzip2 | Kind::Lz4)
    }

    pub(crate) fn word(self) -> &'static str {
        KINDS.iter().find(|(_, kind, _)| *kind == self).map_or("any", |(word, ..)| word)
    }
}

impl Dump {
    /// Whether it is a folder as a whole.
    pub(crate) fn is_folder(&self) -> bool {
        self.text.ends_with('/')
    }

    /// Whether it names many files.
    pub(crate) fn is_glob(&self) -> bool {
        self.glob.is_some()
    }

    /// Whether the file at `path`, below the service's folder, is meant.
    pub(crate) fn names(&self, path: &Path) -> bool {
        match &self.glob {
            Some(glob) => glob.is_match(path),
            None => path == self.path(),
        }
    }

    /// Whether a file of this bare name would be one of them.
    pub(crate) fn names_bare(&self, name: &Path) -> bool {
        let folder = self.path().parent().map(Path::to_path_buf).unwrap_or_default();
        // Below a pattern the folder in which it belongs is not known.
        !(self.is_glob() && has_pattern(&folder.to_string_lossy())) && self.names(&folder.join(name))
    }

    /// The path, or the pattern as a path.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(&self.text)
    }

    /// The folder that it lies in; of a pattern, the last one that is named.
    pub(crate) fn folder(&self) -> PathBuf {
        let is_plain = |part: &&OsStr| !(self.is_glob() && part.to_string_lossy().contains(PATTERN));
        self.path().parent().into_iter().flatten().take_while(is_plain).collect()
    }
}

/// Reads the value of a `# dump:` line. The error says what was expected.
pub(super) fn parse(line: usize, value: &[u8]) -> Result<Dump, String> {
    let text = std::str::from_utf8(value).map_err(|_| "dump: expected UTF-8".to_string())?;
    let words = shlex::split(text).ok_or("dump: expected every quote to be closed")?;
    let (path, options) = words.split_first().ok_or("dump: expected a path below the service's folder")?;
    let mut dump =
        Dump { line, text: path_below(path)?, glob: None, minimum: 1, max_shrink: None, kind: None };
    if has_pattern(path) && dump.is_folder() {
        return Err(format!("dump: expected one folder, not the pattern {}", escape(path.as_bytes())));
    }
    if has_pattern(path) {
        let glob = GlobBuilder::new(&dump.text).literal_separator(true).backslash_escape(true).build();
        let glob = glob.map_err(|error| {
            format!("dump: expected a pattern: {}", escape(error.kind().to_string().as_bytes()))
        })?;
        dump.glob = Some(glob.compile_matcher());
    }
    for option in options {
        let given = escape(option.as_bytes());
        let (name, value) = option.split_once('=').ok_or_else(|| unknown(&given))?;
        match name {
            "min" => {
                dump.minimum = size(value)
                    .ok_or_else(|| format!("dump: expected a size such as min=1MiB, not {given}"))?;
            }
            "max-shrink" => {
                dump.max_shrink = Some(
                    per_cent(value)
                        .ok_or_else(|| format!("dump: expected max-shrink=0% to 100%, not {given}"))?,
                );
            }
            "kind" => {
                let kind = KINDS.iter().find(|(word, ..)| *word == value).map(|(_, kind, _)| *kind);
                let words = KINDS.map(|(word, ..)| word).join(", ");
                dump.kind =
                    Some(kind.ok_or_else(|| format!("dump: expected a kind ({words}), not {given}"))?);
            }
            _ => return Err(unknown(&given)),
        }
    }
    Ok(dump)
}

/// What makes a pattern of a path, and what quotes that.
const PATTERN: [char; 5] = ['*', '?', '[', '{', '\\'];

fn has_pattern(path: &str) -> bool {
    path.contains(&PATTERN[..4])
}

fn unknown(given: &str) -> String {
    format!(
        "dump: expected min=, max-shrink= or kind= after the path (which needs quotes if it holds blanks), not {given}"
    )
}

/// `path` without `.` and `//`, if it stays below the folder.
fn path_below(path: &str) -> Result<String, String> {
    let mut clean = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(format!(
                    "dump: expected a path that stays below the service's folder, not {}",
                    escape(path.as_bytes())
                ));
            }
        }
    }
    let clean = clean.to_str().filter(|clean| !clean.is_empty());
    let is_folder = path.ends_with('/');
    clean.map(|clean| if is_folder { format!("{clean}/") } else { clean.to_string() }).ok_or_else(|| {
        format!("dump: expected the path of a file or folder, not {}", escape(path.as_bytes()))
    })
}

/// `12`, `1MiB`, `1.5 GiB` in bytes; K, M, G, T alone are binary, KB, MB, GB, TB decimal.
fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    let bytes = number * factor as f64;
    (bytes.is_finite() && (0.0..1e18).contains(&bytes)).then(|| bytes.ceil() as u64)
}

fn per_cent(text: &str) -> Option<u64> {
    text.strip_suffix('%').unwrap_or(text).parse().ok().filter(|number| *number <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_read_whole() {
        let dump = parse(3, b"backup/db.sql.gz  min=1MiB max-shrink=50% kind=postgres").unwrap();
        assert_eq!((dump.line, dump.text.as_str(), dump.minimum), (3, "backup/db.sql.gz", 1 << 20));
        assert_eq!((dump.max_shrink, dump.kind, dump.is_glob()), (Some(50), Some(Kind::Postgres), false));
        assert!(dump.names(Path::new("backup/db.sql.gz")) && dump.names_bare(Path::new("db.sql.gz")));
        let plain = parse(1, b"./a//b.sql").unwrap();
        assert_eq!(
            (plain.text.as_str(), plain.minimum, plain.max_shrink, plain.kind),
            ("a/b.sql", 1, None, None)
        );
        assert_eq!(parse(1, b"'with blank.sql' kind=any").unwrap().text, "with blank.sql");
    }

    #[test]
    fn the_documentation_lists_what_each_kind_proves() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/before-and-after.md");
        let page = std::fs::read_to_string(page).unwrap();
        let listed: Vec<_> =
            page.lines().skip_while(|line| *line != "| kind | whole means |").skip(2).collect();
        let listed: Vec<_> = listed.into_iter().take_while(|line| line.starts_with('|')).collect();
        let expected: Vec<_> =
            KINDS.iter().map(|(word, _, whole)| format!("| `{word}` | {whole} |")).collect();
        assert_eq!(listed, expected);
    }

    #[test]
    fn a_folder_as_a_whole_ends_in_a_slash() {
        let dump = parse(1, b"./dumps//pg/ kind=postgres").unwrap();
        assert_eq!((dump.text.as_str(), dump.is_folder(), dump.is_glob()), ("dumps/pg/", true, false));
        assert!(!parse(1, b"dumps/pg").unwrap().is_folder());
    }

    #[test]
    fn a_pattern_stays_within_its_folder() {
        let dump = parse(1, b"dumps/*.sql.gz").unwrap();
        assert!(
            dump.is_glob()
                && dump.names(Path::new("dumps/a.sql.gz"))
                && dump.names_bare(Path::new("a.sql.gz"))
        );
        assert!(!dump.names(Path::new("dumps/x/a.sql.gz")) && !dump.names(Path::new("a.sql.gz")));
    }

    #[test]
    fn what_can_not_be_read_says_what_was_expected() {
        for (value, expected) in [
            (&b""[..], "dump: expected a path below the service's folder"),
            (b"/etc/passwd", "dump: expected a path that stays below the service's folder, not /etc/passwd"),
            (
                b"../other/db.sql",
                "dump: expected a path that stays below the service's folder, not ../other/db.sql",
            ),
            (b"a/../../b", "dump: expected a path that stays below the service's folder, not a/../../b"),
            (b"dumps*/", "dump: expected one folder, not the pattern dumps*/"),
            (b".", "dump: expected the path of a file or folder, not ."),
            (b"'open", "dump: expected every quote to be closed"),
            (b"db.sql min=huge", "dump: expected a size such as min=1MiB, not min=huge"),
            (b"db.sql max-shrink=150%", "dump: expected max-shrink=0% to 100%, not max-shrink=150%"),
            (
                b"db.sql kind=oracle",
                "dump: expected a kind (gzip, zstd, xz, bzip2, lz4, postgres, mysql, sqlite, sqlite-sql, sql, tar, json, rdb, any), not kind=oracle",
            ),
            (
                b"my db.sql",
                "dump: expected min=, max-shrink= or kind= after the path (which needs quotes if it holds blanks), not db.sql",
            ),
            (b"\xff", "dump: expected UTF-8"),
        ] {
            assert_eq!(parse(1, value).unwrap_err(), expected);
        }
        assert!(parse(1, b"a[.sql").unwrap_err().starts_with("dump: expected a pattern: "));
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let cases = [
            ("0", 0),
            ("12", 12),
            ("1K", 1024),
            ("1.5MiB", 3 << 19),
            ("2GB", 2_000_000_000),
            ("1T", 1 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for wrong in ["", "MiB", "1 MiB", "-1", "1e9999", "1X", "1..5"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
