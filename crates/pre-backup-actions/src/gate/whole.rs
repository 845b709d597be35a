//! Whether a file is whole for its kind: compressed ones are read to their end, databases are asked, the others have
//! their own mark.
//!
//! Compression is seen by the first bytes, so `kind=postgres` holds for `db.sql`, `db.sql.gz` and `db.sql.zst` alike.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::cancel::Cancel;
use common::process::{self, Limits};
use common::text::escape;
use flate2::bufread::MultiGzDecoder;
use nix::fcntl::OFlag;
use serde::de::IgnoredAny;

use super::zstd_frames::Frames;
use super::{rdb, sql, tar};
use crate::declare::Kind;

/// Enough for the first and the last lines of a dump.
const EDGE: usize = 8 << 10;
const BUFFER: usize = 256 << 10;
/// quick_check and pg_restore read a large dump from a slow disk.
const LIMIT: Duration = Duration::from_secs(6 * 3600);

/// How pg_restore says that it does not know the archive's format or its compression.
const CAN_NOT_READ: [&str; 2] = ["unsupported version", "does not support compression"];

/// What is said of a file that is whole as a file and yet no dump: what a pipe makes of a dump program that failed.
pub(super) const NOTHING: &str = "there is nothing in it";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn word(self) -> &'static str {
        match self {
            Compression::None => "plain",
            Compression::Gzip => "gzip's",
            Compression::Zstd => "zstd's",
        }
    }
}

/// Checks the file at `path`; `kind` as declared. Gives what could not be proved, or says what was seen instead of a
/// whole dump.
pub(super) fn check(path: &Path, kind: Option<Kind>, cancel: &Cancel) -> Result<Option<String>, String> {
    // Something else that takes its place just now, a FIFO, must not keep us waiting.
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(told)?;
    let length = file.metadata().map_err(told)?.len();
    let mut magic = [0; 4];
    let known = read_some(&mut file, &mut magic).and_then(|n| file.rewind().map(|()| n)).map_err(told)?;
    let compression = match &magic[..known] {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        [first, 0x2a, 0x4d, 0x18] if first & 0xf0 == 0x50 => Compression::Zstd,
        _ => Compression::None,
    };
    match (kind, compression) {
        (Some(Kind::Gzip), Compression::None | Compression::Zstd) => {
            return Err("it is not gzip's".into());
        }
        (Some(Kind::Zstd), Compression::None | Compression::Gzip) => {
            return Err("it is not zstd's".into());
        }
        _ => {}
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (packed, inner) = packed_by_name(&name);
    // Where nothing is declared, the name is: an error message in db.sql.gz is no dump.
    if let (None, Some(packed)) = (kind, packed.filter(|packed| *packed != compression)) {
        return Err(format!("it is not {}, as its name says", packed.word()));
    }
    let source =
        BufReader::with_capacity(BUFFER, Cancellable { inner: file.try_clone().map_err(told)?, cancel });
    let mut content: Box<dyn Read> = match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(MultiGzDecoder::new(source)),
        Compression::Zstd => Box::new(Frames::new(source)),
    };
    let mut head = vec![0; EDGE];
    let known = read_some(&mut content, &mut head).map_err(told)?;
    head.truncate(known);
    if head.is_empty() {
        return Err(NOTHING.into());
    }
    let kind = kind.unwrap_or_else(|| sql::recognize(&head, &inner));
    let whole = Whole { path, head, content, compression, length, cancel };
    match kind {
        Kind::Any | Kind::Gzip | Kind::Zstd => whole.any(),
        Kind::Postgres => whole.postgres(&mut file),
        Kind::Mysql => whole.sql(&mut file, sql::mysql),
        Kind::Sqlite => whole.sqlite(),
        Kind::Tar => whole.stream(tar::check),
        Kind::Rdb => whole.stream(rdb::check),
        Kind::Json => whole.stream(json),
    }
}

/// A file of which the beginning was read.
struct Whole<'a> {
    path: &'a Path,
    head: Vec<u8>,
    /// What follows the head, decompressed.
    content: Box<dyn Read + 'a>,
    compression: Compression,
    length: u64,
    cancel: &'a Cancel,
}

type Proof = Result<Option<String>, String>;

