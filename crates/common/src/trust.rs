//! Whether a stranger could have written a script: everyone but the user, root and those whom the user trusts.
//!
//! In comes the path of a file, out goes why it must not be run. The path is walked step by step as the kernel walks
//! it: anyone who can write the file, a folder above it, or a folder on the path of a symlink could put something else
//! there. What a reader would get wrong: a mode of 0664 is fine if the group is the user's own and has no other
//! member (umask 002), and a mode of 0640 is not the whole truth if an ACL names someone.

mod accounts;
mod acl;

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use nix::unistd::{User, getegid, geteuid};

use crate::problem::Problem;
use crate::settings::Settings;
use crate::text::{escape, escape_path};
use accounts::Accounts;

/// A path of more symlinks than this leads nowhere, as for the kernel.
const MOST_LINKS: usize = 40;
/// The setting that lists accounts whose files may be run.
const UIDS: &str = "TRUSTED_UIDS";
/// The setting that lists folders whose files may be run, no matter who can write there.
pub const FOLDERS: &str = "TRUSTED_FOLDERS";

/// Whom the user trusts.
#[derive(Clone, Debug)]
pub struct Trust {
    uids: BTreeSet<u32>,
    gid: u32,
    folders: Vec<PathBuf>,
    /// Read once a group can write something.
    accounts: OnceLock<Accounts>,
    /// What the settings added to the user and root.
    added: Vec<u32>,
}

/// Why a file must not be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distrust {
    /// The file itself, or a folder or link on the path to it.
    pub path: PathBuf,
    /// What is wrong about it.
    pub cause: Cause,
}

/// What is wrong about a file, folder or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It can't be looked at.
    Unreadable(String),
    /// The path leads through too many symlinks.
    TooManyLinks,
    /// It belongs to someone else.
    Owner(u32),
    /// Every account can write it.
    Everyone,
    /// A group with other members can write it.
    Group(u32),
    /// An ACL lets this user write it.
    AclUser(u32),
    /// An ACL lets this group write it.
    AclGroup(u32),
    /// It is not a regular file.
    NotAFile,
    /// No one may execute it.
    NotExecutable,
}

