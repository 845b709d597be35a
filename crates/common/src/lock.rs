//! One run at a time: a lock that dies with its holder, and records who holds it since when.
//!
//! It is flock(2) on a file that stays; the text in it names the [`Holder`]. The kernel lets go of the lock when the
//! process ends, however it ends, so there is never a stale lock to remove.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::text::{escape, escape_path};
use crate::{private, regular_file, units};

/// A lock that is held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// What came of asking for a lock.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours.
    Held(Lock),
    /// Another process has it.
    Busy(Holder),
}

/// Who holds a lock, as the lock file's text names it: `process 4711 since 2026-03-01T03:00:07+01:00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process; `None` if the text names none.
    pub process: Option<i32>,
    text: String,
}

impl Holder {
    fn ourselves() -> Holder {
        let text = format!("{PREFIX}{} since {}", std::process::id(), units::now());
        Holder { process: i32::try_from(std::process::id()).ok(), text }
    }

    /// Reads the text of the lock file at `path`.
    ///
    /// # Errors
    ///
    /// The file can't be opened or read.
    pub fn of(path: &Path) -> std::io::Result<Holder> {
        Holder::read(&mut File::open(path)?)
    }

    fn read(file: &mut File) -> std::io::Result<Holder> {
        let mut text = Vec::new();
        file.take(200).read_to_end(&mut text)?;
        Ok(Holder::parse(&escape(text.trim_ascii())))
    }

    fn parse(text: &str) -> Holder {
        let number = text.strip_prefix(PREFIX).and_then(|rest| rest.split(' ').next()?.parse().ok());
        Holder { process: number.filter(|&id| id > 1), text: text.to_owned() }
    }
}

/// What the text of a lock file begins with.
const PREFIX: &str = "process ";

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text.is_empty() { "another process" } else { &self.text })
    }
}

/// Asks once for the lock at `path`, whose folder is made with mode 0700 if it is missing.
pub fn attempt(path: &Path) -> Result<Attempt> {
    let naming = || format!("lock: {}", escape_path(path));
    if let Some(folder) = path.parent() {
        private::folder(folder).with_context(naming)?;
    }
    let file = match private::read_write(path) {
        // flock(2) needs no right to write: what has to be undone does not wait for a disk that can be written.
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {
            regular_file::open_unlinked(path).map_err(|_| error)
        }
        opened => opened,
    };
    let file = file.with_context(naming)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut file) => {
            // The text is a courtesy: a full disk must not keep a backup from being prepared.
            let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", Holder::ourselves()));
            Ok(Attempt::Held(Lock { _file: file }))
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            Ok(Attempt::Busy(Holder::read(&mut file).unwrap_or_else(|_| Holder::parse(""))))
        }
        Err((_, error)) => Err(error).with_context(naming),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_learns_who_has_it_and_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/run.lock");
        let Attempt::Held(first) = attempt(&path).unwrap() else { panic!("free") };
        let Attempt::Busy(holder) = attempt(&path).unwrap() else { panic!("taken") };
        assert!(
            holder.to_string().starts_with(&format!("process {} since 20", std::process::id())),
            "{holder}"
        );
        assert_eq!(holder.process, i32::try_from(std::process::id()).ok());
        assert_eq!(Holder::of(&path).unwrap(), holder);
        drop(first);
        assert!(matches!(attempt(&path).unwrap(), Attempt::Held(_)));
    }

    #[test]
    fn the_process_is_read_from_the_text_and_an_odd_text_names_none() {
        assert_eq!(Holder::parse("process 4711 since 2026-03-01T03:00:07+01:00").process, Some(4711));
        for odd in ["", "another process", "process -1 since", "process 1 since", "process x since"] {
            assert_eq!(Holder::parse(odd).process, None, "{odd}");
        }
        assert_eq!(Holder::parse("").to_string(), "another process");
    }
}
