//! What `pg_dump` makes: SQL, an archive, or the table of contents of a folder. `pg_restore` reads an archive to its
//! end; a compressed one while it is unpacked.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::{Flaw, Proof, Whole, ask, drain, flaw, folder, names, sql, tar};

/// Checks `whole`.
pub(super) fn check(whole: Whole) -> Proof {
    let is_tar = whole.head.starts_with(names::PG_TAR);
    if !whole.head.starts_with(names::PG_ARCHIVE) && !is_tar {
        return whole.sql(sql::postgres);
    }
    if names::is_folder_toc(&whole.head) {
        // It is checked with the files that it names.
        return folder::check(whole.path.parent().unwrap_or(Path::new("/")), whole.budget);
    }
    let budget = whole.budget;
    let mut all = Tee { inner: Cursor::new(whole.head).chain(whole.content), copy: None };
    // pg_restore looks for what it needs and does not see that the end is missing.
    let read = |all: &mut Tee<_>| if is_tar { tar::check(all) } else { Ok(()) };
    if whole.packed.is_none() {
        read(&mut all)?;
        return ask::pg_restore(Some(whole.path), Stdio::null(), budget);
    }
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| flaw(errno.into()))?;
    all.copy = Some(writer.into());
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask::pg_restore(None, reader.into(), budget));
        let read = read(&mut all).and_then(|()| drain(&mut all));
        drop(all);
        let proof =
            asked.join().unwrap_or_else(|_| Err(Flaw::damaged("it could not be handed to pg_restore")));
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
