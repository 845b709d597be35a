//! The dumps of `tests/dumps`, made by the oldest and the newest programs that Debian has: whole, under every
//! compression, cut, and with a text in front.

use std::fs;
use std::path::PathBuf;

use super::super::super::declare::Kind;
use super::tests::{Folder, through, verdict};

const SUITES: [&str; 2] = ["bookworm", "trixie"];
/// Each with its program, that program's options, and the ending of its files.
const COMPRESSIONS: [(&str, &[&str], &str); 5] = [
    ("gzip", &["-c"], ".gz"),
    ("zstd", &["-c", "-q"], ".zst"),
    ("xz", &["-c"], ".xz"),
    ("bzip2", &["-c"], ".bz2"),
    ("lz4", &["-c", "-q"], ".lz4"),
];

fn dump(suite: &str, name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dumps")).join(suite).join(name)
}

/// Every whole dump with the kind that it is.
fn whole_dumps() -> impl Iterator<Item = (&'static str, &'static str, Kind)> {
    let names = [
        ("pg.sql", Kind::Postgres),
        ("pg-cluster.sql", Kind::Postgres),
        ("pg.dump", Kind::Postgres),
        ("pg.tar", Kind::Postgres),
        ("mariadb.sql", Kind::Mysql),
        ("sqlite.sql", Kind::SqliteSql),
        ("sqlite.db", Kind::Sqlite),
        ("server.rdb", Kind::Rdb),
        ("client.rdb", Kind::Rdb),
    ];
    SUITES.into_iter().flat_map(move |suite| names.into_iter().map(move |(name, kind)| (suite, name, kind)))
}

/// What the host's pg_restore, which is older, can't read is not refused, but not called whole either.
fn is_newer_archive(suite: &str, name: &str) -> bool {
    suite == "trixie" && ["pg.dump", "pg.tar"].contains(&name)
}

#[test]
fn a_good_dump_is_never_refused() {
    for (suite, name, kind) in whole_dumps() {
        let path = dump(suite, name);
        for kind in [Some(kind), None] {
            let verdict = verdict(&path, kind).unwrap_or_else(|why| panic!("{suite}/{name}: {why}"));
            assert!(verdict.is_none() || is_newer_archive(suite, name), "{suite}/{name}: {verdict:?}");
        }
    }
    for suite in SUITES {
        for name in ["mariadb-compact.sql", "mariadb-no-comments.sql"] {
            let expected = Ok(Some("unproved: dump has no closing line".into()));
            assert_eq!(verdict(&dump(suite, name), None), expected, "{suite}/{name}");
        }
    }
}

#[test]
fn every_kind_works_through_every_compression() {
    let folder = Folder::new();
    for (suite, name, kind) in whole_dumps() {
        let content = fs::read(dump(suite, name)).unwrap();
        for (program, options, ending) in COMPRESSIONS {
            let packed = through(program, options, &content);
            let path = folder.file(&format!("{name}{ending}"), &packed);
            for kind in [Some(kind), None] {
                let verdict =
                    verdict(&path, kind).unwrap_or_else(|why| panic!("{suite}/{name}{ending}: {why}"));
                let is_proved = verdict.is_none()
                    || is_newer_archive(suite, name)
                    || ["sqlite.db", "pg.tar"].contains(&name);
                assert!(is_proved, "{suite}/{name}{ending}: {verdict:?}");
            }
            let cut = through(program, options, &content[..content.len() - 150]);
            let verdict_of_cut = verdict(&folder.file("cut", &cut), Some(kind));
            let is_padded = name == "pg.tar";
            assert!(
                verdict_of_cut.is_err() || is_padded || is_newer_archive(suite, name),
                "{suite}/{name}{ending}, cut before it was compressed: {verdict_of_cut:?}"
            );
            let path = folder.file(&format!("{name}{ending}"), &packed[..packed.len() - 9]);
            assert!(verdict(&path, Some(kind)).is_err(), "{suite}/{name}{ending}, cut");
        }
    }
}

#[test]
fn cut_anywhere_or_with_a_text_in_front_it_is_not_whole() {
    let folder = Folder::new();
    for (suite, name, kind) in whole_dumps() {
        let content = fs::read(dump(suite, name)).unwrap();
        for cut in [content.len() / 4, content.len() / 2, content.len() - 12] {
            // The closing line is not the last, and tar pads an archive with more zeros than it needs.
            let cut = if name.ends_with(".sql") { cut.min(content.len() - 150) } else { cut };
            let cut = if name == "pg.tar" { cut.min(content.len() - 10_000) } else { cut };
            let path = folder.file(name, &content[..cut]);
            assert!(
                verdict(&path, Some(kind)).is_err() || is_newer_archive(suite, name),
                "{suite}/{name} to {cut}"
            );
        }
        let warning =
            b"mysqldump: [Warning] Using a password on the command line interface can be insecure.\n";
        let path = folder.file(name, &[&warning[..], &content].concat());
        assert!(verdict(&path, Some(kind)).is_err(), "{suite}/{name} with a warning in front");
        // Of a name such as pg.dump nothing can be expected; but it is never called whole.
        assert_ne!(
            verdict(&path, None),
            Ok(None),
            "{suite}/{name} with a warning in front, its kind not declared"
        );
    }
}

/// In all three the program exited with 0.
#[test]
fn what_sqlite_makes_of_a_locked_or_damaged_database_is_refused() {
    for name in ["sqlite-locked.sql", "sqlite-damaged.sql"] {
        for suite in SUITES {
            for kind in [None, Some(Kind::SqliteSql)] {
                assert!(verdict(&dump(suite, name), kind).is_err(), "{suite}/{name}");
            }
        }
    }
}

