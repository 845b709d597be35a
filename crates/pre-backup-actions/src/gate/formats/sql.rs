//! How the programs that dump databases begin and end a dump that is whole. Text in, no I/O, except that SQLite's SQL
//! is read as a stream: its errors may be anywhere.

use std::io::{BufRead, BufReader, Read};

use common::text::escape;

use super::{BUFFER, Flaw, flaw};

/// How `sqlite3 FILE .dump` begins.
pub(super) const SQLITE_FIRST_LINE: &[u8] = b"PRAGMA foreign_keys=OFF;";

/// Words that a line of SQL begins with; psql's and the shells' own commands begin with a backslash or a dot.
const FIRST_WORDS: &str = "alter analyze attach begin call comment commit copy create declare delete delimiter do drop \
    grant insert lock merge pragma replace revoke select set start truncate unlock update use with";

/// What is wrong with the first line of a plain SQL dump: a warning that was written in front of it, say.
pub(super) fn first_line(head: &[u8]) -> Result<(), String> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let mut lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let Some(line) = lines.find(|line| !line.is_empty()) else { return Ok(()) };
    let is_mark = |mark: &&[u8]| line.starts_with(mark);
    let word = line.split(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_lowercase();
    // "Use of uninitialized value", "Set password": a statement goes on with a blank, and it ends with a semicolon or
    // in another line.
    let follows = line.get(word.len()).copied();
    let is_word = FIRST_WORDS.split(' ').any(|known| known.as_bytes() == word);
    let is_statement = is_word && matches!(follows, None | Some(b' ' | b'\t' | b';' | b'('));
    if [&b"--"[..], b"/*", b"\\", b"#", b"."].iter().any(is_mark) || is_statement {
        return Ok(());
    }
    let shown = escape(&line[..line.len().min(80)]);
    Err(format!("its first line is not SQL: {shown}"))
}

const CLUSTER_END: &[u8] = b"-- PostgreSQL database cluster dump complete";

