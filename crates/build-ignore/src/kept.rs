//! `--kept0`: every path that the rules keep, for `create-backrest-pipe verify`.
//!
//! The form is [`common::contract::kept`]. What a reader gets wrong: the order is restic's, in which the names of a
//! folder are compared, not whole paths, so `a/b` comes before `a.b`.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use common::contract::kept::{Content, Record};

use crate::root::Root;
use crate::tree::{Entry, Folder, Kind};

/// Prints the list of `roots`, which were walked for names.
pub(crate) fn print(roots: &[Root]) {
    common::output::raw(|out| list(roots, out));
}

fn list(roots: &[Root], out: &mut impl Write) -> io::Result<()> {
    let mut roots: Vec<&Root> = roots.iter().collect();
    roots.sort_by(|a, b| a.seen_at.names.cmp(&b.seen_at.names));
    for root in roots {
        let tree = &root.built.tree;
        let content = content(&tree.top);
        let at = root.place.path.as_os_str().as_bytes().to_vec();
        let seen_at = [b"/", root.seen_at.names.join(&b'/').as_slice()].concat();
        Record::Root { at, seen_at, content }.write(out)?;
        for closed in &tree.closed {
            let below = closed.path.strip_prefix(&root.place.path).map_or(OsStr::new(""), AsRef::as_ref);
            Record::Closed(below.as_bytes().to_vec()).write(out)?;
        }
        let unbounded = root.built.sections.iter().filter(|(_, section)| section.unnamed > 0);
        for (name, _) in unbounded {
            Record::Unbounded(name.join(&b'/')).write(out)?;
        }
        folder(&tree.top, &mut Vec::new(), out)?;
    }
    Record::End.write(out)
}

/// What is kept in a folder, in restic's order.
fn kept(folder: &Folder) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry> = folder.entries().filter(|entry| !entry.is_ignored).collect();
    entries.sort_unstable_by_key(|entry| entry.name);
    entries
}

/// How much is kept in a folder and below it.
fn content(folder: &Folder) -> Content {
    let mut all = Content::default();
    for entry in folder.entries().filter(|entry| !entry.is_ignored) {
        let inner = entry.folder.map(content).unwrap_or_default();
        all.entries += inner.entries + 1;
        all.name_bytes += inner.name_bytes + entry.name.len() as u64;
        all.depth = all.depth.max(inner.depth + 1);
    }
    all
}

fn folder(folder: &Folder, path: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
    let length = path.len();
    for entry in kept(folder) {
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(entry.name);
        match entry.kind {
            Kind::File => Record::File(path.clone()).write(out)?,
            Kind::Other => Record::Other(path.clone()).write(out)?,
            Kind::Folder => {
                let content = entry.folder.map(content).unwrap_or_default();
                Record::Folder { path: path.clone(), content }.write(out)?;
                if let Some(inner) = entry.folder {
                    self::folder(inner, path, out)?;
                }
            }
        }
        path.truncate(length);
    }
    Ok(())
}
