//! Real files made by the real programs, whole, cut and changed.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::cancel::Cancel;
use common::process::{self, Limits};

use super::*;

pub(super) struct Folder(pub(super) tempfile::TempDir);

impl Folder {
    #[track_caller]
    pub(super) fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    #[track_caller]
    pub(super) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// What `program` makes of `input`.
#[track_caller]
pub(super) fn through(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped());
    let limits = Limits::within(Duration::from_secs(60));
    process::capture(&mut command, input, limits, None).unwrap().success().unwrap()
}

/// What could not be proved, or what is wrong.
#[track_caller]
pub(super) fn verdict(path: &Path, kind: Option<Kind>) -> Result<Option<String>, String> {
    within(Duration::from_secs(60), path, kind)
}

#[track_caller]
pub(super) fn within(limit: Duration, path: &Path, kind: Option<Kind>) -> Result<Option<String>, String> {
    let cancel = Cancel::new().unwrap();
    in_words(check(path, kind, &Budget::after(Instant::now(), Duration::ZERO, limit, &cancel)))
}

fn in_words(proof: Judgement) -> Result<Option<String>, String> {
    match proof {
        Ok(Proved::Whole) => Ok(None),
        Ok(Proved::Partly(why)) => Ok(Some(why)),
        Ok(Proved::Nothing { short, .. }) => Ok(Some(format!("unproved: {short}"))),
        Err(Flaw::Damaged(why)) => Err(why),
        Err(other) => Err(format!("{other:?}")),
    }
}

fn noise() -> Vec<u8> {
    let mut state = 12345_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..1_000_000).map(|_| next()).collect()
}

#[test]
fn a_changed_byte_is_seen() {
    let noise = noise();
    for (name, mut bytes) in [
        ("a.gz", through("gzip", &["-c"], &noise)),
        ("a.zst", through("zstd", &["-c", "-q", "--check"], &noise)),
    ] {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        assert!(verdict(&Folder::new().file(name, &bytes), None).is_err(), "{name}");
    }
}

#[test]
fn the_declared_kind_has_to_be_what_is_there() {
    let folder = Folder::new();
    let path = folder.file("a.sql", b"-- PostgreSQL database dump\n-- PostgreSQL database dump complete\n");
    assert_eq!(verdict(&path, Some(Kind::Postgres)), Ok(None));
    assert_eq!(verdict(&path, Some(Kind::Gzip)), Err("it is not gzip's".into()));
    assert_eq!(verdict(&path, Some(Kind::Zstd)), Err("it is not zstd's".into()));
    for kind in [Kind::Mysql, Kind::Sqlite, Kind::Tar, Kind::Json, Kind::Rdb] {
        assert!(verdict(&path, Some(kind)).is_err(), "{kind:?}");
    }
    assert_eq!(verdict(&path, Some(Kind::Any)), Ok(None));
}

#[test]
fn archives_are_walked_to_their_last_block() {
    let folder = Folder::new();
    folder.file("one", &noise());
    folder.file("two", b"small");
    let long = "long-name-".repeat(20);
    folder.file(&long, b"x");
    let place = folder.0.path().to_str().unwrap().to_string();
    for format in ["v7", "gnu", "posix", "ustar"] {
        let names: &[&str] =
            if ["v7", "ustar"].contains(&format) { &["one", "two"] } else { &["one", "two", &long] };
        let arguments = [&["-C", &place, "--format", format, "-c"], names].concat();
        let archive = through("tar", &arguments, b"");
        let whole = Folder::new();
        let path = whole.file("a.tar", &archive);
        assert_eq!(verdict(&path, Some(Kind::Tar)), Ok(None), "{format}");
        assert_eq!(verdict(&path, None), Ok(None));
        let mut changed = archive.clone();
        changed[0] ^= 1;
        for broken in [&archive[..600_000], &archive[..1_000_448], &changed] {
            assert!(verdict(&whole.file("b.tar", broken), Some(Kind::Tar)).is_err(), "{format}");
        }
        let path = whole.file("a.tar.gz", &through("gzip", &["-c"], &archive));
        assert_eq!(verdict(&path, Some(Kind::Tar)), Ok(None));
    }
}

#[test]
fn a_database_of_sqlite_is_asked_about_itself() {
    let folder = Folder::new();
    let path = folder.0.path().join("odd ?#% name.db");
    let mut rows = String::from("PRAGMA journal_mode=wal; CREATE TABLE t(a TEXT UNIQUE, b TEXT);");
    rows.push_str("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 2000) INSERT INTO t SELECT hex(randomblob(20)), hex(randomblob(90)) FROM c;");
    through("sqlite3", &[path.to_str().unwrap()], rows.as_bytes());
    assert_eq!(verdict(&path, Some(Kind::Sqlite)), Ok(None));
    assert_eq!(verdict(&path, None), Ok(None));
    let whole = fs::read(&path).unwrap();
    for cut in [whole.len() / 2, whole.len() - 4096] {
        assert!(verdict(&folder.file("cut.db", &whole[..cut]), Some(Kind::Sqlite)).is_err());
    }
    let mut changed = whole.clone();
    let middle = whole.len() / 2;
    changed[middle..middle + 4096].fill(0xab);
    let error = verdict(&folder.file("changed.db", &changed), Some(Kind::Sqlite)).unwrap_err();
    assert!(error.contains("quick_check") || error.contains("malformed"), "{error}");
    let names: Vec<_> = fs::read_dir(folder.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "nothing was written beside them: {names:?}");
}

