//! Programs run as the container would run them: root, with the folder as `/root/.ssh`, and no other files of ours.
//!
//! OpenSSH takes the home from the password file and not from `$HOME`, and so does an ssh that a `ProxyCommand` starts.
//! So the proof runs in a user and a mount namespace of its own, where empty folders cover the homes and `/etc/ssh`.
//! This program starts itself there ([`ENTER`]), makes the mounts and becomes the program that was asked for. Kernels
//! and security modules may forbid it: then [`is_available`] is false.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::time::Duration;

use common::process::{self, Limits};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Uid, User, getegid, geteuid};

/// The first argument of this program when it is to enter the namespaces: then the folder, the paths that stay as they
/// are, `--`, and the program with its arguments.
pub(crate) const ENTER: &str = "--enter-the-containers-view";

/// Whether this system lets us make the namespaces.
pub(crate) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        let Ok(folder) = crate::connection::scratch::scratch() else { return false };
        let mut command = enter(folder.path(), &[]);
        let tried = process::capture(&mut command, b"", Limits::within(Duration::from_secs(20)), None);
        tried.is_ok_and(|tried| tried.end.is_success())
    })
}

/// A command that enters the namespaces, to which the program and its arguments are added.
pub(crate) fn enter(folder: &Path, kept: &[&Path]) -> Command {
    let itself = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let mut command = Command::new(itself);
    command.arg(ENTER).arg(folder).args(kept);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.args(std::env::split_paths(&path).filter(|folder| folder.is_absolute()));
    command.arg("--");
    command
}

/// The other side of [`enter`]: returns only on a failure, or without a program.
pub(crate) fn entered(arguments: &[OsString]) -> ExitCode {
    let end = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    let Some((folder, kept)) = arguments[..end].split_first() else { return ExitCode::FAILURE };
    let kept: Vec<&Path> = kept.iter().map(Path::new).collect();
    let error = match make_view(Path::new(folder), &kept) {
        Ok(()) => match arguments.get(end + 1..).and_then(<[OsString]>::split_first) {
            #[expect(clippy::disallowed_methods, reason = "our own deadline goes on")]
            Some((program, rest)) => Command::new(program).args(rest).exec(),
            None => return ExitCode::SUCCESS,
        },
        Err(error) => error,
    };
    common::note!("ssh-key-setup: run as in the container: {error}");
    ExitCode::from(127)
}

fn make_view(folder: &Path, kept: &[&Path]) -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    let home_of = |uid| User::from_uid(uid).map(|user| user.map(|user| user.dir));
    // Where root's ssh looks, and where the container's does.
    let mut root_homes = vec![PathBuf::from("/root")];
    root_homes.extend(home_of(Uid::from_raw(0))?.filter(|home| home != Path::new("/root")));
    let homes: Vec<PathBuf> = root_homes.iter().cloned().chain(home_of(uid)?).collect();
    if homes.iter().any(|home| home == Path::new("/")) {
        return Err(io::Error::other("a home is the root folder"));
    }
    // Root needs no user namespace, in which it could do less than in the container; but it may lack the right.
    if !uid.is_root() || unshare(CloneFlags::CLONE_NEWNS).is_err() {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        write_to("/proc/self/setgroups", "deny")?;
        write_to("/proc/self/uid_map", &format!("0 {uid} 1"))?;
        write_to("/proc/self/gid_map", &format!("0 {gid} 1"))?;
    }
    let none: Option<&Path> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let covered: Vec<PathBuf> =
        homes.into_iter().chain(["/etc/ssh".into()]).filter(|place| place.is_dir()).collect();
    let is_covered = |path: &Path| covered.iter().any(|place| path.starts_with(place));
    let folder = File::open(folder)?;
    let kept = kept.iter().filter_map(|path| fs::canonicalize(path).ok()).filter(|path| is_covered(path));
    let kept: Vec<(PathBuf, File)> =
        kept.filter_map(|path| Some((path.clone(), File::open(path).ok()?))).collect();
    for place in covered.iter().filter(|place| place.exists()) {
        mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=0700"))?;
    }
    for (path, file) in kept {
        bind(&file, &path)?;
    }
    for home in root_homes {
        bind(&folder, &home.join(".ssh"))?;
    }
    std::env::set_current_dir("/")
}

fn write_to(file: &str, text: &str) -> io::Result<()> {
    File::options().write(true).open(file)?.write_all(text.as_bytes())
}

/// Shows the folder that is open as `file` at `place`, which is made.
fn bind(file: &File, place: &Path) -> io::Result<()> {
    fs::create_dir_all(place)?;
    let source = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let none: Option<&OsStr> = None;
    Ok(mount(Some(&source), place, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?)
}
