//! The bridge folder: made, checked, and used without ever following what lies in it.
//!
//! The container may put anything there under any name. So everything is opened relative to the folder itself,
//! never through a symlink, and looked at before it is opened: opening a device can already do something. Nothing
//! that is in the way is removed but an empty folder (Docker makes one where a mount's source is missing), a
//! symlink that we made and a socket without a listener.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use bridge::{FIFO, SOCKET};
use common::exit::HintExt;
use common::layout::OLD_FIFO_TARGET;
use common::private;
use common::settings::Settings;
use common::text::{escape_path, word};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// The identity of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    fn of(stat: &Stat) -> Inode {
        Inode { device: stat.st_dev, number: stat.st_ino }
    }
}

/// The bridge folder, held open.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    folder: OwnedFd,
}

/// Makes the bridge folder, the FIFO and the symlink at the FIFO's old place where they are missing, as the listener
/// does when it starts. Returns a line for each thing that was moved or is in the way.
pub fn make(settings: &Settings) -> Result<Vec<String>> {
    let (folder, notes) = Folder::open(settings)?;
    folder.open_fifo()?;
    Ok(notes)
}

impl Folder {
    /// Makes the folder where it is missing, with mode 0700, and opens it. The place where the FIFO used to be
    /// becomes a symlink to the new one; a FIFO that is there moves and so keeps its inode, which a running
    /// container may have mounted. Says what it did.
    pub fn open(settings: &Settings) -> Result<(Folder, Vec<String>)> {
        let path = settings.layout().bridge();
        if !settings.container_root.is_dir() && !settings.container_dir.is_dir() {
            return Err(anyhow!("no such folder: {}", escape_path(&settings.container_root)))
                .context("find the containers")
                .hint("make it, or name the right one with --container-root");
        }
        fs::create_dir_all(&settings.container_dir)
            .with_context(|| format!("make: {}", escape_path(&settings.container_dir)))?;
        let folder = Folder { folder: hold(&path)?, path };
        let notes = folder.keep_old_place(&settings.layout().old_fifo())?;
        Ok((folder, notes))
    }