impl Trust {
    /// The user, root, and what `TRUSTED_UIDS` and `TRUSTED_FOLDERS` add. An entry of these that can't be used is a
    /// problem, and trusts no one.
    pub fn of(settings: &Settings) -> (Trust, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut trust = Trust::only_us_and_root();
        // What the environment holds comes from the caller.
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let mut read = |name: &str| {
            let value = settings.other(name)?;
            let Some(distrust) = trust.check_alone(&settings.env_file).err().filter(|_| !is_set(name)) else {
                return Some(value);
            };
            let hint = distrust.fix().map(|command| format!("; {command}")).unwrap_or_default();
            let what = format!("{name} is not used, because {distrust}{hint}");
            problems.push(Problem::new(&settings.env_file, what));
            None
        };
        let (uids, folders) = (read(UIDS), read(FOLDERS));
        for word in uids.iter().flat_map(|text| text.split([',', ' ', '\t'])).filter(|word| !word.is_empty())
        {
            let uid = word.parse().ok().or_else(|| Some(User::from_name(word).ok()??.uid.as_raw()));
            match uid {
                Some(uid) => trust.added.push(uid),
                None => problems.push(Problem::new(
                    &settings.env_file,
                    format!("{UIDS}: expected user ids such as 999, not {}", escape(word.as_bytes())),
                )),
            }
        }
        trust.uids.extend(&trust.added);
        for text in folders.iter().flat_map(|text| text.split(':')).filter(|text| !text.is_empty()) {
            let path = Path::new(text);
            if path.is_absolute() {
                trust.folders.push(fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()));
            } else {
                let what = format!("{FOLDERS}: expected absolute paths, not {}", escape(text.as_bytes()));
                problems.push(Problem::new(&settings.env_file, what));
            }
        }
        (trust, problems)
    }

    /// The user and root alone.
    pub fn only_us_and_root() -> Trust {
        Trust {
            uids: BTreeSet::from([0, geteuid().as_raw()]),
            gid: getegid().as_raw(),
            folders: Vec::new(),
            accounts: OnceLock::new(),
            added: Vec::new(),
        }
    }

    /// The accounts that `TRUSTED_UIDS` adds.
    pub fn added_uids(&self) -> &[u32] {
        &self.added
    }

    /// The folders of `TRUSTED_FOLDERS`.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Fails if someone else could change what is at `path`, an absolute path. Returns what the path leads to, without
    /// symlinks.
    pub fn check(&self, path: &Path) -> Result<PathBuf, Distrust> {
        self.look_at(Path::new("/"))?;
        self.walk(Path::new("/"), path)
    }

    /// [`Trust::check`] of `path` below `folder`, which it has just returned: neither it nor the way
    /// there is checked again.
    pub fn check_below(&self, folder: &Path, path: &Path) -> Result<(), Distrust> {
        self.walk(folder, path).map(drop)
    }

    /// [`Trust::check`] for a program: it also has to be a regular file that can be executed.
    pub fn check_program(&self, path: &Path) -> Result<(), Distrust> {
        let at = self.check(path)?;
        let metadata = fs::symlink_metadata(&at).map_err(|error| unreadable(&at, &error))?;
        if !metadata.is_file() {
            return Err(Distrust { path: at, cause: Cause::NotAFile });
        }
        if metadata.mode() & 0o111 == 0 {
            return Err(Distrust { path: at, cause: Cause::NotExecutable });
        }
        Ok(())
    }

    /// Fails if someone else could change the file at `path` itself, whatever may happen to the folders above it.
    fn check_alone(&self, path: &Path) -> Result<(), Distrust> {
        for look in [fs::symlink_metadata, fs::metadata] {
            let metadata = look(path).map_err(|error| unreadable(path, &error))?;
            if let Some(cause) = self.fault(path, &metadata) {
                return Err(Distrust { path: path.to_path_buf(), cause });
            }
        }
        Ok(())
    }

    fn walk(&self, start: &Path, path: &Path) -> Result<PathBuf, Distrust> {
        let (mut at, mut ahead, mut links) = (start.to_path_buf(), steps(path), 0);
        while let Some(step) = ahead.pop() {
            if step == ".." {
                at.pop();
            } else {
                at.push(step);
            }
            if self.look_at(&at)?.is_symlink() {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Distrust { path: path.to_path_buf(), cause: Cause::TooManyLinks });
                }
                let target = fs::read_link(&at).map_err(|error| unreadable(&at, &error))?;
                at.pop();
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                ahead.extend(steps(&target));
            }
        }
        Ok(at)
    }

    /// What is there. Fails if someone else could put something else into it or into its place.
    fn look_at(&self, path: &Path) -> Result<Metadata, Distrust> {
        let metadata = fs::symlink_metadata(path).map_err(|error| unreadable(path, &error))?;
        if self.folders.iter().any(|folder| path.starts_with(folder)) {
            return Ok(metadata);
        }
        match self.fault(path, &metadata) {
            Some(cause) => Err(Distrust { path: path.to_path_buf(), cause }),
            None => Ok(metadata),
        }
    }

    fn fault(&self, path: &Path, metadata: &Metadata) -> Option<Cause> {
        if !self.uids.contains(&metadata.uid()) {
            return Some(Cause::Owner(metadata.uid()));
        }
        let mode = metadata.mode();
        // In a sticky folder (/tmp) no one can replace what belongs to someone else; a link itself can't be written.
        if metadata.is_symlink() || (metadata.is_dir() && mode & 0o1000 != 0) {
            return None;
        }
        if mode & 0o002 != 0 {
            return Some(Cause::Everyone);
        }
        // With an ACL the group's bits are the mask of all that it grants (acl(5)): without them it grants nothing.
        if mode & 0o020 == 0 {
            return None;
        }
        let acl = acl::writers(path);
        let user = acl.users.into_iter().find(|uid| !self.uids.contains(uid)).map(Cause::AclUser);
        let group = || acl.groups.into_iter().find(|gid| !self.is_own_group(*gid)).map(Cause::AclGroup);
        let owning = || (acl.owning_group && !self.is_own_group(metadata.gid())).then(|| metadata.gid());
        user.or_else(group).or_else(|| owning().map(Cause::Group))
    }

    /// The group of a trusted account, in which there is no other account. A number alone is not enough: a container
    /// may run as a group that the host has no name for.
    fn is_own_group(&self, gid: u32) -> bool {
        let accounts = self.accounts.get_or_init(Accounts::read);
        let is_ours = gid == self.gid || self.uids.contains(&gid) || accounts.is_primary_of(gid, &self.uids);
        is_ours && accounts.holds_only(gid, &self.uids)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Distrust {
    Distrust { path: path.to_path_buf(), cause: Cause::Unreadable(error.to_string()) }
}

/// The steps of a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let steps = path.components().rev().filter_map(|component| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_os_string()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    });
    steps.collect()
}

impl Distrust {
    /// The command that takes the fault away, if one does.
    pub fn fix(&self) -> Option<String> {
        let path = escape_path(&self.path);
        match &self.cause {
            Cause::Owner(_) => Some(format!("sudo chown {} '{path}'", geteuid())),
            Cause::Everyone => Some(format!("chmod go-w '{path}'")),
            Cause::Group(_) => Some(format!("chmod g-w '{path}'")),
            Cause::AclUser(uid) => Some(format!("setfacl -x u:{uid} '{path}'")),
            Cause::AclGroup(gid) => Some(format!("setfacl -x g:{gid} '{path}'")),
            Cause::NotExecutable => Some(format!("chmod u+x '{path}'")),
            Cause::Unreadable(_) | Cause::TooManyLinks | Cause::NotAFile => None,
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = escape_path(&self.path);
        match &self.cause {
            Cause::Unreadable(why) => write!(f, "{path}: {why}"),
            Cause::TooManyLinks => write!(f, "{path}: too many symlinks"),
            Cause::Owner(uid) => write!(f, "{path} belongs to user {uid}"),
            Cause::Everyone => write!(f, "every user can write {path}"),
            Cause::Group(gid) => write!(f, "group {gid}, which is not yours alone, can write {path}"),
            Cause::AclUser(uid) => write!(f, "an ACL lets user {uid} write {path}"),
            Cause::AclGroup(gid) => write!(f, "an ACL lets group {gid} write {path}"),
            Cause::NotAFile => write!(f, "{path} is not a file"),
            Cause::NotExecutable => write!(f, "{path} is not executable"),
        }
    }
}

#[cfg(test)]
mod tests;
