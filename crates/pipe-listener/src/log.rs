//! `logs/listener.log`: one line an event, for people, bounded in size.
//!
//! Whatever came over the bridge is escaped and cut before it gets here. What a flood would write again and again
//! is told a few times a minute and then counted.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use common::text::{escape, escape_path};
use common::units;

/// The log is put aside, and the one put aside before is gone, when it has reached this size.
const LONG: u64 = 1 << 20;
/// So many lines of a kind that the other end can cause at will are written in a [`SPAN`].
const OFTEN: u32 = 30;
const SPAN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: Option<(File, u64)>,
    /// A person, or systemd's journal, reads standard output.
    aloud: bool,
    span: Option<Instant>,
    said: u32,
    kept_back: u64,
}

impl Log {
    /// The log in `folder`, which is made where it is missing.
    pub(crate) fn open(folder: &Path) -> Result<Log> {
        let naming = || format!("open the log: {}", escape_path(folder));
        let path = folder.join("listener.log");
        let aloud = io::stdout().is_terminal() || std::env::var_os("JOURNAL_STREAM").is_some();
        let mut log = Log { path, file: None, aloud, span: None, said: 0, kept_back: 0 };
        log.file = Some(log.reopen().with_context(naming)?);
        Ok(log)
    }

    /// Writes an event.
    pub(crate) fn say(&mut self, event: &str) {
        let line = format!("{} {event}\n", units::now());
        if self.aloud {
            // Nobody may be reading any more; the file still tells.
            let _ = io::stdout().lock().write_all(line.as_bytes());
        }
        if !self.is_in_place() || self.write(&line).is_err() {
            // It was moved away or removed, or the disk is full: once more with a file of its own.
            self.file = self.reopen().ok();
            let _ = self.write(&line);
        }
    }

    /// Writes an event that the other end can cause as often as it likes.
    pub(crate) fn say_sparingly(&mut self, event: &str) {
        let now = Instant::now();
        if self.span.is_none_or(|since| now.duration_since(since) > SPAN) {
            self.tell_kept_back();
            (self.span, self.said) = (Some(now), 0);
        }
        self.said += 1;
        if self.said > OFTEN {
            self.kept_back += 1;
        } else {
            self.say(event);
        }
    }

    fn tell_kept_back(&mut self) {
        let count = std::mem::take(&mut self.kept_back);
        if count > 0 {
            self.say(&format!("{count} more lines of this kind were left out"));
        }
    }

    /// Whether the file at its path is still the one that is open.
    fn is_in_place(&self) -> bool {
        let Some((file, _)) = &self.file else { return false };
        let inode = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let there = fs::symlink_metadata(&self.path).map(inode);
        there.is_ok_and(|there| file.metadata().map(inode).is_ok_and(|ours| ours == there))
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let Some((file, length)) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        file.write_all(line.as_bytes())?;
        *length += line.len() as u64;
        if *length > LONG {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            self.file = Some(self.reopen()?);
        }
        Ok(())
    }

    fn reopen(&self) -> io::Result<(File, u64)> {
        if let Some(folder) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
            .open(&self.path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }
}

/// What the last lines of a flood were, so that the count is not lost with the listener.
impl Drop for Log {
    fn drop(&mut self) {
        self.tell_kept_back();
    }
}

/// Something foreign, escaped and cut to a length that leaves a log line readable.
pub(crate) fn short(foreign: &[u8]) -> String {
    const MOST: usize = 160;
    let escaped = escape(&foreign[..foreign.len().min(4 * MOST)]);
    match escaped.char_indices().nth(MOST) {
        Some((cut, _)) => format!("{}…", &escaped[..cut]),
        None => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path()).unwrap();
        for number in 0..30_000 {
            log.say(&format!("event {number} {}", "x".repeat(100)));
        }
        let sizes: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().all(|&size| size <= LONG + 1000), "{sizes:?}");
        assert!(fs::read_to_string(folder.path().join("listener.log")).unwrap().contains("event 29999 "));
    }

    #[test]
    fn one_that_was_removed_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        let mut log = Log::open(&logs).unwrap();
        log.say("one");
        fs::rename(logs.join("listener.log"), logs.join("kept")).unwrap();
        log.say("two");
        fs::remove_dir_all(&logs).unwrap();
        log.say("three");
        let text = fs::read_to_string(logs.join("listener.log")).unwrap();
        assert!(text.ends_with(" three\n") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn a_flood_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path()).unwrap();
        (0..1000).for_each(|_| log.say_sparingly("not well formed"));
        drop(log);
        let text = fs::read_to_string(folder.path().join("listener.log")).unwrap();
        assert_eq!(text.lines().count(), OFTEN as usize + 1);
        assert!(text.ends_with("970 more lines of this kind were left out\n"), "{text}");
    }

    #[test]
    fn what_is_foreign_is_short_and_harmless() {
        assert_eq!(short(b"\x1b[2J\xff"), "\\x1b[2J\\xff");
        assert_eq!(short(&[b'a'; 4000]).chars().count(), 161);
    }
}
