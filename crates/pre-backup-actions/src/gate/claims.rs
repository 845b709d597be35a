//! Dumps that two services declare: each would overwrite or vouch for the other's.
//!
//! Paths that leave a service's folder are refused when they are read, so this comes about through symlinks only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use common::text::escape_path;

use crate::plan::Step;

/// For each step, by its place, a dump that another one declares as well, and the name of that one's service.
pub(crate) fn claimed_twice(steps: &[Step]) -> BTreeMap<usize, String> {
    let mut claims: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for (place, step) in steps.iter().enumerate() {
        for dump in &step.script.declarations.dumps {
            let path = step.candidate.service.folder.join(dump.path());
            let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
            if let (Some(folder), Some(name)) = (folder, path.file_name()) {
                claims.entry(folder.join(name)).or_default().push(place);
            }
        }
    }
    let mut twice = BTreeMap::new();
    for (path, places) in claims.iter().filter(|(_, places)| places.len() > 1) {
        for place in places {
            if let Some(other) = places.iter().find(|other| *other != place) {
                let what =
                    format!("{} is declared by {} too", escape_path(path), steps[*other].candidate.shown());
                twice.insert(*place, what);
            }
        }
    }
    twice
}
