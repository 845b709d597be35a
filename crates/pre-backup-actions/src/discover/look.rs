//! One script: where it lies, whether it can be run, and whether it may.
//!
//! In comes a service's folder, out goes the script or the reason why it is not run. Nothing is started here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::regular_file;
use common::text::escape_path;
use common::trust::{Cause, Distrust, Trust};
use nix::unistd::{AccessFlags, access};

use super::{Refusal, Script, is_one_file};
use crate::declare::{self, Declarations};

#[derive(Debug, Default)]
pub(super) struct Look {
    /// A script, or something else in its place.
    pub(super) script: Option<Script>,
    /// The folder that can't be entered, and why.
    pub(super) closed: Option<(PathBuf, String)>,
}

impl Look {
    fn of(script: Script) -> Look {
        Look { script: Some(script), closed: None }
    }
}

/// The checks of one look at all services. What many scripts share, their root and their shell, is checked once: that
/// is half of the time that the look takes.
#[derive(Debug)]
pub(super) struct Checks<'a> {
    trust: &'a Trust,
    /// The paths that scripts share, and what they lead to.
    known: RefCell<BTreeMap<PathBuf, Result<PathBuf, Distrust>>>,
}

impl Checks<'_> {
    pub(super) fn new(trust: &Trust) -> Checks<'_> {
        Checks { trust, known: RefCell::default() }
    }

    fn of(&self, path: &Path) -> Result<PathBuf, Distrust> {
        if let Some(known) = self.known.borrow().get(path) {
            return known.clone();
        }
        let found = self.trust.check(path);
        self.known.borrow_mut().insert(path.to_path_buf(), found.clone());
        found
    }

    /// The script at `path`, in its service's folder in a root.
    fn script(&self, path: &Path) -> Result<(), Distrust> {
        let root = path.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        self.trust.check_below(&self.of(root)?, path.strip_prefix(root).unwrap_or(path))
    }
}

/// The script `file` of a service whose folders in the data root and the container root are `folders`. It may lie in
/// either; two different ones are refused.
pub(super) fn at(file: &str, folders: &(PathBuf, PathBuf), checks: &Checks) -> Look {
    let (data, container) = (folders.0.join(file), folders.1.join(file));
    let in_data = one(&data, &folders.1, checks);
    if data == container {
        return in_data;
    }
    let in_container = one(&container, &folders.1, checks);
    match (in_data.script, in_container.script) {
        (Some(_), Some(_)) if !is_one_file(&data, &container) => {
            let what = format!("exists twice: {} and {}", escape_path(&data), escape_path(&container));
            Look::of(refused(&data, what, Some("look at both and remove one of them".into())))
        }
        (None, Some(script)) => Look::of(script),
        (script, _) => Look { script, closed: in_data.closed.or(in_container.closed) },
    }
}

/// What a script is taken for whose file system did not answer.
pub(super) fn without_an_answer(path: &Path, patience: Duration) -> Look {
    let what = format!("can't be looked at: no answer in {}", humantime::format_duration(patience));
    Look::of(refused(path, what, None))
}

pub(super) fn refused(path: &Path, what: String, hint: Option<String>) -> Script {
    let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
    let refusal = Some(Refusal { what, hint, is_skipped: false });
    Script { path: path.into(), folder, declarations: Declarations::default(), by_shell: false, refusal }
}

/// What is at `path`; a script whose folder belongs to someone else could lie in `container`.
fn one(path: &Path, container: &Path, checks: &Checks) -> Look {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let link = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Look::default();
        }
        Err(error) => {
            return Look { script: None, closed: Some((folder.to_path_buf(), error.to_string())) };
        }
    };
    let metadata = if link.is_symlink() { fs::metadata(path) } else { Ok(link) };
    let found = match metadata {
        Ok(metadata) if metadata.is_dir() => {
            let hint = "move the folder away; a script of this name is run before a backup";
            refused(path, "is a folder, not a script".into(), Some(hint.into()))
        }
        Ok(metadata) if metadata.is_file() => regular(path, container, metadata.mode(), checks),
        Ok(_) => refused(path, "is not a regular file".into(), None),
        Err(error) => refused(path, format!("is a symlink that can't be followed: {error}"), None),
    };
    Look::of(found)
}

