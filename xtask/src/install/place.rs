//! Puts items below a prefix and takes them away again, with the list of `manifest` as the memory between the two.
//!
//! The list is written before anything is touched, holding what is there of ours and what will be; so at every
//! moment each of our files stands in it, and the same command run again ends an interrupted one. A file that is not
//! ours is never overwritten: it first gets a second name.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use common::exit::HintExt;
use common::text::escape_path;

use super::layout::{Content, Item};
use super::manifest::{self, Entry};

const SUFFIX: &str = ".before-backrest-helpers";

/// What was done for one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It was not there.
    New,
    /// It was there, from an earlier install, with another content.
    Updated,
    /// It stood there just so.
    Unchanged,
    /// Something of the user stood there; it has this name now.
    KeptAside(PathBuf),
    /// An earlier install put it there and it is not needed any more.
    Removed,
    /// What install kept aside stands there again.
    PutBack,
    /// It is not what install put there, so it was left alone.
    NotOurs,
    /// What install kept aside could not go back to its old name, where this stands now.
    StaysAside(PathBuf),
}

/// What stands at a path.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Wanted,
    Ours,
    Foreign,
}

/// Puts `items` below `prefix` and tells for each path what was done.
pub(crate) fn put(prefix: &Path, items: &[Item]) -> Result<Vec<(PathBuf, Done)>> {
    let old = read_list(prefix)?;
    let mut entries = missing_folders(prefix, items);
    entries.extend(old.iter().filter(|entry| matches!(entry, Entry::Folder(_))).cloned());
    let mut plan = Vec::new();
    for item in items {
        let done = match found(prefix, item, &old)? {
            Found::Nothing => Done::New,
            Found::Wanted => Done::Unchanged,
            Found::Ours => Done::Updated,
            Found::Foreign => {
                let kept = free_name(prefix, &item.path)?;
                entries.push(Entry::Aside { path: item.path.clone(), kept: kept.clone() });
                Done::KeptAside(kept)
            }
        };
        plan.push((item, done));
    }
    entries.extend(old.iter().filter(|entry| matches!(entry, Entry::Aside { .. })).cloned());
    let wanted: Vec<Entry> = items.iter().map(entry_of).collect();
    let stale: Vec<Entry> =
        old.iter().filter(|entry| is_content(entry) && !wanted.contains(entry)).cloned().collect();
    let finished: Vec<Entry> = entries.iter().chain(&wanted).cloned().collect();

    for entry in &entries {
        if let Entry::Folder(folder) = entry {
            let folder = folder_at(prefix, folder);
            fs::create_dir_all(&folder)
                .with_context(|| format!("make a folder: {}", escape_path(&folder)))?;
        }
    }
    entries.extend(stale.iter().cloned().chain(wanted));
    write_list(prefix, &entries)?;
    let mut told = Vec::new();
    for (item, done) in plan {
        let path = prefix.join(&item.path);
        if let Done::KeptAside(kept) = &done {
            give_second_name(&path, &prefix.join(kept))?;
        }
        if done != Done::Unchanged {
            place(&path, &item.content)?;
        }
        told.push((item.path.clone(), done));
    }
    for entry in &stale {
        let path = path_of(entry);
        if items.iter().all(|item| item.path != path) && remove_if_ours(prefix, path, &old)? == Some(true) {
            told.push((path.to_path_buf(), Done::Removed));
        }
    }
    write_list(prefix, &finished)?;
    Ok(told)
}

