//! Puts a service's two folders in place: both or neither.
//!
//! Each is built under a temporary name beside its place ([`common::leftover`]) and then moved there. Two moves are
//! never one step, so a run can be killed in between. The data folder is built first and moved first: a temporary
//! container folder without a temporary data folder is complete, and the next run moves it to its place. Every other
//! leftover is removed.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use common::atomic;
use common::cancel::Cancel;
use common::exit::HintExt;
use common::leftover::{self, Leftover, Scratch};
use common::text::escape_path;

use crate::plan::{NewFile, Places};
use crate::templates::Root;

/// Fails if one of the roots is missing.
pub(crate) fn check_roots(places: &Places) -> Result<()> {
    for place in [&places.data, &places.container] {
        let root = parent(place);
        if !root.is_dir() {
            let flag = if place == &places.data { "--data-root" } else { "--container-root" };
            return Err(anyhow!("find the folder of all services: {}: no such folder", escape_path(root)))
                .hint(format!("mkdir -p '{}', or name another folder with {flag}", escape_path(root)));
        }
    }
    Ok(())
}

pub(crate) fn check_free(places: &Places) -> Result<()> {
    for place in [&places.container, &places.data] {
        if fs::symlink_metadata(place).is_ok() {
            let name = escape_path(place.file_name().unwrap_or_default());
            return Err(anyhow!("make a service: {}: already exists", escape_path(place))).hint(format!(
                "choose another name; to add what its backup lacks: new-container {name} --adopt"
            ));
        }
    }
    Ok(())
}

/// Writes `files` below `places`. If it fails, or `cancel` goes up, nothing is left; the latter is `false`.
pub(crate) fn all_or_nothing(files: &[NewFile], places: &Places, cancel: &Cancel) -> Result<bool> {
    check_roots(places)?;
    check_free(places)?;
    // The order counts, also that of dropping them, which is the reverse: see the head of this file.
    let mut data = if places.are_one() { None } else { Some(Staging::new(&places.data)?) };
    let mut container = Staging::new(&places.container)?;
    for file in files {
        match (&data, file.root) {
            (Some(data), Root::Data) => data.write(file)?,
            _ => container.write(file)?,
        }
    }
    if cancel.is_cancelled() {
        return Ok(false);
    }
    if let Some(data) = &mut data {
        data.move_to_place()?;
    }
    if let Err(error) = container.move_to_place() {
        if let Some(data) = data {
            data.move_back();
        }
        return Err(error);
    }
    Ok(true)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// A folder under construction, removed when dropped unless it was moved to its place.
struct Staging<'a> {
    folder: Scratch,
    place: &'a Path,
}

impl<'a> Staging<'a> {
    fn new(place: &'a Path) -> Result<Staging<'a>> {
        let folder = Scratch::new(parent(place), place.file_name().unwrap_or(OsStr::new("service")))
            .with_context(|| format!("make a folder: {}", escape_path(parent(place))))?;
        Ok(Staging { folder, place })
    }

    fn write(&self, file: &NewFile) -> Result<()> {
        let path = self.folder.path().join(&file.path);
        let folder = parent(&path);
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .with_context(|| format!("make a folder: {}", escape_path(folder)))?;
        atomic::create_new(&path, &file.text, file.mode)
    }

    fn move_to_place(&mut self) -> Result<()> {
        fs::set_permissions(self.folder.path(), Permissions::from_mode(0o755))
            .and_then(|()| self.folder.move_to(self.place))
            .and_then(|()| atomic::sync_folder(parent(self.place)))
            .with_context(|| format!("make a service: {}", escape_path(self.place)))
    }

    /// Takes it back from its place. Under its temporary name the next run removes it if this one is killed now.
    fn move_back(self) {
        if fs::rename(self.place, self.folder.path()).is_ok() {
            let _ = fs::remove_dir_all(self.folder.path());
        }
    }
}

/// Clears what a killed run left for this very service. `true` if that run had written everything and moved the data
/// folder: then this makes its second move.
pub(crate) fn complete_killed_run(places: &Places) -> Result<bool> {
    let (containers, datas) = (leftovers_of(&places.container), leftovers_of(&places.data));
    let is_free = |place: &Path| fs::symlink_metadata(place).is_err();
    let is_complete =
        !places.are_one() && datas.is_empty() && is_free(&places.container) && !is_free(&places.data);
    for leftover in containers {
        if is_complete && is_free(&places.container) {
            fs::set_permissions(&leftover.path, Permissions::from_mode(0o755))
                .and_then(|()| fs::rename(&leftover.path, &places.container))
                .with_context(|| format!("make a service: {}", escape_path(&places.container)))?;
        } else {
            remove(leftover)?;
        }
    }
    datas.into_iter().try_for_each(remove)?;
    Ok(is_complete && !is_free(&places.container))
}

fn remove(leftover: Leftover) -> Result<()> {
    let path = leftover.path.clone();
    leftover.remove().with_context(|| format!("remove what a killed run left: {}", escape_path(&path)))
}

/// The leftovers for the folder `place`; a service's name has no dot, so none of another service begins like that.
fn leftovers_of(place: &Path) -> Vec<Leftover> {
    let mut start = place.file_name().unwrap_or_default().to_os_string();
    start.push(".");
    leftover::find(parent(place), start)
}
