//! Rules for the tools' own folders and Backrest's cache, added once to their `.resticignore`.
//!
//! They stand between two marks. A person who removes them has decided: what was added once is remembered and never
//! added again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use common::layout::FOLDERS;
use common::settings::Settings;
use common::{atomic, exit, note, regular_file};

use crate::cli::TOOL;
use crate::rules_file::FILE_NAME;
use crate::tree::MOST_BYTES;

const START: &str =
    "# >>> backrest-helpers: made again by itself; remove these lines if you want it in the backup\n";
const END: &str = "# <<< backrest-helpers\n";

/// Adds the rules if the first of the folders that they are for exists. Returns every file that has or had them.
pub(crate) fn add(settings: &Settings, done: &[String]) -> Vec<String> {
    let mut all = done.to_vec();
    for (folder, names) in
        [(&settings.container_dir, FOLDERS.as_slice()), (&settings.data_dir, ["cache", "tmp"].as_slice())]
    {
        let file = folder.join(FILE_NAME);
        let known = file.to_string_lossy().into_owned();
        if all.contains(&known) || !folder.join(names[0]).is_dir() {
            continue;
        }
        match append(&file, names) {
            Ok(()) => all.push(known),
            Err(error) => note!("{TOOL}: warning: {}", exit::one_line(&error)),
        }
    }
    all
}

fn append(file: &Path, names: &[&str]) -> Result<()> {
    let mut text = match fs::symlink_metadata(file) {
        Err(_) => Vec::new(),
        Ok(metadata) if metadata.is_file() => regular_file::read(file, MOST_BYTES as u64)?,
        Ok(_) => bail!("add the rules for the tools' own folders: {}: not a regular file", file.display()),
    };
    if text.windows(START.len()).any(|part| part == START.as_bytes()) {
        return Ok(());
    }
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend_from_slice(START.as_bytes());
    names.iter().for_each(|name| text.extend_from_slice(format!("/{name}/\n").as_bytes()));
    text.extend_from_slice(END.as_bytes());
    atomic::write(&PathBuf::from(file), &text, 0o644).map(drop)
}
