//! What `pg_dump` makes: SQL, an archive, or the table of contents of a folder. `pg_restore` reads an archive to its
//! end; a compressed one while it is unpacked.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::super::Budget;
use super::{Flaw, Judgement, Proved, Whole, ask, drain, folder, names, sql, tar};

pub(super) fn check(whole: Whole) -> Judgement {
    let is_tar = whole.head.starts_with(names::PG_TAR);
    if !whole.head.starts_with(names::PG_ARCHIVE) && !is_tar {
        return whole.sql(sql::postgres);
    }
    if names::is_folder_toc(&whole.head) {
        // It is checked with the files that it names.
        return folder::check(whole.path.parent().unwrap_or(Path::new("/")), whole.budget);
    }
    let budget = whole.budget;
    let mut all = Cursor::new(whole.head).chain(whole.content);
    if is_tar {
        // pg_restore looks for what it needs and does not see that the end is missing.
        tar::check(&mut all)?;
    }
    match (whole.packed, is_tar) {
        (None, _) => ask::pg_restore(Some(whole.path), Stdio::null(), budget),
        (Some(_), true) => {
            drain(&mut all)?;
            // From a pipe that ends too early pg_restore would read for ever.
            let why = "pg_restore can't look into a compressed tar archive; only its members were counted";
            Ok(Proved::Partly(why.into()))
        }
        (Some(_), false) => from_a_pipe(all, budget),
    }
}

/// Has pg_restore read what is unpacked meanwhile.
fn from_a_pipe(mut all: impl Read, budget: &Budget) -> Judgement {
    // That is not the dump's fault.
    let unread =
        |error: io::Error| Proved::Partly(format!("pg_restore: {error}, so the archive was not read"));
    let (reader, writer) = match pipe2(OFlag::O_CLOEXEC) {
        Ok(ends) => ends,
        Err(errno) => return drain(&mut all).map(|_| unread(errno.into())),
    };
    let mut all = Tee { inner: all, copy: Some(writer.into()) };
    thread::scope(|scope| {
        let ask = || ask::pg_restore(None, reader.into(), budget);
        let asked = thread::Builder::new().spawn_scoped(scope, ask);
        let read = drain(&mut all);
        drop(all);
        let proof = match asked {
            Ok(asked) => {
                asked.join().unwrap_or_else(|_| Err(Flaw::damaged("it could not be handed to pg_restore")))
            }
            Err(error) => Ok(unread(error)),
        };
        read.and(proof)
    })
}

/// Passes on what is read through it, until the other end has had enough.
struct Tee<R> {
    inner: R,
    copy: Option<File>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.copy.take_if(|copy| copy.write_all(&buffer[..length]).is_err());
        Ok(length)
    }
}
