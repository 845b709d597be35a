//! One run at a time: a lock that dies with its holder, and says who holds it since when.
//!
//! It is flock(2) on a file that stays; the text in it (process id and time) is for people. The kernel lets go of it
//! when the process ends, however it ends, so there is never a stale lock to remove.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::private;
use crate::text::{escape, escape_path};
use crate::units;

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
    /// Another process has it; the text says which and since when: `process 4711 since 2026-03-01T03:00:07+01:00`.
    Busy(String),
}

/// Asks once for the lock at `path`, whose folder is made with mode 0700 if it is missing.
pub fn attempt(path: &Path) -> Result<Attempt> {
    let naming = || format!("lock: {}", escape_path(path));
    if let Some(folder) = path.parent() {
        private::folder(folder).with_context(naming)?;
    }
    let file = private::read_write(path).with_context(naming)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut file) => {
            let holder = format!("process {} since {}\n", std::process::id(), units::now());
            // The text is a courtesy: a full disk must not keep a backup from being prepared.
            let _ = file.set_len(0).and_then(|()| file.write_all(holder.as_bytes()));
            Ok(Attempt::Held(Lock { _file: file }))
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut holder = Vec::new();
            let _ = (&mut file).take(200).read_to_end(&mut holder);
            let holder = escape(holder.trim_ascii());
            Ok(Attempt::Busy(if holder.is_empty() { "another process".into() } else { holder }))
        }
        Err((_, error)) => Err(error).with_context(naming),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_has_it_and_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/run.lock");
        let Attempt::Held(first) = attempt(&path).unwrap() else { panic!("free") };
        let Attempt::Busy(holder) = attempt(&path).unwrap() else { panic!("taken") };
        assert!(holder.starts_with(&format!("process {} since 20", std::process::id())), "{holder}");
        drop(first);
        assert!(matches!(attempt(&path).unwrap(), Attempt::Held(_)));
    }
}