    /// Opens the folder that is at its path now.
    pub fn reopen(&mut self) -> Result<()> {
        self.folder = hold(&self.path)?;
        Ok(())
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the folder at its path is another one by now, or none.
    pub fn is_gone(&self) -> bool {
        let held = rustix::fs::fstat(&self.folder).map(|stat| Inode::of(&stat));
        let there = fs::symlink_metadata(&self.path).map(|m| Inode { device: m.dev(), number: m.ino() });
        held.ok() != there.ok()
    }

    /// What lies in it under `name`.
    pub fn inode(&self, name: &str) -> Option<Inode> {
        self.stat(name).map(|stat| Inode::of(&stat))
    }

    /// Opens the FIFO, which is made where it is missing, for reading and writing: the writer that we hold ourselves
    /// keeps poll(2) from spinning once the last client has left.
    pub fn open_fifo(&self) -> Result<(OwnedFd, Inode)> {
        let naming = || format!("open the FIFO: {}", escape_path(self.path.join(FIFO)));
        if !self.has(FIFO, FileType::Fifo)? {
            self.make_fifo().with_context(naming)?;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::openat(&self.folder, FIFO, flags, Mode::empty()).with_context(naming)?;
        let stat = rustix::fs::fstat(&found).with_context(naming)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
            return Err(anyhow!("it changed while it was opened")).with_context(naming);
        }
        if stat.st_mode & 0o7777 != 0o600 {
            // Through the descriptor: this is the FIFO that was looked at.
            fs::set_permissions(through(&found), fs::Permissions::from_mode(0o600)).with_context(naming)?;
        }
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let pipe = rustix::fs::open(through(&found), flags, Mode::empty()).with_context(naming)?;
        Ok((pipe, Inode::of(&stat)))
    }

    /// Binds and opens the socket. What a dead listener left in its place goes.
    pub fn open_socket(&self) -> Result<(UnixListener, Inode)> {
        let naming = || format!("open the socket: {}", escape_path(self.path.join(SOCKET)));
        if self.has(SOCKET, FileType::Socket)? {
            rustix::fs::unlinkat(&self.folder, SOCKET, AtFlags::empty()).with_context(naming)?;
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None).with_context(naming)?;
        // On Linux the mode of a socket before bind(2) becomes the mode of its file.
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600)).with_context(naming)?;
        // A path of any length, and the folder that was checked: sun_path has 108 bytes.
        let address = UnixAddr::new(&through(&self.folder).join(SOCKET)).with_context(naming)?;
        bind(socket.as_raw_fd(), &address).with_context(naming)?;
        listen(&socket, Backlog::MAXCONN).with_context(naming)?;
        let inode = self.inode(SOCKET).ok_or_else(|| anyhow!("it went away")).with_context(naming)?;
        Ok((UnixListener::from(socket), inode))
    }

    /// Removes the socket, if it still is ours.
    pub fn remove_socket(&self, ours: Inode) {
        if self.inode(SOCKET) == Some(ours) {
            let _ = rustix::fs::unlinkat(&self.folder, SOCKET, AtFlags::empty());
        }
    }

    /// Whether `name` is a `wanted` file, which the listener makes; an empty folder in its place goes, and anything else is
    /// an error.
    fn has(&self, name: &str, wanted: FileType) -> Result<bool> {
        let word = kind(wanted).trim_start_matches("a ");
        let naming = || format!("open the {word}: {}", escape_path(self.path.join(name)));
        match self.stat(name).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            None => Ok(false),
            Some(found) if found == wanted => Ok(true),
            Some(FileType::Directory) => {
                rustix::fs::unlinkat(&self.folder, name, AtFlags::REMOVEDIR)
                    .with_context(|| format!("{}: a folder is in its place", naming()))
                    .hint("move what is in it away, then remove the folder")?;
                Ok(false)
            }
            Some(other) => Err(anyhow!("it is {}, not {}", kind(other), kind(wanted)))
                .with_context(naming)
                .hint("look at what it is, then remove it; the listener makes it anew"),
        }
    }

    fn stat(&self, name: &str) -> Option<Stat> {
        rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    fn make_fifo(&self) -> Result<(), Errno> {
        match rustix::fs::mkfifoat(&self.folder, FIFO, Mode::from_raw_mode(0o600)) {
            Err(Errno::EXIST) => Ok(()),
            result => result,
        }
    }

    /// `<CONTAINER_DIR>/backrest-pipe`, where the first version of the bridge had its FIFO.
    fn keep_old_place(&self, old: &Path) -> Result<Vec<String>> {
        let naming = || format!("keep the FIFO's old place: {}", escape_path(old));
        let target = Path::new(OLD_FIFO_TARGET);
        let mut notes = Vec::new();
        match fs::symlink_metadata(old).map(|metadata| metadata.file_type()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(naming),
            Ok(found) if found.is_symlink() => return Ok(notes),
            Ok(found) if found.is_dir() => match fs::remove_dir(old) {
                Ok(()) => notes.push(format!("{}: an empty folder was in its place", escape_path(old))),
                Err(_) => {
                    notes
                        .push(format!("{} is a folder and stays; hooks can't write to it", escape_path(old)));
                    return Ok(notes);
                }
            },
            Ok(found) => {
                if !found.is_fifo() || self.stat(FIFO).is_some() {
                    notes.push(format!(
                        "{} stays as it is and is not read; the FIFO is {}",
                        escape_path(old),
                        escape_path(self.path.join(FIFO))
                    ));
                    return Ok(notes);
                }
                rustix::fs::renameat(rustix::fs::CWD, old, &self.folder, FIFO).with_context(naming)?;
                notes.push(format!("the FIFO moved to {}", escape_path(self.path.join(FIFO))));
            }
        }
        std::os::unix::fs::symlink(target, old).with_context(naming)?;
        Ok(notes)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

fn hold(path: &Path) -> Result<OwnedFd> {
    let naming = || format!("open the bridge folder: {}", escape_path(path));
    private::new_folder(path, 0o700).with_context(naming)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty()).with_context(naming)?;
    let stat = rustix::fs::fstat(&folder).with_context(naming)?;
    if stat.st_uid != nix::unistd::geteuid().as_raw() {
        return Err(anyhow!("it belongs to another user ({})", stat.st_uid))
            .with_context(naming)
            .hint(format!("sudo chown -R $USER {}", word(path)));
    }
    if stat.st_mode & 0o077 != 0 {
        // Through the descriptor: this is the folder that was looked at.
        fs::set_permissions(through(&folder), fs::Permissions::from_mode(0o700)).with_context(naming)?;
    }
    Ok(folder)
}

/// The path that leads to an open descriptor.
fn through(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn kind(file_type: FileType) -> &'static str {
    match file_type {
        FileType::RegularFile => "a plain file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symlink",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something else",
    }
}
