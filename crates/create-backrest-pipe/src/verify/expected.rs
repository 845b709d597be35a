//! What the rules keep on this host, as `build-ignore --kept0` lists it: once, into a temporary file, and from there
//! twice: to plan the listing of the snapshot, and to compare.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::{BufReader, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::contract::kept::{Content, Record};
use common::exit::HintExt;
use common::process::{self, Limits};
use common::roots::{RootTree, trees};
use common::settings::Settings;
use common::text::escape_path;

use super::entry::EntryKind;

/// A walk through a few million files on a slow disk.
const WALK_TIME: Duration = Duration::from_secs(3600);
/// What one name takes in the listing apart from the name itself, and a bit more.
const BYTES_PER_NAME: u64 = 150;

#[derive(Clone, Debug)]
pub(super) struct Root {
    /// Where restic sees it.
    pub(super) seen_at: String,
    /// Its folder, its name, and the root in it.
    pub(super) place: RootTree,
    /// Folders below it that can't be entered.
    pub(super) closed: HashSet<Vec<u8>>,
    /// Services of which the ignore file can't name all that the rules leave out.
    pub(super) unbounded: HashSet<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Where restic sees it.
    pub(super) path: Vec<u8>,
    pub(super) kind: EntryKind,
}

pub(super) struct Expected {
    file: File,
    pub(super) roots: Vec<Root>,
    pub(super) weights: Weights,
}

/// About how much room folders take in a listing of the snapshot.
#[derive(Debug, Default)]
pub(super) struct Weights {
    /// Bytes of all that is in a folder, for the roots, the folders that are too large, and those directly in these, by
    /// the hash of its path: there may be millions, and two that are confused only make a listing too large or small.
    whole: HashMap<u64, u64>,
    /// The folders that don't fit into one listing, with the bytes of what lies directly in them, in restic's order.
    pub(super) large: Vec<(String, u64)>,
}

impl Weights {
    /// About how many bytes of a listing this folder with all that is in it takes.
    pub(super) fn of(&self, folder: &str) -> Option<u64> {
        self.whole.get(&hash(folder)).copied()
    }
}

fn hash(path: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(path)
}

impl Expected {
    /// Makes the list in `scratch`. What takes more than `fitting` bytes of a listing is large.
    pub(super) fn make(
        settings: &Settings,
        scratch: &Path,
        fitting: u64,
        cancel: &Cancel,
    ) -> Result<Expected> {
        let path = scratch.join("kept");
        let naming = || format!("make a temporary file: {}", escape_path(&path));
        let file =
            File::options().read(true).write(true).create_new(true).open(&path).with_context(naming)?;
        let mut command = settings.command("build-ignore", &["--kept0"]);
        command.arg("--mount").arg(&settings.mount).arg("--output").arg(&settings.ignore_file);
        let output = file.try_clone().with_context(naming)?;
        let made = process::capture_into(&mut command, output, Limits::within(WALK_TIME), Some(cancel))?;
        made.success()
            .context("list what the rules keep")
            .hint("see why: build-ignore --report; or name a larger folder for temporary files in TMPDIR")?;
        let mut expected = Expected { file, roots: Vec::new(), weights: Weights::default() };
        expected.plan(fitting, &trees(settings))?;
        Ok(expected)
    }

    /// Every record, each with its path as restic sees it, in restic's order.
    fn records(&self) -> Result<impl Iterator<Item = Result<(Vec<u8>, Record)>> + use<>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        let mut input = BufReader::with_capacity(256 << 10, file);
        let mut root = Vec::new();
        let mut read = move || {
            let record = Record::read(&mut input).context("read the list of what the rules keep")?;
            let below = match &record {
                Record::End => return Ok(None),
                Record::Root { seen_at, .. } => {
                    root.clone_from(seen_at);
                    return Ok(Some((root.clone(), record)));
                }
                Record::Folder { path, .. } => path,
                Record::File(path) | Record::Other(path) | Record::Closed(path) | Record::Unbounded(path) => {
                    path
                }
            };
            Ok(Some(([root.as_slice(), b"/", below].concat(), record)))
        };
        Ok(std::iter::from_fn(move || read().transpose()))
    }

    fn plan(&mut self, fitting: u64, trees: &[RootTree]) -> Result<()> {
        // The large folders that are open, by their place in `large`, and the small one whose content is passed over.
        let mut open: Vec<usize> = Vec::new();
        let mut small: Option<Vec<u8>> = None;
        for record in self.records()? {
            let (path, record) = record?;
            let content = match record {
                Record::Root { at, seen_at, content } => {
                    let Ok(seen_at) = String::from_utf8(seen_at) else { bail!("the mount is not UTF-8") };
                    let at = OsStr::from_bytes(&at);
                    let place = trees.iter().find(|tree| tree.path == at).context("an unknown root")?.clone();
                    let (closed, unbounded) = Default::default();
                    self.roots.push(Root { place, seen_at, closed, unbounded });
                    (open, small) = (Vec::new(), None);
                    Some(content)
                }
                Record::Closed(path) => {
                    self.roots.last_mut().context("a path before its root")?.closed.insert(path);
                    continue;
                }
                Record::Unbounded(path) => {
                    self.roots.last_mut().context("a path before its root")?.unbounded.insert(path);
                    continue;
                }
                Record::Folder { content, .. } => Some(content),
                _ => None,
            };
            if small.as_ref().is_some_and(|folder| is_below(&path, folder)) {
                continue;
            }
            let name = path.iter().rev().take_while(|byte| **byte != b'/').count() as u64;
            let own = BYTES_PER_NAME + name + 2 * depth(&path);
            while open.last().is_some_and(|last| !is_below(&path, self.weights.large[*last].0.as_bytes())) {
                open.pop();
            }
            if let Some(folder) = open.last() {
                self.weights.large[*folder].1 += own;
            }
            let Some(content) = content else { continue };
            let whole = own + weight(content, depth(&path));
            // What is not UTF-8 can't be asked for by its name.
            let Ok(text) = String::from_utf8(path.clone()) else {
                small = Some(path);
                continue;
            };
            self.weights.whole.insert(hash(&text), whole);
            if whole > fitting {
                open.push(self.weights.large.len());
                self.weights.large.push((text, own));
            } else {
                small = Some(path);
            }
        }
        Ok(())
    }

    pub(super) fn paths(&self) -> Result<impl Iterator<Item = Result<Kept>>> {
        let kept = |record: Result<(Vec<u8>, Record)>| match record {
            Err(error) => Some(Err(error)),
            Ok((path, Record::Folder { .. })) => Some(Ok(Kept { path, kind: EntryKind::Folder })),
            Ok((path, Record::File(_))) => Some(Ok(Kept { path, kind: EntryKind::File })),
            Ok((path, Record::Other(_))) => Some(Ok(Kept { path, kind: EntryKind::Other })),
            Ok(_) => None,
        };
        Ok(self.records()?.filter_map(kept))
    }
}

fn depth(path: &[u8]) -> u64 {
    path.iter().filter(|byte| **byte == b'/').count() as u64
}

/// The bytes that the content of a folder so deep takes in a listing: each line is indented by its depth.
fn weight(content: Content, depth: u64) -> u64 {
    content.entries * (BYTES_PER_NAME + 2 * (depth + content.depth)) + content.name_bytes
}

/// Whether `path` is in `folder`, at any depth.
pub(super) fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/"))
}
