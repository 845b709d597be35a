//! Dumps that two services declare: each would overwrite or vouch for the other's.
//!
//! Paths that leave a service's folder are refused when they are read, so this comes about through symlinks only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use common::text::escape_path;

use crate::plan::Step;

/// For each step, by its place, a dump that another one declares as well, and the name of that one's service.
pub(crate) fn shared_dumps(steps: &[Step]) -> BTreeMap<usize, String> {
    let mut declared: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for (place, step) in steps.iter().enumerate() {
        for dump in &step.script.declarations.dumps {
            let path = step.script.folder.join(dump.path());
            let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
            if let (Some(folder), Some(name)) = (folder, path.file_name()) {
                declared.entry(folder.join(name)).or_default().push(place);
            }
        }
    }
    let mut shared = BTreeMap::new();
    for (path, places) in declared.iter().filter(|(_, places)| places.len() > 1) {
        for place in places {
            if let Some(other) = places.iter().find(|other| *other != place) {
                let what = format!(
                    "{} is declared by {} too",
                    escape_path(path),
                    steps[*other].candidate.shown_name()
                );
                shared.insert(*place, what);
            }
        }
    }
    shared
}
