//! Backrest's own folders in the data root. Where one is missing Docker would make it as root, and the user's tools
//! could not write there.

use std::path::PathBuf;

use anyhow::Result;

use crate::folder;
use crate::inspect::{Facts, entry};
use crate::places::Places;
use crate::work::Work;

/// What compose.yaml mounts below `DATA_DIR`.
const FOLDERS: [&str; 5] = ["data", "config", "cache", "tmp", "rclone"];

/// The folders that are missing, outermost first. None if there is no data root to put them in, or if root's Docker has
/// made and filled the outermost.
pub(super) fn missing(facts: &Facts, places: &Places) -> Result<Vec<PathBuf>> {
    let outer = entry::look(&places.data_dir)?;
    let is_ours = outer.is_missing() || outer.is_dockers() || outer.owner == facts.user;
    if !facts.has_data_root || !is_ours {
        return Ok(Vec::new());
    }
    let mut missing = Vec::new();
    for path in [places.data_dir.clone()].into_iter().chain(FOLDERS.map(|name| places.data_dir.join(name))) {
        let there = entry::look(&path)?;
        // Both of Backrest's folders may be one, which is made as the other.
        let is_other = path == places.layout.container_dir();
        if (there.is_missing() || there.is_dockers() && facts.user != 0) && !is_other {
            missing.push(path);
        }
    }
    Ok(missing)
}

/// Makes them.
pub(super) fn ensure(folders: &[PathBuf], user: u32, work: &mut Work) -> Result<()> {
    folders.iter().try_for_each(|path| folder::make(&entry::look(path)?, user, 0o755, work))
}
