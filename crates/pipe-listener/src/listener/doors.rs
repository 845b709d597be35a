//! Both doors together, and what happens when the bridge folder is changed.
//!
//! inotify reports when the folder changes and when a writer of the FIFO closes it, so nothing is polled. A FIFO or
//! socket that is missing is made again; one that was replaced by something different is reported and left alone, and
//! the other door stays open. Only while something is wrong is it looked at every few seconds: inotify may not report
//! what fixes it (rights, room on the disk, a folder above).

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bridge::{FIFO, SOCKET};
use common::exit::one_line;
use common::layout::Layout;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::door::fifo::Fifo;
use crate::door::fifo_keeper::FifoKeeper;
use crate::queue::journal::Mark;
use pipe_listener::folder::{Folder, Inode};

/// Changes in the folder are looked at together, this long after the first.
const SETTLE: Duration = Duration::from_millis(50);
/// What is wrong is looked at again after this time.
const AGAIN: Duration = Duration::from_secs(5);

pub(super) struct Doors {
    folder: Folder,
    pub(super) fifo: Fifo,
    socket: Option<(UnixListener, Inode)>,
    layout: Layout,
    keeper: Option<FifoKeeper>,
    changes: OwnedFd,
    look_at: Option<Instant>,
    /// The listener ends: nothing is opened any more.
    closing: bool,
    /// Why the folder, the FIFO and the socket are not open, as it was logged last.
    troubles: [Option<String>; 3],
}

impl Doors {
    /// Opens both; the journal is whole if `is_known`. Fails where one can't be opened.
    pub(super) fn open(folder: Folder, layout: &Layout, mark: Mark, is_known: bool) -> Result<Doors> {
        let changes =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).context("watch the bridge folder")?;
        let mut doors = Doors {
            fifo: Fifo::open(&layout.queue(), mark, is_known)?,
            folder,
            socket: None,
            layout: layout.clone(),
            keeper: None,
            changes,
            look_at: None,
            closing: false,
            troubles: [None, None, None],
        };
        doors.watch()?;
        doors.open_fifo()?;
        doors.open_socket()?;
        // What the listener made itself is not a change; what others did meanwhile is found by looking.
        let now = Instant::now();
        doors.hear_changes(now);
        doors.look_at = Some(now);
        doors.look_after(now);
        Ok(doors)
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn socket(&self) -> Option<&UnixListener> {
        self.socket.as_ref().map(|(socket, _)| socket)
    }

    /// The states of the FIFO and the socket, for `status`.
    pub(super) fn states(&self) -> [String; 2] {
        let [folder, fifo, socket] = &self.troubles;
        [fifo, socket].map(|door| folder.as_ref().or(door.as_ref()).cloned().unwrap_or("ok".into()))
    }

    fn watch(&self) -> Result<()> {
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&self.changes, self.folder.path(), flags).context("watch the bridge folder")?;
        Ok(())
    }

    fn open_fifo(&mut self) -> Result<()> {
        let (pipe, inode) = self.folder.open_fifo()?;
        let old = self.keeper.take();
        self.keeper = Some(FifoKeeper::start(pipe.as_fd(), &self.layout.fifo_keeper())?);
        self.fifo.use_pipe(Some((pipe, inode)));
        if let Some(old) = old {
            old.reap();
        }
        Ok(())
    }

    fn open_socket(&mut self) -> Result<()> {
        self.socket = Some(self.folder.open_socket()?);
        Ok(())
    }

    /// What becomes readable when the folder changes.
    pub(super) fn changes(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.look_at.into_iter().chain(self.fifo.due()).min()
    }

    /// Reads what changed. Returns whether a writer of the FIFO has closed it.
    pub(super) fn hear_changes(&mut self, now: Instant) -> bool {
        let mut closed = false;
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.changes, &mut space);
        while let Ok(event) = reader.next() {
            let name = event.file_name().map(|name| name.to_bytes());
            if event.events().contains(inotify::ReadFlags::CLOSE_WRITE) {
                closed |= name == Some(FIFO.as_bytes());
            } else if !self.closing
                && name.is_none_or(|name| name == FIFO.as_bytes() || name == SOCKET.as_bytes())
            {
                let soon = now + SETTLE;
                self.look_at = Some(self.look_at.map_or(soon, |at| at.min(soon)));
            }
        }
        closed
    }

    /// Repairs what is wrong with the doors, if it is time. Returns what to log.
    pub(super) fn look_after(&mut self, now: Instant) -> Vec<String> {
        if self.look_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut notes = Vec::new();
        let is_gone = self.troubles[0].is_some() || self.folder.is_gone();
        let reopened = is_gone
            .then(|| self.folder.reopen().and_then(|()| self.watch()).map(|()| "replaced: opened anew"));
        if self.note(0, "the bridge folder", reopened, &mut notes) {
            let there = self.folder.inode(FIFO);
            let is_ours = there.is_some() && there == self.fifo.inode();
            let opened = (!is_ours).then(|| self.open_fifo().map(|()| "replaced: reading the new one"));
            self.note(1, "the FIFO", opened, &mut notes);
            let there = self.folder.inode(SOCKET);
            let is_ours = there.is_some() && there == self.socket.as_ref().map(|(_, inode)| *inode);
            let opened = (!is_ours).then(|| self.open_socket().map(|()| "replaced: opened anew"));
            self.note(2, "the socket", opened, &mut notes);
        }
        self.look_at = self.troubles.iter().any(Option::is_some).then(|| now + AGAIN);
        notes
    }

    /// Notes how something was `opened`, if it had to be; a trouble once. Returns whether it is open.
    fn note(
        &mut self,
        index: usize,
        name: &str,
        opened: Option<Result<&str>>,
        notes: &mut Vec<String>,
    ) -> bool {
        let before = self.troubles[index].take();
        match opened {
            None => notes.extend(before.map(|_| format!("{name} is the same again"))),
            Some(Ok(how)) => notes.push(format!("{name} was {how}")),
            Some(Err(error)) => {
                let line = one_line(&error);
                notes.extend((before.as_ref() != Some(&line)).then(|| line.clone()));
                self.troubles[index] = Some(line);
            }
        }
        self.troubles[index].is_none()
    }

    /// Lets no client in any more, so that a new one fails at once.
    pub(super) fn close_socket(&mut self) {
        self.closing = true;
        self.look_at = None;
        if let Some((_, inode)) = self.socket.take() {
            self.folder.remove_socket(inode);
        }
    }

    /// Leaves the FIFO to the next listener.
    pub(super) fn leave(mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.leave();
        }
    }
}
