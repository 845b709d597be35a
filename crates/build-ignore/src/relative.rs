//! What `--relative` lines match beside what they are for, and how it is taken back in.
//!
//! A line without a `/` at its start matches at any depth: `data/web/cache` also matches `containers/x/data/web/cache`. Where
//! the roots hold such folders, each kept path that a line would leave out gets a line with `!` at the end of the file.
//!
//! What a reader gets wrong: such a line takes back all that lies below its path, and matches at any depth too. That is more
//! in the backup, never less.

use common::problem::Problem;
use common::text::count;

use crate::command::Root;
use crate::decide::host_path;
use crate::settle::{self, DifferenceKind};
use crate::translate::component;
use crate::translate::line::Out;
use crate::tree::Folder;

/// The lines that take back what lines for another place would leave out. Each folder that holds such paths becomes a
/// warning of its root. All names must have been kept in the trees.
pub(crate) fn take_back(roots: &mut [Root]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let look = |root: &Root| {
        let mut warnings = Vec::new();
        look_into(root, &root.built.tree.top, &mut Vec::new(), roots, &mut lines, &mut warnings);
        warnings
    };
    let warnings: Vec<Vec<Problem>> = roots.iter().map(look).collect();
    for (root, warnings) in roots.iter_mut().zip(warnings) {
        root.built.warnings.extend(warnings);
    }
    lines.sort();
    lines.dedup();
    lines
}

fn look_into(
    root: &Root,
    folder: &Folder,
    names: &mut Vec<Vec<u8>>,
    roots: &[Root],
    lines: &mut Vec<Vec<u8>>,
    warnings: &mut Vec<Problem>,
) {
    for entry in folder.entries() {
        let Some(inner) = entry.folder.filter(|_| !entry.is_ignored) else { continue };
        names.push(entry.name.to_vec());
        if let Some(other) = roots.iter().find(|other| other.name.as_bytes() == entry.name) {
            let before = lines.len();
            for difference in settle::compare_below(inner, &other.built.model) {
                if difference.kind == DifferenceKind::Lost {
                    let path = names.iter().chain(&difference.names);
                    let parts: Vec<Out> = path.map(|name| Out::Name(component::literal(name))).collect();
                    lines.extend(root.seen_at.base().line(true, &parts));
                }
            }
            let found = lines.len() - before;
            if found > 0 {
                let what = format!(
                    "lines for {}/ match here too, as relative lines do at any depth; {} in it taken back in; --mount \
                     avoids that",
                    other.name,
                    count(found, "path"),
                );
                warnings.push(Problem::new(host_path(&root.path, names), what));
            }
        }
        look_into(root, inner, names, roots, lines, warnings);
        names.pop();
    }
}
