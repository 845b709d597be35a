//! Whether a file is whole for its kind: compressed ones are read to their end, databases are asked, the others have
//! their own mark.
//!
//! Compression is seen by the first bytes, so `kind=postgres` holds for `db.sql`, `db.sql.gz` and `db.sql.zst` alike.
//! What a reader would get wrong: a file that no check fits is not whole, it is unproved.

mod archive;
mod ask;
mod compression;
mod folder;
mod json;
mod names;
mod rdb;
mod sql;
mod tar;
mod zstd_frames;

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use common::text::escape;
use nix::fcntl::OFlag;

use super::Budget;
use crate::declare::Kind;

/// Enough for the first and the last lines of a dump.
const EDGE: usize = 8 << 10;
const BUFFER: usize = 256 << 10;

/// What is known of a dump about which nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proved {
    Whole,
    /// A part could not be checked, because of this.
    Partly(String),
    /// Nothing could be: in a few words, and in more.
    Nothing {
        short: &'static str,
        why: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is whole as a file and holds nothing: what a pipe makes of a dump program that failed.
    Empty,
    /// This was seen instead.
    Damaged(String),
    /// The user may not read it, or the disk can't.
    Unreadable(String),
    /// The checks took longer than this script's limit.
    OutOfTime(Duration),
    /// We were asked to stop.
    Interrupted,
}

impl Flaw {
    fn damaged(why: &str) -> Flaw {
        Flaw::Damaged(why.into())
    }
}

type Judgement = Result<Proved, Flaw>;

/// Checks the file, or the folder, at `path`; `kind` as declared.
pub(super) fn check(path: &Path, kind: Option<Kind>, budget: &Budget) -> Judgement {
    let content = Source::open(path, budget).map_err(|error| Flaw::Unreadable(error.to_string()))?;
    let proof = guarded(|| match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => folder::check(path, budget),
        _ => check_file(path, kind, &content, budget),
    });
    match proof {
        Err(_) if budget.cancel.is_cancelled() => Err(Flaw::Interrupted),
        Err(_) if budget.left().is_zero() => Err(Flaw::OutOfTime(budget.limit)),
        // The file could not be read to its end; whatever the decoder made of that.
        Err(_) if content.failure.get().is_some() => {
            let error = content.failure.take().unwrap_or(ErrorKind::Other);
            Err(Flaw::Unreadable(io::Error::from(error).to_string()))
        }
        proof => proof,
    }
}

thread_local! {
    /// A panic in this thread is caught and reported as a damaged dump; its own words would only confuse.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `check` returns. A decoder that panics on a file that was made for that has not proved anything.
fn guarded(check: impl FnOnce() -> Judgement) -> Judgement {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                others(panic);
            }
        }));
    });
    let before = IS_GUARDED.replace(true);
    let checked = catch_unwind(AssertUnwindSafe(check));
    IS_GUARDED.set(before);
    checked.unwrap_or_else(|_| Err(Flaw::damaged("its decoder gave up on it")))
}

fn check_file(path: &Path, kind: Option<Kind>, source: &Source, budget: &Budget) -> Judgement {
    let magic = read_some(&mut &*source, 16)?;
    (&source.file).rewind().map_err(flaw)?;
    let packed = compression::of(&magic);
    if let Some(declared) = kind.filter(|kind| kind.is_compression() && Some(*kind) != packed) {
        return Err(Flaw::Damaged(format!("it is not {}'s", declared.word())));
    }
    let promise = names::promise(path);
    // If nothing is declared, the name is: an error message in db.sql.gz is not a dump.
    if let (None, Some(promised)) = (kind, promise.packed.filter(|_| promise.packed != packed)) {
        return Err(Flaw::Damaged(format!("it is not {}'s, as its name says", promised.word())));
    }
    // A small file may unpack to so much that the file itself is not read for hours.
    let mut content: Box<dyn Read> = Box::new(Bounded { inner: compression::reader(packed, source), budget });
    let head = read_some(&mut content, EDGE)?;
    if head.is_empty() {
        return Err(Flaw::Empty);
    }
    let whole = Whole { path, head, content, packed, source, budget };
    let kind = match kind {
        Some(kind) => kind,
        None => match names::recognize(&whole.head, &promise.inner) {
            Some(kind) => kind,
            None => return whole.unknown(promise.is_sealed),
        },
    };
    match kind {
        Kind::Any | Kind::Gzip | Kind::Zstd | Kind::Xz | Kind::Bzip2 | Kind::Lz4 => whole.any(),
        Kind::Postgres => archive::check(whole),
        Kind::Mysql => whole.sql(sql::mysql),
        Kind::Sql => whole.unknown_sql(),
        Kind::Sqlite => whole.sqlite(),
        Kind::SqliteSql => whole.stream(sql::sqlite),
        Kind::Tar => whole.stream(tar::check),
        Kind::Rdb => whole.stream(rdb::check),
        Kind::Json => whole.stream(json::check),
    }
}

/// A file of which the beginning was read.
struct Whole<'a> {
    path: &'a Path,
    head: Vec<u8>,
    /// What follows the head, decompressed.
    content: Box<dyn Read + 'a>,
    packed: Option<Kind>,
    source: &'a Source<'a>,
    budget: &'a Budget<'a>,
}