fn regular(path: &Path, container: &Path, mode: u32, checks: &Checks) -> Script {
    // As root every file is executable that anyone may execute.
    if mode & 0o111 == 0 || access(path, AccessFlags::X_OK).is_err() {
        let hint = Some(format!("chmod +x '{}'", escape_path(path)));
        let mut script = refused(path, "is not executable".into(), hint);
        script.refusal.iter_mut().for_each(|refusal| refusal.is_skipped = true);
        return script;
    }
    if let Err(distrust) = checks.script(path) {
        return refused(path, as_seen_from(&distrust, path), fix(&distrust, path, container));
    }
    let text = match read_start(path) {
        Ok(text) => text,
        Err(error) => return refused(path, format!("can't be read: {error}"), None),
    };
    Script { declarations: declare::parse(&text), ..by_its_start(&text, path, checks) }
}

/// Declarations past this are not seen; no one writes a script that long.
const LONGEST: u64 = 1 << 20;

fn read_start(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    regular_file::open(path)?.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// What is wrong, after the script's name.
fn as_seen_from(distrust: &Distrust, path: &Path) -> String {
    let is_itself = distrust.path == path;
    match (&distrust.cause, is_itself) {
        (Cause::Owner(uid), true) => format!("belongs to user {uid}"),
        (Cause::Everyone, true) => "can be written by every user".into(),
        _ => format!("must not be run: {distrust}"),
    }
}

/// The command that makes it safe. A folder of a container's user stays as it is: its script can lie elsewhere.
fn fix(distrust: &Distrust, path: &Path, container: &Path) -> Option<String> {
    let first = "look at what it does, then: ";
    let folder = path.parent().unwrap_or(Path::new("/"));
    if let (Cause::Owner(uid), true) = (&distrust.cause, distrust.path == folder && folder != container) {
        let (script, container) = (escape_path(path), escape_path(container));
        return Some(format!(
            "{first}mkdir -p '{container}' && sudo mv '{script}' '{container}/'; or set TRUSTED_UIDS={uid} in Backrest's .env"
        ));
    }
    // Some systems need their shared folders as they are.
    let trusted = match folder.starts_with(&distrust.path) {
        true => format!("; or set TRUSTED_FOLDERS={} in Backrest's .env", escape_path(&distrust.path)),
        false => String::new(),
    };
    distrust.fix().map(|command| format!("{first}{command}{trusted}"))
}

/// The script at `path`, which begins with `text`: refused if nothing can or should start it.
fn by_its_start(text: &[u8], path: &Path, checks: &Checks) -> Script {
    let runs = |by_shell| Script { by_shell, refusal: None, ..refused(path, String::new(), None) };
    if text.starts_with(b"\x7fELF") {
        return runs(false);
    }
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or(text);
    if line.ends_with(b"\r") {
        let hint = format!("sed -i 's/\\r$//' '{}'", escape_path(path));
        return refused(path, "has lines that end in CR LF, as Windows writes them".into(), Some(hint));
    }
    let Some(line) = line.strip_prefix(b"#!") else {
        // Bash looks for a NUL to distinguish a program of another machine from a script.
        return match line.contains(&0) {
            true => refused(path, "is neither a script nor a program of this machine".into(), None),
            false => runs(true),
        };
    };
    let line = line.trim_ascii();
    let program = line.split(|&byte| byte == b' ' || byte == b'\t').next().unwrap_or(line);
    let program = Path::new(OsStr::from_bytes(program));
    // The check below stops at the first folder that others can write.
    if !program.is_absolute() || fs::metadata(program).is_err() {
        let what = format!("names a program that isn't there in its #! line: {}", escape_path(program));
        return refused(path, what, None);
    }
    match checks.of(program) {
        Err(distrust) if !matches!(distrust.cause, Cause::Group(_)) => {
            let what = format!("names a program in its #! line that must not be run: {distrust}");
            let hint = distrust.fix().map(|command| format!("look at that program, then: {command}"));
            refused(path, what, hint)
        }
        // On Debian /usr/local belongs to a group of administrators.
        _ => runs(false),
    }
}
