//! What git does not ignore, when each `.resticignore` is read as a `.gitignore`: the judge of what a backup
//! has to hold.
//!
//! git itself reads files of that name, so nothing is translated and nothing is copied.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::world::World;
use crate::trees::is_still;

/// What `build-ignore` writes before a backup; a copy from the backup before it is in the snapshot.
const IGNORE_FILE: &str = "containers/backrest/ignorefile.txt";

/// The files below both roots that git keeps, as paths below the home.
pub(super) fn kept(world: &World) -> Result<BTreeSet<PathBuf>> {
    let folder = world.beside("git");
    world.run(world.command("git").args(["init", "--quiet", "--bare"]).arg(&folder))?.success()?;
    let mut kept = BTreeSet::new();
    for root in ["data", "containers"] {
        let mut git = world.command("git");
        git.arg("--git-dir").arg(&folder).arg("--work-tree").arg(world.at(root)).current_dir(world.at(root));
        git.args(["-c", "core.bare=false", "ls-files", "-z", "--others"]);
        let listed = world.run(git.arg("--exclude-per-directory=.resticignore"))?.success()?;
        let paths = listed.stdout.split('\0').filter(|path| !path.is_empty());
        kept.extend(paths.map(|path| PathBuf::from(root).join(path)));
    }
    Ok(kept.into_iter().filter(|path| is_judged(path) && world.at(path).is_file()).collect())
}

/// Whether `path`, below the home, stays as it is during a backup.
pub(super) fn is_judged(path: &Path) -> bool {
    is_still(path) && path != Path::new(IGNORE_FILE)
}
