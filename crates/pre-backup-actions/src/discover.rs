//! Which services have something to run: a look at `prepare-backup.sh` and `after-backup.sh` in every folder below
//! the data root.
//!
//! A script that is there but can't or must not be run is not passed over: it stays in the list with the reason why
//! it is refused, and its service fails. A service folder that is a symlink counts like any other, as it always did.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use common::problem::Problem;
use common::services::{self, Service};
use common::text::{escape, escape_path};
use nix::unistd::{AccessFlags, access, geteuid};

use crate::declare::{self, Declarations};

/// The script that runs before a backup.
pub(crate) const PREPARE: &str = "prepare-backup.sh";
/// The script that runs when it is over.
pub(crate) const AFTER: &str = "after-backup.sh";

/// A service with at least one of the two scripts.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) service: Service,
    pub(crate) prepare: Option<Script>,
    pub(crate) after: Option<Script>,
}

impl Candidate {
    /// The service's name, safe to show.
    pub(crate) fn shown(&self) -> String {
        escape_path(&self.service.name)
    }
}

/// A script that is there.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) path: PathBuf,
    pub(crate) declarations: Declarations,
    /// Why it is not run.
    pub(crate) refusal: Option<Refusal>,
}

/// Why a script is not run, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

/// All services below `data_root` that have a script, sorted by name, how many services there are in all, and what
/// could not be looked at.
///
/// Fails where the data root can't be listed.
pub(crate) fn candidates(data_root: &Path) -> Result<(Vec<Candidate>, usize, Vec<Problem>)> {
    let (services, problems) = services::below(data_root)?;
    let count = services.len();
    let candidates = services.into_iter().filter_map(|service| {
        let prepare = look(&service.folder.join(PREPARE));
        let after = look(&service.folder.join(AFTER));
        (prepare.is_some() || after.is_some()).then_some(Candidate { service, prepare, after })
    });
    Ok((candidates.collect(), count, problems))
}

/// The script at `path`, if anything is there.
pub(crate) fn look(path: &Path) -> Option<Script> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return None,
        Err(error) => return Some(refused(path, format!("can't be looked at: {error}"), None)),
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if metadata.is_symlink() => {
            return Some(refused(path, format!("is a symlink that leads nowhere: {error}"), None));
        }
        Err(error) => return Some(refused(path, format!("can't be looked at: {error}"), None)),
    };
    if metadata.is_dir() {
        let hint = "move the folder away; a script of this name is run before a backup";
        return Some(refused(path, "is a folder, not a script".into(), Some(hint.into())));
    }
    if !metadata.is_file() {
        return Some(refused(path, "is no regular file".into(), None));
    }
    if metadata.mode() & 0o111 == 0 || access(path, AccessFlags::X_OK).is_err() {
        let hint = format!("chmod +x '{}'", escape_path(path));
        return Some(refused(path, "is not executable".into(), Some(hint)));
    }
    if let Some(what) = writable_by_whom(&metadata) {
        let hint = format!("look at what it does, then: chmod go-w '{}'", escape_path(path));
        return Some(refused(path, what, Some(hint)));
    }
    let text = match read_start(path) {
        Ok(text) => text,
        Err(error) => return Some(refused(path, format!("can't be read: {error}"), None)),
    };
    let refusal = unfit_first_line(&text, path);
    Some(Script { path: path.to_path_buf(), declarations: declare::parse(&text), refusal })
}

fn refused(path: &Path, what: String, hint: Option<String>) -> Script {
    let refusal = Some(Refusal { what, hint });
    Script { path: path.to_path_buf(), declarations: Declarations::default(), refusal }
}

/// Who else could put something into the script that then runs as us.
fn writable_by_whom(metadata: &fs::Metadata) -> Option<String> {
    let (mode, owner) = (metadata.mode(), metadata.uid());
    if mode & 0o002 != 0 {
        return Some(format!("can be written by everybody (mode {:o})", mode & 0o7777));
    }
    let foreign = owner != 0 && owner != geteuid().as_raw();
    (foreign && mode & 0o020 != 0).then(|| {
        format!("belongs to user {owner} and can be written by its group (mode {:o})", mode & 0o7777)
    })
}

/// Declarations past this are not seen; nobody writes a script that long.
const LONGEST: u64 = 1 << 20;

fn read_start(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// Why the kernel could not start a file that begins like this.
fn unfit_first_line(text: &[u8], path: &Path) -> Option<Refusal> {
    if text.starts_with(b"\x7fELF") {
        return None;
    }
    let Some(rest) = text.strip_prefix(b"#!") else {
        return Some(Refusal {
            what: "has no #! line, so nothing says which program runs it".into(),
            hint: Some(format!("make #!/bin/sh the first line of '{}'", escape_path(path))),
        });
    };
    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or(rest);
    if line.ends_with(b"\r") {
        return Some(Refusal {
            what: "has lines that end in CR LF, as Windows writes them".into(),
            hint: Some(format!("sed -i 's/\\r$//' '{}'", escape_path(path))),
        });
    }
    let line = line.trim_ascii();
    let program = line.split(|&byte| byte == b' ' || byte == b'\t').next().unwrap_or(line);
    let found = !program.is_empty() && fs::metadata(Path::new(std::ffi::OsStr::from_bytes(program))).is_ok();
    (!found).then(|| Refusal {
        what: format!("names a program that isn't there in its #! line: {}", escape(program)),
        hint: None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn refusal_of(content: &[u8], mode: u32) -> Option<String> {
        let folder = tempfile_folder();
        let path = folder.path().join(PREPARE);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        look(&path).unwrap().refusal.map(|refusal| refusal.what)
    }

    fn tempfile_folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_script_that_can_be_run_is_not_refused() {
        for (content, mode) in
            [(&b"#!/bin/sh\n"[..], 0o755), (b"#! /bin/sh -e\n", 0o700), (b"\x7fELF", 0o775)]
        {
            assert_eq!(refusal_of(content, mode), None);
        }
    }

    #[test]
    fn each_unfit_script_is_refused_with_its_reason() {
        for (content, mode, expected) in [
            (&b"#!/bin/sh\n"[..], 0o644, "is not executable"),
            (b"#!/bin/sh\n", 0o757, "can be written by everybody (mode 757)"),
            (b"echo hello\n", 0o755, "has no #! line, so nothing says which program runs it"),
            (b"", 0o755, "has no #! line, so nothing says which program runs it"),
            (b"#!/bin/sh\r\necho\r\n", 0o755, "has lines that end in CR LF, as Windows writes them"),
            (b"#!/no/such/shell\n", 0o755, "names a program that isn't there in its #! line: /no/such/shell"),
            (b"#!\n", 0o755, "names a program that isn't there in its #! line: "),
        ] {
            assert_eq!(refusal_of(content, mode).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_no_file_is_refused_and_nothing_is_nothing() {
        let folder = tempfile_folder();
        let path = folder.path().join(PREPARE);
        assert!(look(&path).is_none());
        fs::create_dir(&path).unwrap();
        assert_eq!(look(&path).unwrap().refusal.unwrap().what, "is a folder, not a script");
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert!(look(&path).unwrap().refusal.unwrap().what.starts_with("is a symlink that leads nowhere"));
    }
}