#[test]
fn a_compressed_nothing_is_empty_whatever_packed_it() {
    let folder = Folder::new();
    for (program, options, ending) in COMPRESSIONS {
        let path = folder.file(&format!("d.sql{ending}"), &through(program, options, b""));
        assert_eq!(verdict(&path, None), Err("Empty".into()), "{ending}");
        let path =
            folder.file(&format!("d.sql{ending}"), &through(program, options, b"Error: no such container\n"));
        assert!(
            verdict(&path, None).unwrap_err().starts_with("its first line is not SQL: Error: "),
            "{ending}"
        );
    }
}

/// Several blocks each, so that an end between two of them is tried too.
#[test]
fn a_compressed_file_is_whole_only_with_its_last_byte() {
    let text = "-- PostgreSQL database dump\n".repeat(5_000) + "-- PostgreSQL database dump complete\n";
    let variants: [(&str, &[&str], &str, Kind); 8] = [
        ("gzip", &["-c"], ".gz", Kind::Gzip),
        ("zstd", &["-c", "-q"], ".zst", Kind::Zstd),
        ("zstd", &["-c", "-q", "--no-check"], ".zst", Kind::Zstd),
        ("xz", &["-c", "--block-size=50000"], ".xz", Kind::Xz),
        ("xz", &["-c", "--check=none"], ".xz", Kind::Xz),
        ("bzip2", &["-c", "-1"], ".bz2", Kind::Bzip2),
        ("lz4", &["-c", "-q", "-B4"], ".lz4", Kind::Lz4),
        ("lz4", &["-c", "-q", "-B4", "-BD", "--no-frame-crc"], ".lz4", Kind::Lz4),
    ];
    let folder = Folder::new();
    for (program, options, ending, kind) in variants {
        let whole = through(program, options, text.as_bytes());
        let name = format!("d.sql{ending}");
        assert_eq!(verdict(&folder.file(&name, &whole), None), Ok(None), "{program} {options:?}");
        for cut in 1..whole.len() {
            let path = folder.file(&name, &whole[..cut]);
            assert!(
                verdict(&path, Some(kind)).is_err(),
                "{program} {options:?}, {cut} of {} bytes",
                whole.len()
            );
        }
    }
}

/// As `cat a.gz b.gz` and `>>` make them; an empty part is one, too.
#[test]
fn a_compressed_file_may_have_several_parts() {
    let folder = Folder::new();
    let content = fs::read(dump("bookworm", "pg.sql")).unwrap();
    let (first, second) = content.split_at(content.len() / 2);
    for (program, options, ending) in COMPRESSIONS {
        let packed = |text: &[u8]| through(program, options, text);
        let (first, second, nothing) = (packed(first), packed(second), packed(b""));
        let name = format!("d.sql{ending}");
        let whole = [&nothing[..], &first, &nothing, &second, &nothing].concat();
        assert_eq!(verdict(&folder.file(&name, &whole), None), Ok(None), "{ending}");
        for wrong in [&first[..], &[&first[..], &second[..20]].concat(), &[&whole[..], b"garbage"].concat()] {
            assert!(verdict(&folder.file(&name, wrong), None).is_err(), "{ending}");
        }
    }
}

#[test]
fn a_folder_of_pg_dump_is_one_dump() {
    for suite in SUITES {
        let source = dump(suite, "pg.folder");
        for path in [source.clone(), source.join("toc.dat")] {
            for kind in [None, Some(Kind::Postgres)] {
                let verdict = verdict(&path, kind);
                assert!(
                    verdict == Ok(None) || (suite == "trixie" && verdict.is_ok()),
                    "{suite}: {verdict:?}"
                );
            }
        }
        let copy = Folder::new();
        for file in fs::read_dir(&source).unwrap().flatten() {
            fs::copy(file.path(), copy.0.path().join(file.file_name())).unwrap();
        }
        let data = fs::read_dir(&source).unwrap().flatten().map(|file| file.file_name());
        let data = data.into_iter().find(|name| name.to_string_lossy().contains(".dat.")).unwrap();
        let path = copy.0.path().join(data);
        let content = fs::read(&path).unwrap();
        // tidy: a test cuts a dump.
        fs::write(&path, &content[..content.len() / 2]).unwrap();
        assert!(
            verdict(copy.0.path(), None).unwrap_err().ends_with("the file ends too early"),
            "{suite}, cut"
        );
        fs::remove_file(&path).unwrap();
        assert!(
            verdict(copy.0.path(), None).unwrap_err().ends_with("which toc.dat names, is missing"),
            "{suite}"
        );
    }
}

/// An archive of texts is an archive, whatever its first text is.
#[test]
fn a_tar_is_known_before_the_text_in_it() {
    let folder = Folder::new();
    folder.file("README", b"# notes\n");
    fs::copy(dump("bookworm", "pg.sql"), folder.0.path().join("db.sql")).unwrap();
    let place = folder.0.path().to_str().unwrap().to_string();
    for order in [["db.sql", "README"], ["README", "db.sql"]] {
        let archive = through("tar", &[&["-C", &place, "-c"][..], &order].concat(), b"");
        let oldest = through("tar", &[&["-C", &place, "--format=v7", "-c"][..], &order].concat(), b"");
        for (name, content) in
            [("a.tar", archive.clone()), ("a.tgz", through("gzip", &["-c"], &archive)), ("old.tar", oldest)]
        {
            let path = folder.file(name, &content);
            assert_eq!(verdict(&path, None), Ok(None), "{name} of {order:?}");
            let path = folder.file(name, &content[..content.len() / 3]);
            assert!(verdict(&path, None).is_err(), "{name} of {order:?}, cut");
        }
    }
}