/// Takes away what the list below `prefix` holds; `None` where there is no list.
pub(crate) fn take_away(prefix: &Path) -> Result<Option<Vec<(PathBuf, Done)>>> {
    let list = prefix.join(manifest::PLACE);
    if !list.exists() {
        return Ok(None);
    }
    let entries = read_list(prefix)?;
    let mut told = Vec::new();
    let mut seen: Vec<&Path> = Vec::new();
    for entry in entries.iter().filter(|entry| is_content(entry)) {
        let path = path_of(entry);
        if seen.contains(&path) {
            continue;
        }
        seen.push(path);
        match remove_if_ours(prefix, path, &entries)? {
            Some(true) => told.push((path.to_path_buf(), Done::Removed)),
            Some(false) => told.push((path.to_path_buf(), Done::NotOurs)),
            None => {}
        }
    }
    // The list has the newest first: what the user had last goes back, older ones keep their second name.
    for entry in &entries {
        if let Entry::Aside { path, kept } = entry {
            if exists(&prefix.join(kept)) {
                told.push((path.clone(), put_back(prefix, path, kept)?));
            }
        }
    }
    fs::remove_file(&list).with_context(|| format!("remove: {}", escape_path(&list)))?;
    let mut folders: Vec<&Path> =
        entries.iter().filter(|entry| matches!(entry, Entry::Folder(_))).map(path_of).collect();
    folders.sort_by_key(|folder| {
        std::cmp::Reverse(folder.components().filter(|c| c.as_os_str() != ".").count())
    });
    for folder in folders {
        // What the user put there in the meantime keeps it.
        let _ = fs::remove_dir(folder_at(prefix, folder));
    }
    Ok(Some(told))
}

fn entry_of(item: &Item) -> Entry {
    let path = item.path.clone();
    match &item.content {
        Content::File(bytes, _) => Entry::File { path, sum: manifest::sum(bytes) },
        Content::Link(target) => Entry::Link { path, target: target.clone() },
    }
}

fn is_content(entry: &Entry) -> bool {
    matches!(entry, Entry::File { .. } | Entry::Link { .. })
}

fn path_of(entry: &Entry) -> &Path {
    match entry {
        Entry::Folder(path)
        | Entry::File { path, .. }
        | Entry::Link { path, .. }
        | Entry::Aside { path, .. } => path,
    }
}

fn read_list(prefix: &Path) -> Result<Vec<Entry>> {
    let path = prefix.join(manifest::PLACE);
    match fs::read_to_string(&path) {
        Ok(text) => manifest::parse(&text)
            .with_context(|| format!("read the list of installed files: {}", escape_path(&path)))
            .hint("mend that line, or remove the list and the files in bin by hand"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("read: {}", escape_path(&path))),
    }
}

fn write_list(prefix: &Path, entries: &[Entry]) -> Result<()> {
    common::atomic::write(&prefix.join(manifest::PLACE), manifest::render(entries).as_bytes(), 0o644)?;
    Ok(())
}

/// The folders that have to be made, outermost first.
fn missing_folders(prefix: &Path, items: &[Item]) -> Vec<Entry> {
    let list = Path::new(manifest::PLACE);
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in items.iter().map(|item| item.path.as_path()).chain([list]) {
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        for folder in above.into_iter().rev() {
            let folder = if folder == Path::new("") { Path::new(".") } else { folder };
            if !exists(&folder_at(prefix, folder)) && !folders.iter().any(|known| known == folder) {
                folders.push(folder.to_path_buf());
            }
        }
    }
    folders.into_iter().map(Entry::Folder).collect()
}