/// What is missing at the end of `pg_dump`'s or `pg_dumpall`'s plain output.
///
/// After the closing line only blank lines, comments and, since the releases of August 2025, `\unrestrict` follow.
pub(super) fn postgres(head: &[u8], tail: &[u8]) -> Result<(), String> {
    // `pg_dumpall --globals-only` may come first, and is closed soon.
    let is_cluster = contains(head, b"PostgreSQL database cluster dump\n")
        && !(contains(head, CLUSTER_END) && contains(head, b"PostgreSQL database dump\n"));
    let closing: &[u8] = match is_cluster {
        true => CLUSTER_END,
        false => b"-- PostgreSQL database dump complete",
    };
    if !is_cluster && !contains(head, b"PostgreSQL database dump") {
        return Err("the first lines of pg_dump are not there".into());
    }
    first_line(head)?;
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
    first_line(head)?;
    let last = tail.rsplit(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
    let is_closed = last.is_some_and(|line| line.starts_with(b"-- Dump completed"));
    if is_closed { Ok(()) } else { Err("the closing line of mysqldump is missing".into()) }
}

/// What is wrong with the output of `sqlite3 FILE .dump`. On a locked or damaged database the program exits with 0, and
/// its errors are comments in the text (shell.c).
pub(super) fn sqlite(content: &mut dyn Read) -> Result<(), Flaw> {
    let mut reader = BufReader::with_capacity(BUFFER, content);
    // Of a line as long as a blob is, the beginning is enough.
    const KEPT: usize = 200;
    let (mut line, mut last, mut first): (Vec<u8>, Vec<u8>, Option<Vec<u8>>) = Default::default();
    let mut lines = 0_u64;
    loop {
        let buffer = reader.fill_buf().map_err(flaw)?;
        let is_over = buffer.is_empty();
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        line.extend(&part[..part.len().min(KEPT.saturating_sub(line.len()))]);
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        if end.is_none() && !is_over {
            continue;
        }
        if line.starts_with(b"/**** ERROR") || line.starts_with(b"/****** CORRUPTION ERROR") {
            return Err(Flaw::Damaged(format!(
                "sqlite3 wrote an error into it: {}",
                escape(line.trim_ascii())
            )));
        }
        if !line.trim_ascii().is_empty() {
            lines += 1;
            first.get_or_insert_with(|| line.clone());
            std::mem::swap(&mut last, &mut line);
        }
        line.clear();
        if is_over {
            break;
        }
    }
    match (first, last.trim_ascii()) {
        (Some(first), _) if !first.starts_with(SQLITE_FIRST_LINE) => {
            first_line(&first).map_err(Flaw::Damaged)?;
            Err(Flaw::damaged("the first line of sqlite3's .dump is missing"))
        }
        // PRAGMA, BEGIN, COMMIT: what sqlite3 makes of a path that isn't there.
        (_, b"COMMIT;") if lines <= 3 => Err(Flaw::Empty),
        (_, b"COMMIT;") => Ok(()),
        (_, last) if last.starts_with(b"ROLLBACK") => {
            Err(Flaw::Damaged(format!("sqlite3 gave up: its last line is {}", escape(last))))
        }
        _ => Err(Flaw::damaged("the last line of sqlite3's .dump, COMMIT;, is missing")),
    }
}

/// What is wrong about a whole SQLite file of `length` bytes that begins with `head`, as far as its size shows
/// (<https://www.sqlite.org/fileformat2.html>).
pub(super) fn sqlite_header(head: &[u8], length: u64) -> Result<(), Flaw> {
    if !head.starts_with(b"SQLite format 3\0") || head.len() < 108 {
        return Err(Flaw::damaged("it does not start like an SQLite database"));
    }
    let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let page = match u64::from(u16::from_be_bytes([head[16], head[17]])) {
        1 => 65536,
        size => size,
    };
    let pages = u64::from(number(28));
    // The count holds only where the file was last changed by a version that knows of it.
    if number(24) == number(92) && pages > 0 && pages * page != length {
        return Err(Flaw::Damaged(format!(
            "its header declares {} bytes, the file has {length}",
            pages * page
        )));
    }
    // The first page lists the tables: a leaf without an entry is what sqlite3 makes of a path that isn't there.
    let lists_nothing = head[100] == 0x0d && head[103..105] == [0, 0];
    if lists_nothing { Err(Flaw::Empty) } else { Ok(()) }
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
        // The roles alone, then each database.
        let both = [head, CLUSTER_END, b"\n--\n\n", PG].concat();
        assert_eq!(postgres(&both, b"-- PostgreSQL database dump complete\n--\n"), Ok(()));
        assert!(postgres(&both, CLUSTER_END).is_err());
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
    fn the_first_line_has_to_be_sql() {
        for line in [
            "-- x",
            "/* x */;",
            "\\connect x",
            "SET NAMES utf8;",
            "\n\ncreate table",
            "INSERT INTO t VALUES(1)",
            "begin;",
        ] {
            assert_eq!(first_line(line.as_bytes()), Ok(()), "{line}");
        }
        for line in [
            "mysqldump: [Warning] Using a password on the command line interface can be insecure.\n-- MySQL dump",
            "Error: no such container",
            "Using password\n",
            "time=\"2026\" level=warning msg=\"x\"\n-- PostgreSQL database dump",
            "hello",
        ] {
            assert!(first_line(line.as_bytes()).is_err(), "{line}");
        }
        assert!(mysql(b"Warning: x\n-- MySQL dump 8\n", b"-- Dump completed\n").is_err());
    }

    #[test]
    fn the_end_of_sqlites_sql_counts() {
        let begin = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n";
        let check = |text: String| sqlite(&mut text.as_bytes());
        assert_eq!(check(format!("{begin}INSERT INTO t VALUES(1);\nCOMMIT;\n")), Ok(()));
        assert_eq!(check(format!("{begin}{}\nCOMMIT;", "x".repeat(1_000_000))), Ok(()));
        for wrong in [
            format!("{begin}/**** ERROR: (5) database is locked *****/\nROLLBACK; -- due to errors\n"),
            format!("{begin}/**** ERROR: (11) malformed *****/\nCOMMIT;\n"),
            format!("{begin}ROLLBACK; -- due to errors\n"),
            format!("{begin}INSERT INTO t"),
            format!("Error: x\n{begin}COMMIT;\n"),
        ] {
            assert!(check(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
