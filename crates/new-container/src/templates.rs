//! The user's own templates: `<container root>/.templates/<folder>/`.
//!
//! Each file in such a folder goes to the service's container folder. `.resticignore`, `prepare-backup.sh` and
//! `after-backup.sh` at its top go to the data folder, and so does everything below `data/`; everything below
//! `container/` goes to the container folder. Symlinks are followed: the user made them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use common::exit::HintExt;
use common::services::{AFTER, PREPARE, RULES};
use common::text::escape_path;
use walkdir::WalkDir;

/// Which of a service's two folders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Root {
    Container,
    #[default]
    Data,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// Where it was read from, for messages.
    pub(crate) source: PathBuf,
    pub(crate) root: Root,
    /// Where it goes, below that root's folder.
    pub(crate) path: PathBuf,
    pub(crate) text: Vec<u8>,
    pub(crate) is_executable: bool,
}

/// A template is text that a person wrote; what is larger than this is there by mistake.
const LARGEST: u64 = 16 << 20;

pub(crate) fn folder(container_root: &Path) -> PathBuf {
    container_root.join(".templates")
}

/// All of the user's own templates with their names.
pub(crate) fn all(container_root: &Path) -> Result<Vec<(String, Vec<Template>)>> {
    let folder = folder(container_root);
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    let (services, _) = common::services::below(&folder)?;
    services.iter().map(|one| Ok((escape_path(&one.name), read(&one.folder)?))).collect()
}

/// The files of the templates `names`, in that order, as far as their folders exist; then those of `asked_for`, whose
/// folder has to.
pub(crate) fn of(container_root: &Path, names: &[&str], asked_for: Option<&str>) -> Result<Vec<Template>> {
    let mut templates = Vec::new();
    for name in names.iter().copied().chain(asked_for) {
        let folder = folder(container_root).join(name);
        if folder.is_dir() {
            templates.extend(read(&folder)?);
        } else if asked_for == Some(name) {
            let error = anyhow!("read the template: {}: no such folder", escape_path(&folder));
            return Err(error).hint("make the folder and put a compose.yaml into it");
        }
    }
    Ok(templates)
}

fn read(folder: &Path) -> Result<Vec<Template>> {
    let mut templates = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry.with_context(|| format!("read the template: {}", escape_path(folder)))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let naming = || format!("read the template: {}", escape_path(entry.path()));
        let metadata = entry.metadata().with_context(naming)?;
        if metadata.len() > LARGEST {
            return Err(anyhow!("{}: larger than 16 MiB", naming()));
        }
        let text = fs::read(entry.path()).with_context(naming)?;
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let (root, path) = place(below);
        let is_executable = metadata.permissions().mode() & 0o100 != 0;
        templates.push(Template { source: entry.path().into(), root, path, text, is_executable });
    }
    Ok(templates)
}

fn place(below: &Path) -> (Root, PathBuf) {
    if let Ok(path) = below.strip_prefix("data") {
        return (Root::Data, path.to_path_buf());
    }
    if let Ok(path) = below.strip_prefix("container") {
        return (Root::Container, path.to_path_buf());
    }
    let is_for_data = matches!(below.to_str(), Some(RULES | PREPARE | AFTER));
    (if is_for_data { Root::Data } else { Root::Container }, below.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_goes_where_its_name_says() {
        let folder = tempfile::tempdir().unwrap();
        let template = folder.path().join(".templates/web");
        for path in
            ["compose.yaml", "prepare-backup.sh", "conf/x/y", "data/seed/z", "container/prepare-backup.sh"]
        {
            fs::create_dir_all(template.join(path).parent().unwrap()).unwrap();
            fs::write(template.join(path), path).unwrap();
        }
        let templates = of(folder.path(), &["default"], Some("web")).unwrap();
        let places: Vec<_> = templates.iter().map(|t| (t.root, t.path.to_str().unwrap())).collect();
        let expected = [
            (Root::Container, "compose.yaml"),
            (Root::Container, "conf/x/y"),
            (Root::Container, "prepare-backup.sh"),
            (Root::Data, "seed/z"),
            (Root::Data, "prepare-backup.sh"),
        ];
        assert_eq!(places, expected);
    }
}