/// A folder of the list; `.` is the prefix itself, and mkdir(2) wants it named without the dot.
fn folder_at(prefix: &Path, folder: &Path) -> PathBuf {
    if folder == Path::new(".") { prefix.to_path_buf() } else { prefix.join(folder) }
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn found(prefix: &Path, item: &Item, old: &[Entry]) -> Result<Found> {
    let path = prefix.join(&item.path);
    let Some(there) = entry_at(prefix, &item.path)? else { return Ok(Found::Nothing) };
    if there == entry_of(item) {
        let mode = match item.content {
            Content::File(_, mode) => Some(mode),
            Content::Link(_) => None,
        };
        let has_mode = fs::symlink_metadata(&path).map(|metadata| metadata.mode() & 0o777).ok();
        return Ok(if mode.is_none() || mode == has_mode { Found::Wanted } else { Found::Ours });
    }
    Ok(if old.contains(&there) { Found::Ours } else { Found::Foreign })
}

/// What stands at `path` below `prefix`, as an entry of the list; `None` where nothing does.
fn entry_at(prefix: &Path, path: &Path) -> Result<Option<Entry>> {
    let full = prefix.join(path);
    let metadata = match fs::symlink_metadata(&full) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("look at: {}", escape_path(&full))),
    };
    let path = path.to_path_buf();
    if metadata.is_symlink() {
        let target = fs::read_link(&full).with_context(|| format!("read a link: {}", escape_path(&full)))?;
        Ok(Some(Entry::Link { path, target }))
    } else if metadata.is_file() {
        let bytes = fs::read(&full).with_context(|| format!("read: {}", escape_path(&full)))?;
        Ok(Some(Entry::File { path, sum: manifest::sum(&bytes) }))
    } else {
        bail!("put in place: {}: something that is no file has this name", escape_path(&full))
    }
}

/// `Some(true)` if it was there, ours, and is gone now; `Some(false)` if it is somebody else's.
fn remove_if_ours(prefix: &Path, path: &Path, ours: &[Entry]) -> Result<Option<bool>> {
    // Something that is no file can't be ours.
    let Ok(there) = entry_at(prefix, path) else { return Ok(Some(false)) };
    let Some(there) = there else { return Ok(None) };
    if !ours.contains(&there) {
        return Ok(Some(false));
    }
    let full = prefix.join(path);
    fs::remove_file(&full).with_context(|| format!("remove: {}", escape_path(&full)))?;
    Ok(Some(true))
}

fn put_back(prefix: &Path, path: &Path, kept: &Path) -> Result<Done> {
    let (to, from) = (prefix.join(path), prefix.join(kept));
    if exists(&to) {
        return Ok(Done::StaysAside(kept.to_path_buf()));
    }
    fs::rename(&from, &to).with_context(|| format!("put back: {}", escape_path(&to)))?;
    Ok(Done::PutBack)
}

/// `NAME.before-backrest-helpers`, or with a number where that is taken.
fn free_name(prefix: &Path, path: &Path) -> Result<PathBuf> {
    let name = |number: u32| match number {
        1 => format!("{}{SUFFIX}", path.display()),
        _ => format!("{}{SUFFIX}-{number}", path.display()),
    };
    let free = (1..1000).map(|number| PathBuf::from(name(number))).find(|kept| !exists(&prefix.join(kept)));
    free.with_context(|| format!("keep aside: {}: too many are kept already", escape_path(prefix.join(path))))
}

/// The second name comes first and the old one is replaced in one step, so the name never leads nowhere.
fn give_second_name(path: &Path, kept: &Path) -> Result<()> {
    let naming = || format!("keep aside: {}", escape_path(path));
    match fs::hard_link(path, kept) {
        // Some file systems have no second names.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            fs::rename(path, kept).with_context(naming)
        }
        result => result.with_context(naming),
    }
}

fn place(path: &Path, content: &Content) -> Result<()> {
    match content {
        Content::File(bytes, mode) => {
            common::atomic::write(path, bytes, *mode)?;
            // A file that was replaced handed its mode on.
            let permissions = Permissions::from_mode(*mode);
            fs::set_permissions(path, permissions)
                .with_context(|| format!("set the mode: {}", escape_path(path)))
        }
        Content::Link(target) => {
            let folder = path.parent().context("a link without a folder")?;
            let part = tempfile::Builder::new()
                .prefix(".")
                .suffix(".part")
                .make_in(folder, |part| std::os::unix::fs::symlink(target, part))
                .with_context(|| format!("make a link: {}", escape_path(path)))?;
            part.persist(path)
                .map_err(|failed| failed.error)
                .with_context(|| format!("make a link: {}", escape_path(path)))?;
            Ok(())
        }
    }
}
