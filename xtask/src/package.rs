//! The folder that is installed: programs, the old scripts' names for them, man pages, completions and `install.sh`.
//!
//! `cargo xtask install` runs the script in it, `cargo xtask dist` packs it. So there is one list of what belongs to an
//! installation, this folder, and one program that puts it in place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Arg, Command, ValueHint};
use clap_complete::{Shell, generate_to};
use common::text::escape_path;

use crate::trees;
use crate::workspace::Workspace;

/// The names of the Bash scripts that the programs replace. Two lead to the same program, because the script was
/// renamed once. Crontabs and hooks of today's homes call them.
const OLD_NAMES: [(&str, &str); 6] = [
    ("build-ignore-file.sh", "build-ignore"),
    ("build-ignorefile.sh", "build-ignore"),
    ("pre-backup-actions.sh", "pre-backup-actions"),
    ("create-backrest-pipe.sh", "create-backrest-pipe"),
    ("backrest-trigger.sh", "pipe-listener"),
    ("configure-ssh.sh", "ssh-key-setup"),
];

/// Fills `folder`, which is made anew, with these programs and everything that belongs to them.
pub(crate) fn fill(folder: &Path, workspace: &Workspace, programs: &[PathBuf]) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove: {}", escape_path(folder)))?;
    }
    for path in programs {
        let name = path.file_name().context("a program without a name")?;
        put(path, &folder.join("bin").join(name), 0o755)?;
    }
    for (name, program) in OLD_NAMES {
        symlink(program, folder.join("bin").join(name)).context("make a link")?;
    }
    let script = workspace.root.join("xtask/install.sh");
    put(&script, &folder.join("install.sh"), 0o755)?;
    // The installed copy is what takes everything away again.
    put(&script, &folder.join("share/backrest-helpers/install.sh"), 0o644)?;
    let at = |name: &str| -> Result<PathBuf> {
        let path = folder.join("share").join(name);
        fs::create_dir_all(&path).with_context(|| format!("make a folder: {}", escape_path(&path)))?;
        Ok(path)
    };
    let manual = at("man/man1")?;
    let shells = [
        (Shell::Bash, at("bash-completion/completions")?),
        (Shell::Zsh, at("zsh/site-functions")?),
        (Shell::Fish, at("fish/vendor_completions.d")?),
    ];
    for command in definitions::commands().into_iter().map(with_hints) {
        let name = command.get_name().to_string();
        for (shell, folder) in &shells {
            let made = generate_to(*shell, &mut command.clone(), &name, folder)
                .with_context(|| format!("write completions of {name} for {shell}"))?;
            if *shell == Shell::Bash {
                // bash-completion looks for a file of the program's own name.
                fs::rename(&made, folder.join(&name)).context("name a file of completions")?;
            }
        }
        // The subcommand `help` has no page of its own.
        clap_mangen::generate_to(command.disable_help_subcommand(true), &manual)
            .with_context(|| format!("write the man page of {name}"))?;
    }
    Ok(())
}

/// With what a shell offers for each value, by the name that the value has in the help.
fn with_hints(command: Command) -> Command {
    let hinted = |argument: Arg| {
        let name = argument.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
        let hint = match name {
            "DIR" => ValueHint::DirPath,
            "FILE" => ValueHint::FilePath,
            "HOST" => ValueHint::Hostname,
            "PATH" => ValueHint::AnyPath,
            "USER" => ValueHint::Username,
            // Not a file, which shells offer otherwise.
            _ => ValueHint::Other,
        };
        if argument.get_action().takes_values() { argument.value_hint(hint) } else { argument }
    };
    command.mut_args(hinted).mut_subcommands(with_hints)
}

fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    trees::write(to, fs::read(from).with_context(|| format!("read: {}", escape_path(from)))?, mode)
}
