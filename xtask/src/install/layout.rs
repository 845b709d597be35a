//! What is put below the prefix: the binaries, the names that the old Bash scripts went by, and `dn.sh`.
//!
//! The names are the contract with crontabs, hooks and habits that exist: two of them name the same tool, because the
//! script was renamed once.

use std::path::{Path, PathBuf};

/// The old scripts' names, and the tool that each leads to.
pub(crate) const OLD_NAMES: [(&str, &str); 6] = [
    ("build-ignore-file.sh", "build-ignore"),
    ("build-ignorefile.sh", "build-ignore"),
    ("pre-backup-actions.sh", "pre-backup-actions"),
    ("create-backrest-pipe.sh", "create-backrest-pipe"),
    ("backrest-trigger.sh", "pipe-listener"),
    ("configure-ssh.sh", "ssh-key-setup"),
];

/// The file that a shell's start file sources for the alias `dn`.
pub(crate) const SHELL_FILE: &str = "dn.sh";

/// One thing to put in place.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Relative to the prefix.
    pub(crate) path: PathBuf,
    /// What stands there afterwards.
    pub(crate) content: Content,
}

/// What an item holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A file with these bytes and this mode.
    File(Vec<u8>, u32),
    /// A symlink to this neighbour; relative, so that the prefix may be moved.
    Link(PathBuf),
}

/// Everything that belongs below the prefix. `binaries` are names with their bytes, `shell_init` is what
/// `new-container --shell-init bash` prints.
pub(crate) fn items(binaries: Vec<(String, Vec<u8>)>, shell_init: Vec<u8>) -> Vec<Item> {
    let bin = Path::new("bin");
    let mut items: Vec<Item> = binaries
        .into_iter()
        .map(|(name, bytes)| Item { path: bin.join(name), content: Content::File(bytes, 0o755) })
        .collect();
    items.extend(
        OLD_NAMES
            .iter()
            .map(|&(name, tool)| Item { path: bin.join(name), content: Content::Link(PathBuf::from(tool)) }),
    );
    items.push(Item { path: bin.join(SHELL_FILE), content: Content::File(shell_init, 0o644) });
    items
}
