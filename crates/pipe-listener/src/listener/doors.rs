//! Both doors together, and what happens when the bridge folder is changed.
//!
//! inotify reports when the folder changes and when a writer of the FIFO closes it, so nothing is polled. A FIFO or
//! socket that is missing is made again; one that was replaced by something different is reported and left alone, and
//! the other door stays open. Only while something is wrong is it looked at every few seconds: inotify may not report
//! what fixes it (rights, room on the disk, a folder above).

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
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
    pub(super) folder: Folder,
    pub(super) fifo: Fifo,
    pub(super) socket: Option<(UnixListener, Inode)>,
    layout: Layout,
    keeper: Option<FifoKeeper>,
    changes: OwnedFd,
    look_at: Option<Instant>,
    /// The listener ends: nothing is opened any more.
    closing: bool,
    /// Why the folder or a door is not open, as it was logged last.
    pub(super) folder_trouble: Option<String>,
    pub(super) fifo_trouble: Option<String>,
    pub(super) socket_trouble: Option<String>,
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
            folder_trouble: None,
            fifo_trouble: None,
            socket_trouble: None,
        };
        doors.watch()?;
        doors.open_fifo()?;
        doors.socket = Some(doors.folder.open_socket()?);
        // What the listener made itself is not a change; what others did meanwhile is found by looking.
        let now = Instant::now();
        doors.hear_changes(now);
        doors.look_at = Some(now);
        doors.look_after(now);
        Ok(doors)
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

    /// What becomes readable when the folder changes.
    pub(super) fn changes(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }

    /// When something is to be looked at.
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
        self.put_right(&mut notes);
        let troubles = [&self.folder_trouble, &self.fifo_trouble, &self.socket_trouble];
        self.look_at = troubles.into_iter().any(Option::is_some).then(|| now + AGAIN);
        notes
    }

    fn put_right(&mut self, notes: &mut Vec<String>) {
        if self.folder_trouble.is_some() || self.folder.is_gone() {
            let before = self.folder_trouble.take();
            match self.folder.reopen().and_then(|()| self.watch()) {
                Ok(()) => notes.push("the bridge folder was replaced: opened anew".into()),
                Err(error) => return note_trouble(notes, before.as_ref(), &mut self.folder_trouble, &error),
            }
        }
        let there = self.folder.inode(FIFO);
        if there.is_none() || there != self.fifo.inode() {
            let before = self.fifo_trouble.take();
            match self.open_fifo() {
                Ok(()) => notes.push("the FIFO was replaced: reading the new one".into()),
                Err(error) => note_trouble(notes, before.as_ref(), &mut self.fifo_trouble, &error),
            }
        } else if self.fifo_trouble.take().is_some() {
            notes.push("the FIFO is the same again".into());
        }
        let there = self.folder.inode(SOCKET);
        if there.is_none() || there != self.socket.as_ref().map(|(_, inode)| *inode) {
            let before = self.socket_trouble.take();
            match self.folder.open_socket() {
                Ok(socket) => {
                    self.socket = Some(socket);
                    notes.push("the socket was replaced: opened anew".into());
                }
                Err(error) => note_trouble(notes, before.as_ref(), &mut self.socket_trouble, &error),
            }
        } else if self.socket_trouble.take().is_some() {
            notes.push("the socket is the same again".into());
        }
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

/// Notes a trouble once.
fn note_trouble(
    notes: &mut Vec<String>,
    before: Option<&String>,
    now: &mut Option<String>,
    error: &anyhow::Error,
) {
    let line = one_line(error);
    if before != Some(&line) {
        notes.push(line.clone());
    }
    *now = Some(line);
}
