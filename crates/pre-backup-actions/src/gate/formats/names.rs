//! What a file is, by its first bytes, and what its name promises. No I/O.
//!
//! The two may differ: a file that its name calls SQL and its bytes call something else is a fault.

use std::path::Path;

use super::{sql, tar};
use crate::declare::Kind;

/// How an archive of pg_dump's custom format begins, and the table of contents of its folder format.
pub(super) const PG_ARCHIVE: &[u8] = b"PGDMP";
/// How an archive of pg_dump's tar format begins: with the table of contents.
pub(super) const PG_TAR: &[u8] = b"toc.dat\0";

/// Endings of files that are encrypted, or packed in a way that is not read here.
const SEALED: [&str; 12] =
    [".age", ".gpg", ".pgp", ".7z", ".zip", ".rar", ".br", ".lz", ".lzma", ".lzo", ".z", ".zz"];

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Promise {
    /// How it is compressed, if the name says so.
    pub(super) packed: Option<Kind>,
    /// It is encrypted, or packed in a way that is not read here, and so is not a text.
    pub(super) is_sealed: bool,
    /// The name of what is in it, in small letters.
    pub(super) inner: String,
}

pub(super) fn promise(path: &Path) -> Promise {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let endings = [
        (".gz", Kind::Gzip, ""),
        (".tgz", Kind::Gzip, ".tar"),
        (".zst", Kind::Zstd, ""),
        (".tzst", Kind::Zstd, ".tar"),
        (".xz", Kind::Xz, ""),
        (".txz", Kind::Xz, ".tar"),
        (".bz2", Kind::Bzip2, ""),
        (".tbz2", Kind::Bzip2, ".tar"),
        (".tbz", Kind::Bzip2, ".tar"),
        (".lz4", Kind::Lz4, ""),
    ];
    let by_ending = endings.iter().find_map(|(ending, packed, inner)| {
        Some((Some(*packed), format!("{}{inner}", name.strip_suffix(ending)?)))
    });
    let is_sealed = SEALED.iter().any(|ending| name.ends_with(ending));
    let (packed, inner) = by_ending.unwrap_or((None, name));
    Promise { packed, is_sealed, inner }
}

/// What a file is that begins with `head` and whose name, without the ending of its compression, is `name`; `None` if
/// nothing is known about it.
pub(super) fn recognize(head: &[u8], name: &str) -> Option<Kind> {
    // An archive that isn't known here may hold a text.
    let lines = || head.split(|&byte| byte == b'\n').take(12);
    let is_binary = lines().next().is_some_and(|line| !is_text(line));
    let has = |text: &[u8]| !is_binary && lines().any(|line| line.starts_with(text));
    if head.starts_with(b"SQLite format 3\0") {
        Some(Kind::Sqlite)
    } else if head.starts_with(PG_ARCHIVE) || head.starts_with(PG_TAR) {
        Some(Kind::Postgres)
    } else if tar::is_header(head) {
        // Before its text: that is its first member's.
        Some(Kind::Tar)
    } else if head.starts_with(b"REDIS0") || head.starts_with(b"VALKEY") {
        Some(Kind::Rdb)
    } else if encryption(head).is_some() {
        None
    } else if has(b"-- PostgreSQL database") {
        Some(Kind::Postgres)
    } else if has(b"-- MySQL dump") || has(b"-- MariaDB dump") {
        Some(Kind::Mysql)
    } else if has(sql::SQLITE_FIRST_LINE) && has(b"BEGIN TRANSACTION;") {
        Some(Kind::SqliteSql)
    } else if head.starts_with(b"/*M!999999") {
        // mariadb-dump --compact leaves out both comments.
        Some(Kind::Sql)
    } else {
        let endings = [
            (".tar", Kind::Tar),
            (".json", Kind::Json),
            (".ndjson", Kind::Json),
            (".jsonl", Kind::Json),
            (".geojson", Kind::Json),
            (".rdb", Kind::Rdb),
            (".sql", Kind::Sql),
            (".sqlite", Kind::Sqlite),
            (".sqlite3", Kind::Sqlite),
            (".db3", Kind::Sqlite),
        ];
        let by_name = endings.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, kind)| *kind);
        // Other programs' databases are called .db, too; a text is none of them.
        by_name.or_else(|| (name.ends_with(".db") && is_text(head)).then_some(Kind::Sqlite))
    }
}

