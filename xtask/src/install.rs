//! `cargo xtask install`: builds the tools and puts them, with the names of the scripts they replace, below a prefix.
//!
//! What it put where goes to standard output, then what is left for the person to do: the line for the shell's start
//! file and, where the folder is not on `PATH`, the line for that. Run twice it changes nothing and says so.

mod layout;
pub(crate) mod manifest;
pub(crate) mod place;
#[cfg(test)]
mod tests;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::exit::Exit;
use common::paths;
use common::process::{self, Limits};
use common::text::{count, escape_path};

use crate::build;
use crate::cli::{BuildOptions, InstallOptions, UninstallOptions};
use crate::workspace::Workspace;
use layout::{Content, Item, SHELL_FILE};
use place::Done;

/// Builds, puts in place, and says what to do next.
pub(crate) fn run(options: &InstallOptions) -> Result<Exit> {
    let prefix = prefix(&options.place)?;
    let items = built_items(&prefix, &Workspace::find()?, &options.build)?;
    let told = place::put(&prefix, &items)?;
    print!("{}", report(&prefix, &items, &told));
    let bin = prefix.join("bin");
    for (name, other) in shadowed(&bin, &items) {
        println!("Note: {name} leads to {}, which comes earlier on PATH.", escape_path(other));
    }
    print!("{}", advice(&bin));
    Ok(Exit::Done)
}

/// The prefix that the options name, absolute.
pub(crate) fn prefix(options: &UninstallOptions) -> Result<PathBuf> {
    let here = env::current_dir().context("find the working directory")?;
    let given = options.prefix.clone().unwrap_or_else(|| PathBuf::from("~/.local"));
    paths::absolute(&given, &here)
}

/// Builds and reads everything that is to be installed.
pub(crate) fn built_items(prefix: &Path, workspace: &Workspace, options: &BuildOptions) -> Result<Vec<Item>> {
    let mut binaries = Vec::new();
    let mut shell_init = String::new();
    for path in build::binaries(workspace, options)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path).with_context(|| format!("read: {}", escape_path(&path)))?;
        if name == "new-container" {
            let mut command = Command::new(&path);
            command.args(["--shell-init", "bash"]);
            let limits = Limits::within(Duration::from_secs(30));
            let text = process::capture(&mut command, b"", limits, None)?.success()?;
            shell_init = moved(&String::from_utf8_lossy(&text), &path, &prefix.join("bin").join(&name))?;
        }
        binaries.push((name, bytes));
    }
    Ok(layout::items(binaries, shell_init.into_bytes()))
}

/// `new-container` names itself by its own path; what it wrote where it was built is made true for where it will be.
fn moved(shell_init: &str, from: &Path, to: &Path) -> Result<String> {
    // The alias is a word of a word.
    let word = |path: &Path| -> Result<String> {
        let once = shlex::try_quote(path.to_str().context("a path that is no UTF-8")?)?;
        Ok(shlex::try_quote(&once)?.into_owned())
    };
    let (from, to) = (word(from)?, word(to)?);
    let place = shell_init.rfind(&from).context("read what new-container --shell-init prints")?;
    Ok(format!("{}{to}{}", &shell_init[..place], &shell_init[place + from.len()..]))
}

fn report(prefix: &Path, items: &[Item], told: &[(PathBuf, Done)]) -> String {
    let changed = told.iter().filter(|(_, done)| *done != Done::Unchanged).count();
    let mut text = match changed {
        0 => format!(
            "Nothing to do: {} below {} as they should be.\n",
            count(told.len(), "file"),
            escape_path(prefix)
        ),
        _ => format!("Below {}:\n", escape_path(prefix)),
    };
    for (path, done) in told {
        let item = items.iter().find(|item| item.path == *path);
        let name = match item.map(|item| &item.content) {
            Some(Content::Link(target)) => format!("{} -> {}", path.display(), target.display()),
            _ => path.display().to_string(),
        };
        match done {
            Done::Unchanged if changed == 0 => {}
            Done::Unchanged => text.push_str(&format!("  unchanged  {name}\n")),
            Done::New => text.push_str(&format!("  new        {name}\n")),
            Done::Removed => text.push_str(&format!("  removed    {name}\n")),
            Done::KeptAside(kept) => {
                text.push_str(&format!(
                    "  new        {name}\n             yours is kept as {}\n",
                    kept.display()
                ));
            }
            _ => text.push_str(&format!("  updated    {name}\n")),
        }
    }
    text
}

/// Names that another folder, earlier on `PATH`, answers to.
fn shadowed(bin: &Path, items: &[Item]) -> Vec<(String, PathBuf)> {
    let folders: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    let earlier = folders.iter().take_while(|folder| *folder != bin).collect::<Vec<_>>();
    if earlier.len() == folders.len() {
        return Vec::new();
    }
    let names = items.iter().filter_map(|item| item.path.file_name()?.to_str());
    let hidden = names.filter_map(|name| {
        let other = earlier.iter().map(|folder| folder.join(name)).find(|path| path.is_file())?;
        Some((name.to_string(), other))
    });
    hidden.collect()
}

/// What the person has to add to the start file of the shell that `SHELL` names.
fn advice(bin: &Path) -> String {
    let on_path = env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder == bin));
    let shown = match paths::home().ok().and_then(|home| bin.strip_prefix(home).ok().map(Path::to_path_buf)) {
        Some(below) => format!("$HOME/{}", escape_path(below)),
        None => escape_path(bin),
    };
    let shell = env::var("SHELL").unwrap_or_default();
    let (file, path, dn) = match shell.rsplit('/').next() {
        Some("fish") => (
            "~/.config/fish/config.fish",
            format!("fish_add_path \"{shown}\""),
            "new-container --shell-init fish | source".to_string(),
        ),
        Some("zsh") => (
            "~/.zshrc",
            format!("export PATH=\"{shown}:$PATH\""),
            "eval \"$(new-container --shell-init zsh)\"".to_string(),
        ),
        _ => ("~/.bashrc", format!("export PATH=\"{shown}:$PATH\""), format!(". \"{shown}/{SHELL_FILE}\"")),
    };
    let path = if on_path { String::new() } else { format!("  {path}\n") };
    format!(
        "\nAdd to {file}, once:\n{path}  {dn}\nThen run create-backrest-pipe, which puts the bridge for Backrest's hooks in place.\n"
    )
}