/// `sqlite3 wrong-path.db .backup …` exits with 0.
#[test]
fn what_sqlite_makes_of_a_path_that_is_not_there_is_empty() {
    let folder = Folder::new();
    let place = |name: &str| folder.0.path().join(name).to_str().unwrap().to_string();
    through("sqlite3", &[&place("nosuch.db"), &format!(".backup '{}'", place("d.db"))], b"");
    let sql = through("sqlite3", &[&place("nosuch2.db"), ".dump"], b"");
    let packed = through("gzip", &["-c"], &fs::read(place("d.db")).unwrap());
    let (sql, packed) = (folder.file("d.sql", &sql), folder.file("d.sqlite.gz", &packed));
    for path in [PathBuf::from(place("d.db")), sql, packed] {
        assert_eq!(verdict(&path, None), Err("Empty".into()), "{}", path.display());
    }
}

#[test]
fn a_file_beside_a_database_is_reported_as_not_checked() {
    let folder = Folder::new();
    let path = folder.0.path().join("d.db");
    through("sqlite3", &[path.to_str().unwrap()], b"CREATE TABLE t(a);");
    assert_eq!(verdict(&path, None), Ok(None));
    folder.file("d.db-wal", b"x");
    let why = verdict(&path, None).unwrap().unwrap();
    assert!(why.contains("with -wal is beside it"), "{why}");
}

#[test]
fn json_may_be_one_value_or_many() {
    let folder = Folder::new();
    for (content, is_whole) in [
        ("{\"a\": [1, 2]}\n", true),
        ("{\"a\":1}\n{\"a\":2}\n", true),
        ("\u{feff}{\"a\": 1}\n", true),
        ("{\"a\": [1, 2", false),
        ("", false),
        (" \n", false),
        ("no", false),
    ] {
        for kind in [None, Some(Kind::Json)] {
            let path = folder.file("a.json", content.as_bytes());
            assert_eq!(verdict(&path, kind).is_ok(), is_whole, "{content}");
            let path = folder.file("a.json.gz", &through("gzip", &["-c"], content.as_bytes()));
            assert_eq!(verdict(&path, kind).is_ok(), is_whole, "{content} in gzip");
        }
    }
}

#[test]
fn an_interruption_ends_the_reading() {
    let folder = Folder::new();
    let path = folder.file("a.gz", &through("gzip", &["-c"], &noise()));
    let cancel = Cancel::new().unwrap();
    cancel.cancel();
    let budget = Budget::after(Instant::now(), Duration::ZERO, Duration::from_secs(60), &cancel);
    assert_eq!(check(&path, None, &budget), Err(Flaw::Interrupted));
}

#[test]
fn what_no_check_fits_is_unproved_and_never_ok() {
    let folder = Folder::new();
    for (name, content, short) in [
        ("app.bin", &b"anything"[..], "dump is of an unknown kind"),
        ("portainer.db", b"\xed\xda\x0c\xed\0\x01", "dump is of an unknown kind"),
        ("db.sql.age", b"age-encryption.org/v1\n-> X25519 abc\n", "dump is encrypted"),
        ("db.sql.gpg", b"\x8c\x0d\x04\x09\x03\x08", "dump is encrypted"),
        ("db.sql", b"INSERT INTO t VALUES (1);\n", "dump has no closing line"),
        (
            "app.log.gz",
            &through("gzip", &["-c"], b"Error: no such container\n"),
            "dump is of an unknown kind",
        ),
        ("db.xz", &through("xz", &["-c"], b"Error: no such container\n"), "dump is of an unknown kind"),
        (
            "db.age.gz",
            &through("gzip", &["-c"], b"age-encryption.org/v1\n-> X25519 abc\n"),
            "dump is encrypted",
        ),
    ] {
        let path = folder.file(name, content);
        assert_eq!(verdict(&path, None), Ok(Some(format!("unproved: {short}"))), "{name}");
        assert_eq!(verdict(&path, Some(Kind::Any)), Ok(None), "{name}: the declaration accepts that");
    }
    for name in [
        "d.sql",
        "kuma.db",
        "d.sqlite",
        "d.sql.xz",
        "d.zip",
        "d.sql.age",
        "d.json",
        "d.db3",
        "d.jsonl",
        "d.sql.br",
        "d.7z",
        "d.sql.lzo",
        "d.sql.Z",
    ] {
        let path = folder.file(name, b"Error: no such container: app\n");
        assert!(verdict(&path, None).is_err(), "{name}");
    }
}