/// Whether a PostgreSQL archive is the table of contents of a folder (pg_backup_archiver.h: magic, three bytes of
/// version, two sizes, the format). It calls itself the tar format, whose own archives begin with a tar header.
pub(super) fn is_folder_toc(head: &[u8]) -> bool {
    const TAR: u8 = 3;
    head.starts_with(PG_ARCHIVE) && head.get(10) == Some(&TAR)
}

/// The program that encrypted a file that begins with `head`.
pub(super) fn encryption(head: &[u8]) -> Option<&'static str> {
    match head {
        _ if head.starts_with(b"age-encryption.org/") => Some("age"),
        _ if head.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") => Some("age"),
        _ if head.starts_with(b"-----BEGIN PGP MESSAGE-----") => Some("gpg"),
        _ if head.starts_with(b"Salted__") => Some("openssl"),
        // The packet of an encrypted session key: its tag, its length, its version (RFC 9580, 4.2 and 5.1, 5.3).
        [0x84, _, 3, ..] | [0x85, _, _, 3, ..] | [0x8c, _, 4..=6, ..] => Some("gpg"),
        [0xc1, length, 3 | 6, ..] if *length < 192 => Some("gpg"),
        [0xc1, 192..=223, _, 3 | 6, ..] => Some("gpg"),
        [0xc3, length, 4..=6, ..] if *length < 192 => Some("gpg"),
        _ => None,
    }
}

/// Whether `head` is text, such as the words of a program that failed.
pub(super) fn is_text(head: &[u8]) -> bool {
    let is_plain = |byte: &u8| *byte >= b' ' || matches!(byte, b'\n' | b'\r' | b'\t' | 0x1b);
    head.iter().all(is_plain) && head.utf8_chunks().map(|chunk| chunk.invalid().len()).sum::<usize>() <= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognized_by_how_they_begin() {
        let pg = b"--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n";
        assert_eq!(recognize(pg, "x"), Some(Kind::Postgres));
        assert_eq!(recognize(b"PGDMP\x01\x0e", "x"), Some(Kind::Postgres));
        assert_eq!(recognize(b"REDIS0011", "x"), Some(Kind::Rdb));
        assert_eq!(recognize(b"VALKEY080", "x"), Some(Kind::Rdb));
        assert_eq!(recognize(b"{}", "export.json"), Some(Kind::Json));
        assert_eq!(recognize(b"toc.dat\0", "x.tar"), Some(Kind::Postgres));
        assert_eq!(recognize(b"Error: no such container", "x.sqlite"), Some(Kind::Sqlite));
        assert_eq!(recognize(b"Error: no such container", "kuma.db"), Some(Kind::Sqlite));
        assert_eq!(recognize(b"\xed\xda\x0c\xed", "portainer.db"), None);
        assert_eq!(recognize(b"hello", "x.sql"), Some(Kind::Sql));
        assert_eq!(recognize(b"hello", "x"), None);
        assert_eq!(recognize(b"PK\x03\x04\n-- PostgreSQL database dump\n", "x.zip"), None);
        assert_eq!(recognize(b"hello", "x.jsonl"), Some(Kind::Json));
    }

    #[test]
    fn encrypted_files_are_known() {
        for (head, program) in [
            (&b"age-encryption.org/v1\n"[..], Some("age")),
            (b"-----BEGIN PGP MESSAGE-----\n", Some("gpg")),
            (b"\x85\x01\x8c\x03abc", Some("gpg")),
            (b"\x8c\x0d\x04\x09", Some("gpg")),
            (b"Salted__12345678", Some("openssl")),
            (b"\x8c\x0d\x00", None),
            (b"gpg: no valid OpenPGP data found", None),
        ] {
            assert_eq!(encryption(head), program, "{head:?}");
        }
    }

    #[test]
    fn a_name_promises_its_compression() {
        let promise_of = |name: &str| {
            let promise = promise(Path::new(name));
            (promise.packed, promise.inner)
        };
        assert_eq!(promise_of("a/DB.SQL.GZ"), (Some(Kind::Gzip), "db.sql".into()));
        assert_eq!(promise_of("all.txz"), (Some(Kind::Xz), "all.tar".into()));
        assert_eq!(promise_of("db.sql"), (None, "db.sql".into()));
        assert!(promise(Path::new("db.sql.age")).is_sealed);
    }
}
