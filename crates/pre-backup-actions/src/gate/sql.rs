//! How the programs that dump databases end a dump that is whole, and how the kinds of files begin. No I/O.

use crate::declare::Kind;

/// How an archive of pg_dump's tar format begins: with the table of contents.
pub(super) const PG_TAR: &[u8] = b"toc.dat\0";

/// What a file is, judged by its first bytes and the name that it has without the ending of its
/// compression; [`Kind::Any`] where nothing is known about it.
pub(super) fn recognize(head: &[u8], name: &str) -> Kind {
    let lines = || head.split(|&byte| byte == b'\n').take(12);
    let says = |text: &[u8]| lines().any(|line| line.starts_with(text));
    if head.starts_with(b"SQLite format 3\0") {
        Kind::Sqlite
    } else if head.starts_with(b"PGDMP") || head.starts_with(PG_TAR) || says(b"-- PostgreSQL database") {
        Kind::Postgres
    } else if says(b"-- MySQL dump") || says(b"-- MariaDB dump") || head.starts_with(b"/*M!999999") {
        Kind::Mysql
    } else if head.starts_with(b"REDIS0") {
        Kind::Rdb
    } else if head.get(257..262) == Some(b"ustar") {
        Kind::Tar
    } else {
        let endings = [
            (".tar", Kind::Tar),
            (".json", Kind::Json),
            (".rdb", Kind::Rdb),
            (".sqlite", Kind::Sqlite),
            (".sqlite3", Kind::Sqlite),
        ];
        endings.iter().find(|(ending, _)| name.ends_with(ending)).map_or(Kind::Any, |(_, kind)| *kind)
    }
}

/// What is missing at the end of `pg_dump`'s or `pg_dumpall`'s plain output.
///
/// After the closing line only blank lines, comments and, since the releases of August 2025, `\unrestrict` follow.
pub(super) fn postgres(head: &[u8], tail: &[u8]) -> Result<(), String> {
    let is_cluster = contains(head, b"PostgreSQL database cluster dump");
    let closing: &[u8] = match is_cluster {
        true => b"-- PostgreSQL database cluster dump complete",
        false => b"-- PostgreSQL database dump complete",
    };
    if !is_cluster && !contains(head, b"PostgreSQL database dump") {
        return Err("the first lines of pg_dump are not there".into());
    }
    let is_quiet =
        |line: &[u8]| line.is_empty() || line.starts_with(b"--") || line.starts_with(b"\\unrestrict");
    let mut lines = tail.rsplit(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let last = lines.find(|line| *line == closing || !is_quiet(line));
    if last == Some(closing) { Ok(()) } else { Err("the closing line of pg_dump is missing".into()) }
}

/// What is missing at the end of `mysqldump`'s or `mariadb-dump`'s output.
pub(super) fn mysql(head: &[u8], tail: &[u8]) -> Result<(), String> {
    let begins =
        [&b"-- MySQL dump"[..], b"-- MariaDB dump", b"/*M!999999"].iter().any(|text| contains(head, text));
    if !begins {
        return Err("the first lines of mysqldump are not there".into());
    }
    let last = tail.rsplit(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
    let is_closed = last.is_some_and(|line| line.starts_with(b"-- Dump completed"));
    if is_closed { Ok(()) } else { Err("the closing line of mysqldump is missing".into()) }
}

/// What is wrong about a whole SQLite file of `length` bytes that begins with `head`, as far as its size tells
/// (<https://www.sqlite.org/fileformat2.html>).
pub(super) fn sqlite_header(head: &[u8], length: u64) -> Result<(), String> {
    if !head.starts_with(b"SQLite format 3\0") || head.len() < 100 {
        return Err("it does not begin as an SQLite database does".into());
    }
    let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let page = match u64::from(u16::from_be_bytes([head[16], head[17]])) {
        1 => 65536,
        size => size,
    };
    let pages = u64::from(number(28));
    // The count holds only where the file was last changed by a version that knows of it.
    if number(24) == number(92) && pages > 0 && pages * page != length {
        return Err(format!("its header says {} bytes, it has {length}", pages * page));
    }
    Ok(())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PG: &[u8] = b"--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n";

    #[test]
    fn the_end_of_pg_dump_is_known_in_old_and_new_releases() {
        for end in [
            "--\n-- PostgreSQL database dump complete\n--\n\n",
            "-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n",
        ] {
            assert_eq!(postgres(PG, end.as_bytes()), Ok(()));
        }
        for end in ["COPY t FROM stdin;\n1\n", "-- PostgreSQL database dump complete\n--\nSELECT 1;\n", ""] {
            assert!(postgres(PG, end.as_bytes()).is_err(), "{end}");
        }
        assert!(postgres(b"pg_dump: error: no", b"-- PostgreSQL database dump complete\n").is_err());
    }

    #[test]
    fn a_cluster_is_whole_only_with_its_own_closing_line() {
        let head = b"--\n-- PostgreSQL database cluster dump\n--\n";
        assert!(postgres(head, b"-- PostgreSQL database dump complete\n--\n").is_err());
        assert_eq!(postgres(head, b"\n-- PostgreSQL database cluster dump complete\n--\n\n"), Ok(()));
    }

    #[test]
    fn the_end_of_mysqldump_is_known() {
        let head = b"/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\n";
        assert_eq!(mysql(head, b"UNLOCK;\n\n-- Dump completed on 2026-01-01  1:02:03\n"), Ok(()));
        assert_eq!(mysql(b"-- MySQL dump 8\n", b"-- Dump completed\n"), Ok(()));
        assert!(mysql(head, b"INSERT INTO `t` VALUES (1),").is_err());
        assert!(mysql(b"", b"-- Dump completed\n").is_err());
    }

    #[test]
    fn files_are_recognized_by_how_they_begin() {
        assert_eq!(recognize(PG, "x"), Kind::Postgres);
        assert_eq!(recognize(b"PGDMP\x01\x0e", "x"), Kind::Postgres);
        assert_eq!(recognize(b"REDIS0011", "x"), Kind::Rdb);
        assert_eq!(recognize(b"{}", "export.json"), Kind::Json);
        assert_eq!(recognize(b"toc.dat\0", "x.tar"), Kind::Postgres);
        assert_eq!(recognize(b"Error: no such container", "x.sqlite"), Kind::Sqlite);
        assert_eq!(recognize(b"hello", "x.sql"), Kind::Any);
    }
}
