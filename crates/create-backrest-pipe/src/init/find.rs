//! Where the services lie: as set or named, in the usual two folders of the home, or in a folder that other managers
//! of Compose projects use for both.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use common::compose;
use common::exit::HintExt;
use common::paths;
use common::settings::{Flags, Settings};
use common::text::escape_path;

use crate::roots::real;

/// Folders in which each service has its compose file and its data: Dockge's, and those of many guides and NAS.
const SHARED: [&str; 5] =
    ["/opt/stacks", "/srv/docker", "/volume1/docker", "/opt/docker", "/mnt/user/appdata"];

/// Finds the roots and returns the flags with which the settings are read. Fails if there is more than one place that
/// could be meant.
pub(crate) fn roots(given: &Flags) -> Result<Flags> {
    let home = paths::home()?;
    let is_named =
        [&given.container_root, &given.data_root, &given.container_dir].iter().any(|flag| flag.is_some())
            || ["CONTAINER_ROOT", "DATA_ROOT"]
                .iter()
                .any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    let is_usual = home.join("containers/backrest/.env").exists() || home.join("containers").is_dir();
    if is_named || is_usual {
        return Ok(given.clone());
    }
    match shared(&home).as_slice() {
        [] => Ok(given.clone()),
        [only] => Ok(Flags {
            container_root: Some(only.clone()),
            data_root: Some(only.clone()),
            container_dir: given.container_dir.clone().or_else(|| Some(only.join("backrest"))),
            data_dir: given.data_dir.clone().or_else(|| Some(only.join("backrest"))),
        }),
        several => {
            let names: Vec<_> = several.iter().map(escape_path).collect();
            let first = &names[0];
            Err(anyhow!("find the services: there are some in {}", names.join(" and in ")))
                .hint(format!("name the folder: --container-root {first} --data-root {first}"))
        }
    }
}

fn shared(home: &Path) -> Vec<PathBuf> {
    let known = SHARED.map(PathBuf::from).into_iter().chain([home.join("docker"), home.join("stacks")]);
    known.filter(|folder| services(folder).next().is_some()).collect()
}

pub(super) fn services(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).filter(|service| !compose::read(service).files.is_empty())
}

/// Folders that hold services, if the roots that are set hold none but Backrest.
pub(crate) fn instead_of(settings: &Settings) -> Vec<PathBuf> {
    let own = real(&settings.container_dir);
    let (root, Ok(home)) = (&settings.container_root, paths::home()) else { return Vec::new() };
    if services(root).any(|service| real(&service) != own) {
        return Vec::new();
    }
    shared(&home).into_iter().filter(|folder| real(folder) != real(root)).collect()
}