impl Whole<'_> {
    fn any(mut self) -> Judgement {
        self.unpack()?;
        Ok(Proved::Whole)
    }

    /// Reads what follows the head to its end, if that proves anything. Returns its length.
    fn unpack(&mut self) -> Result<u64, Flaw> {
        if self.packed.is_some() { drain(&mut self.content) } else { Ok(0) }
    }

    /// Nothing is known about it but, if it is compressed, that it is whole as that.
    fn unknown(mut self, is_sealed: bool) -> Judgement {
        self.unpack()?;
        if folder::holds(self.path) {
            return Ok(Proved::Whole);
        }
        if let Some(program) = names::encryption(&self.head) {
            let why = format!("it is encrypted ({program}), so nothing in it could be checked");
            return Ok(Proved::Nothing { short: "dump is encrypted", why });
        }
        if is_sealed && names::is_text(&self.head) {
            return Err(Flaw::damaged("it is not what its name says, but text"));
        }
        let why = match self.packed {
            None => {
                "it is of an unknown kind, so nothing in it could be checked; kind=any accepts that".into()
            }
            Some(packed) => format!(
                "its compression is whole, but what is in it is of an unknown kind; kind={} accepts that",
                packed.word()
            ),
        };
        Ok(Proved::Nothing { short: "dump is of an unknown kind", why })
    }

    fn stream(self, check: fn(&mut dyn Read) -> Result<(), Flaw>) -> Judgement {
        let mut all = Cursor::new(self.head).chain(self.content);
        check(&mut all)?;
        // A checksum is at a compressed file's very end.
        drain(&mut all)?;
        Ok(Proved::Whole)
    }

    fn sql(mut self, check: fn(&[u8], &[u8]) -> Result<(), String>) -> Judgement {
        let tail = self.tail()?;
        check(&self.head, &tail).map(|()| Proved::Whole).map_err(Flaw::Damaged)
    }

    fn unknown_sql(mut self) -> Judgement {
        sql::first_line(&self.head).map_err(Flaw::Damaged)?;
        self.tail()?;
        Ok(Proved::Nothing {
            short: "dump has no closing line",
            why: "it is SQL without the closing line of a dump program, so a missing end can't be seen"
                .into(),
        })
    }

    fn tail(&mut self) -> Result<Vec<u8>, Flaw> {
        if self.packed.is_some() {
            return last_bytes(&self.head, &mut self.content);
        }
        let mut tail = Vec::new();
        let start = self.source.length.saturating_sub(EDGE as u64);
        (&self.source.file).seek(SeekFrom::Start(start)).map_err(flaw)?;
        (&mut &*self.source).read_to_end(&mut tail).map_err(flaw)?;
        Ok(tail)
    }

    fn sqlite(mut self) -> Judgement {
        let length = match self.packed {
            Some(_) => self.head.len() as u64 + self.unpack()?,
            None => self.source.length,
        };
        sql::sqlite_header(&self.head, length)?;
        if self.packed.is_some() {
            let why = "sqlite3 can't look into a compressed database; its size and compression were checked";
            return Ok(Proved::Partly(why.into()));
        }
        let proved = ask::sqlite(self.path, self.budget)?;
        // The file of a live database, of which the newest part is in another file.
        for ending in ["-wal", "-journal"] {
            let mut beside = self.path.as_os_str().to_os_string();
            beside.push(ending);
            if fs::metadata(beside).is_ok_and(|metadata| metadata.len() > 0) {
                let why = format!("a file of the same name with {ending} is beside it and was not checked");
                return Ok(Proved::Partly(format!("{why}; sqlite3's .backup makes one whole file")));
            }
        }
        Ok(proved)
    }
}

/// Reads `content` to its end and keeps the last bytes of it and the `head` before it.
fn last_bytes(head: &[u8], content: &mut dyn Read) -> Result<Vec<u8>, Flaw> {
    let mut last: VecDeque<u8> = head.iter().copied().collect();
    let mut chunk = vec![0; BUFFER];
    loop {
        let length = content.read(&mut chunk).map_err(flaw)?;
        if length == 0 {
            return Ok(last.into());
        }
        let new = &chunk[length.saturating_sub(EDGE)..length];
        last.drain(..(last.len() + new.len()).saturating_sub(EDGE).min(last.len()));
        last.extend(new);
    }
}

fn drain(content: &mut dyn Read) -> Result<u64, Flaw> {
    // io::copy's own buffer is small; decoders like a large one.
    let mut chunk = vec![0; BUFFER];
    let mut sum = 0;
    loop {
        match content.read(&mut chunk).map_err(flaw)? {
            0 => return Ok(sum),
            length => sum += length as u64,
        }
    }
}

/// The next `length` bytes, or what is left.
fn read_some(reader: &mut dyn Read, length: usize) -> Result<Vec<u8>, Flaw> {
    let mut bytes = Vec::with_capacity(length);
    reader.take(length as u64).read_to_end(&mut bytes).map_err(flaw)?;
    Ok(bytes)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn flaw(error: io::Error) -> Flaw {
    match error.kind() {
        ErrorKind::UnexpectedEof => Flaw::damaged("the file ends too early"),
        _ => Flaw::Damaged(escape(error.to_string().as_bytes())),
    }
}

/// The file itself, which is not read on once the time is over or we were asked to stop.
struct Source<'a> {
    file: File,
    length: u64,
    budget: &'a Budget<'a>,
    /// What kept it from being read: that is not the decoder's business.
    failure: Cell<Option<ErrorKind>>,
}

impl<'a> Source<'a> {
    fn open(path: &Path, budget: &'a Budget<'a>) -> io::Result<Source<'a>> {
        // Something else that takes its place just now, a FIFO, must not keep us waiting.
        let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let length = file.metadata()?.len();
        Ok(Source { file, length, budget, failure: Cell::new(None) })
    }
}

/// Reads on where the file stands.
impl Read for &Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.budget.go_on()?;
        (&self.file).read(buffer).inspect_err(|error| self.failure.set(Some(error.kind())))
    }
}

/// Reads as long as there is time.
struct Bounded<'a, R> {
    inner: R,
    budget: &'a Budget<'a>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.budget.go_on()?;
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod real_dumps;
#[cfg(test)]
mod tests;