impl Whole<'_> {
    fn any(mut self) -> Proof {
        if self.compression != Compression::None {
            drain(&mut self.content)?;
        }
        Ok(None)
    }

    fn stream(self, check: fn(&mut dyn Read) -> Result<(), String>) -> Proof {
        let mut all = Cursor::new(self.head).chain(self.content);
        check(&mut all)?;
        // A checksum stands at a compressed file's very end.
        drain(&mut all)?;
        Ok(None)
    }

    fn postgres(mut self, file: &mut File) -> Proof {
        if !self.head.starts_with(b"PGDMP") && !self.head.starts_with(sql::PG_TAR) {
            return self.sql(file, sql::postgres);
        }
        if self.head.starts_with(sql::PG_TAR) {
            // pg_restore looks for what it needs and does not see that the end is missing.
            tar::check(&mut Cursor::new(&self.head).chain(&mut self.content))?;
        }
        if self.compression != Compression::None {
            drain(&mut self.content)?;
            return Ok(Some(
                "pg_restore can't look into a compressed archive; only the compression was checked".into(),
            ));
        }
        // To SQL that nobody reads: `--list` reads the table of contents at the beginning and nothing after it.
        let mut command = Command::new("pg_restore");
        // What it says is looked at, so it has to be in one language.
        command.arg("--file=/dev/null").arg(self.path).env("LC_ALL", "C");
        match self.ask(&mut command, "pg_restore") {
            Ok(Some(_)) => Ok(None),
            Ok(None) => Ok(Some(
                "pg_restore is not installed, so the archive was not read (package postgresql-client)".into(),
            )),
            // The container's pg_dump is newer than this host's client, or built with more; the dump is none the worse.
            Err(why) if CAN_NOT_READ.iter().any(|part| why.contains(part)) => {
                Ok(Some(format!("{why}: a newer postgresql-client is needed to read the archive")))
            }
            Err(why) => Err(why),
        }
    }

    fn sql(mut self, file: &mut File, check: fn(&[u8], &[u8]) -> Result<(), String>) -> Proof {
        let tail = match self.compression {
            Compression::None => {
                let start = self.length.saturating_sub(EDGE as u64);
                let mut tail = Vec::new();
                file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(&mut tail)).map_err(told)?;
                tail
            }
            Compression::Gzip | Compression::Zstd => last_bytes(&self.head, &mut self.content)?,
        };
        check(&self.head, &tail).map(|()| None)
    }

    fn sqlite(mut self) -> Proof {
        if self.compression != Compression::None {
            let length = self.head.len() as u64 + drain(&mut self.content)?;
            sql::sqlite_header(&self.head, length)?;
            return Ok(Some(
                "sqlite3 can't look into a compressed database; its size and compression were checked".into(),
            ));
        }
        sql::sqlite_header(&self.head, self.length)?;
        let mut command = Command::new("sqlite3");
        // Immutable: no lock, no journal, nothing is written beside the dump.
        command
            .args(["-batch", "-init", "/dev/null", "-readonly"])
            .arg(immutable_uri(self.path))
            .arg("PRAGMA quick_check(1);");
        match self.ask(&mut command, "sqlite3")? {
            Some(answer) if answer.trim_ascii() == b"ok" => Ok(None),
            Some(answer) => Err(format!("quick_check: {}", escape(answer.trim_ascii()))),
            None => Ok(Some("sqlite3 is not installed, so quick_check was not run (package sqlite3)".into())),
        }
    }

    /// What a program says about the file; `None` where it is not installed.
    fn ask(&self, command: &mut Command, name: &str) -> Result<Option<Vec<u8>>, String> {
        let captured = match process::capture(command, b"", Limits::within(LIMIT), Some(self.cancel)) {
            Ok(captured) => captured,
            Err(error) if is_not_installed(&error) => return Ok(None),
            Err(error) => return Err(common::exit::one_line(&error)),
        };
        if captured.end.is_success() {
            return Ok(Some(captured.stdout));
        }
        let said = captured.stderr.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty());
        Err(format!("{name}: {}: {}", captured.end, escape(said.unwrap_or_default().trim_ascii())))
    }
}

/// How a file of that name is compressed, where the name says so, and the name of what is in it.
fn packed_by_name(name: &str) -> (Option<Compression>, String) {
    let endings = [
        (".gz", Compression::Gzip, ""),
        (".tgz", Compression::Gzip, ".tar"),
        (".zst", Compression::Zstd, ""),
        (".tzst", Compression::Zstd, ".tar"),
    ];
    let known = endings.iter().find_map(|(ending, packed, inner)| {
        Some((Some(*packed), format!("{}{inner}", name.strip_suffix(ending)?)))
    });
    known.unwrap_or_else(|| (None, name.to_string()))
}

fn is_not_installed(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::NotFound)
}

/// SQLite's name of a file that nobody writes to; all but plain characters stand as their codes.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri + "?immutable=1"
}

/// One JSON value or several, one after another.
fn json(content: &mut dyn Read) -> Result<(), String> {
    let mut values = 0;
    for value in serde_json::Deserializer::from_reader(BufReader::with_capacity(BUFFER, content))
        .into_iter::<IgnoredAny>()
    {
        value.map_err(|error| error.to_string())?;
        values += 1;
    }
    if values == 0 { Err("no JSON in it".into()) } else { Ok(()) }
}

/// Reads `content` to its end and keeps the last bytes of it and the `head` before it.
fn last_bytes(head: &[u8], content: &mut dyn Read) -> Result<Vec<u8>, String> {
    let mut last: VecDeque<u8> = head.iter().copied().collect();
    let mut chunk = vec![0; BUFFER];
    loop {
        let length = content.read(&mut chunk).map_err(told)?;
        if length == 0 {
            return Ok(last.into());
        }
        let new = &chunk[length.saturating_sub(EDGE)..length];
        last.drain(..(last.len() + new.len()).saturating_sub(EDGE).min(last.len()));
        last.extend(new);
    }
}

fn drain(content: &mut dyn Read) -> Result<u64, String> {
    // io::copy's own buffer is small; decoders like a large one.
    let mut chunk = vec![0; BUFFER];
    let mut sum = 0;
    loop {
        match content.read(&mut chunk).map_err(told)? {
            0 => return Ok(sum),
            length => sum += length as u64,
        }
    }
}

fn read_some(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn told(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the file ends too early".into(),
        _ => escape(error.to_string().as_bytes()),
    }
}

/// A file that is not read on once we were asked to stop.
struct Cancellable<'a> {
    inner: File,
    cancel: &'a Cancel,
}

impl Read for Cancellable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests;