/// Files that are small and ask for much.
#[test]
fn a_bomb_is_refused_by_what_it_asks_for() {
    let folder = Folder::new();
    // A frame that declares a window of 3.5 GiB (RFC 8878, 3.1.1.1.2), and a block that fills it.
    let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xb0][..], &[0x03, 0x00, 0x00, b'x'].repeat(1000)].concat();
    let single =
        [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(9_u64 << 30).to_le_bytes(), &[0x03, 0, 0, b'x']].concat();
    let xz = {
        // The dictionary of 4 GiB is in the block's header, which has a checksum of its own.
        let mut file = through("xz", &["-c"], b"hello hello hello");
        file[16] = 40;
        let sum = crc32(&file[12..20]);
        file[20..24].copy_from_slice(&sum.to_le_bytes());
        file
    };
    let nested = through("gzip", &["-c"], &vec![b'['; 5_000_000]);
    for (name, content, why) in [
        ("a.zst", window, "its window is larger than the 128 MiB that zstd itself accepts"),
        ("b.zst", single, "its window is larger than the 128 MiB that zstd itself accepts"),
        ("a.sql.xz", xz, "it needs more memory to unpack than any honest file"),
        ("x.json.gz", nested, "its JSON is nested more than 10000 levels deep"),
    ] {
        assert_eq!(verdict(&folder.file(name, &content), None), Err(why.into()), "{name}");
    }
}

/// IEEE 802.3's, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), step))
}

#[test]
fn a_bomb_that_takes_long_is_given_up_in_time() {
    let folder = Folder::new();
    let zeros = through("sh", &["-c", "head -c 600000000 /dev/zero | gzip -1"], b"");
    let path = folder.file("a.gz", &zeros);
    let started = Instant::now();
    let limit = Duration::from_millis(100);
    assert_eq!(within(limit, &path, None), Err(format!("OutOfTime({limit:?})")));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // So small that they are in memory before the first byte is unpacked.
    let frame = &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58][..];
    let zstd = [frame, &[0x02, 0x00, 0x10, b'x'].repeat(60_000)].concat();
    let bzip2 = through("sh", &["-c", "head -c 20000000 /dev/zero | bzip2"], b"").repeat(1000);
    for (name, content) in [("a.zst", zstd), ("a.bz2", bzip2)] {
        let path = folder.file(name, &content);
        let started = Instant::now();
        assert_eq!(within(limit, &path, None), Err(format!("OutOfTime({limit:?})")), "{name}");
        assert!(started.elapsed() < Duration::from_secs(5), "{name}: {:?}", started.elapsed());
    }
}

#[test]
fn a_decoder_that_panics_is_a_damaged_dump() {
    assert_eq!(guarded(|| panic!("in a decoder")), Err(Flaw::Damaged("its decoder gave up on it".into())));
}

/// Whatever is in a file: no panic gets out, and nothing hangs.
#[test]
fn random_damage_is_refused_or_seen() {
    let folder = Folder::new();
    let text = "INSERT INTO t VALUES (1);\n".repeat(2000);
    let mut state = 4711_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap()
    };
    for (program, ending) in
        [("gzip", ".gz"), ("zstd", ".zst"), ("xz", ".xz"), ("bzip2", ".bz2"), ("lz4", ".lz4")]
    {
        let whole = through(program, &["-c"], text.as_bytes());
        for _ in 0..200 {
            let mut bytes = whole.clone();
            for _ in 0..=next() % 3 {
                let place = next() % bytes.len();
                bytes[place] ^= u8::try_from(next() % 255 + 1).unwrap();
            }
            bytes.truncate(bytes.len() - next() % 20);
            let _ = verdict(&folder.file(&format!("a{ending}"), &bytes), Some(Kind::Any));
        }
    }
}

#[test]
fn what_the_user_may_not_read_is_not_called_damaged() {
    let folder = Folder::new();
    let path = folder.0.path().join("gone");
    assert!(
        matches!(within(Duration::from_secs(1), &path, None), Err(why) if why.starts_with("Unreadable("))
    );
}

/// Valkey 9 writes another name in front; none of Debian's versions does yet.
#[test]
fn a_snapshot_of_valkey_is_known() {
    let redis = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dumps/bookworm/server.rdb")).unwrap();
    let mut valkey = [&b"VALKEY080"[..], &redis[9..redis.len() - 8]].concat();
    // Without a checksum, as `rdbchecksum no` writes it.
    valkey.extend([0; 8]);
    let folder = Folder::new();
    for kind in [None, Some(Kind::Rdb)] {
        assert_eq!(verdict(&folder.file("dump.rdb", &valkey), kind), Ok(None));
        assert!(verdict(&folder.file("dump.rdb", &valkey[..valkey.len() - 20]), kind).is_err());
    }
}
