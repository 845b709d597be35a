//! The user's home, `~`, and absolute paths without touching the file system.
//!
//! Paths stay as the user wrote them (no symlink is resolved), because they are shown again.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use crate::exit::HintExt;

/// Cron's `PATH` is `/usr/bin:/bin`; these hold what scripts and actions call.
const USUAL_PLACES: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin";

/// The user's home: `$HOME`, as the shell and cron set it.
pub fn home() -> Result<PathBuf> {
    env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
        .context("find the home folder: HOME is not set to an absolute path")
        .hint("set HOME, or name the folders with --container-root and --data-root")
}

/// The path of another of these tools: beside the one that runs, otherwise as found on `PATH`. Cron's `PATH` does not
/// hold `~/.local/bin`, so the neighbour comes first.
pub fn tool(name: &str) -> PathBuf {
    let beside = env::current_exe().ok().map(|own| own.with_file_name(name));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(name))
}

/// The `PATH` for programs that the user wrote or installed: our own, and behind it the usual places that it lacks.
/// Relative places are left out.
pub fn search_path() -> OsString {
    with_usual_places(env::var_os("PATH").as_deref())
}

fn with_usual_places(path: Option<&OsStr>) -> OsString {
    let given: Vec<PathBuf> = path.map(|path| env::split_paths(path).collect()).unwrap_or_default();
    let usual: Vec<PathBuf> = env::split_paths(USUAL_PLACES).filter(|place| !given.contains(place)).collect();
    let given = given.into_iter().filter(|place| place.is_absolute());
    env::join_paths(given.chain(usual)).unwrap_or_else(|_| USUAL_PLACES.into())
}

/// `path` with a leading `~` replaced by the home, made absolute below `base`, and without `.`, `..` and `//`.
///
/// Fails only if `~` is used and there is no home.
pub fn absolute(path: &Path, base: &Path) -> Result<PathBuf> {
    let path = match path.strip_prefix("~") {
        Ok(rest) => home()?.join(rest),
        Err(_) => path.to_path_buf(),
    };
    Ok(normal(&base.join(path)))
}

/// `path` without `.`, `..`, `//` and a trailing `/`; a symlink before `..` is not resolved.
pub fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_path_keeps_its_order_and_gets_what_cron_lacks() {
        let path = with_usual_places(Some(OsStr::new("/opt/bin:.:/usr/bin:/bin")));
        assert_eq!(path, "/opt/bin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/snap/bin");
        assert_eq!(with_usual_places(None), USUAL_PLACES);
    }

    #[test]
    fn paths_become_absolute_without_looking() {
        let base = Path::new("/base");
        for (path, expected) in [
            ("a/./b/../c/", "/base/a/c"),
            ("/x//y", "/x/y"),
            ("..", "/"),
            ("../../..", "/"),
            ("~a", "/base/~a"),
        ] {
            assert_eq!(absolute(Path::new(path), base).unwrap(), Path::new(expected), "{path}");
        }
    }
}
