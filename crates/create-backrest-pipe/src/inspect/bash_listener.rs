//! Bash listeners that still run: `backrest-trigger.sh`, which would take messages away from the new listener.
//!
//! What a reader gets wrong: the new listener is installed under that old name as well, so the name alone
//! proves nothing. Looked for is a shell that runs a script of that name, as this user and with this home.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::text::escape;

use crate::places::OLD_LISTENER;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BashListener {
    pub(crate) process: i32,
    /// Its command line, safe to show.
    pub(crate) command: String,
}

/// All that run now. A process that can't be looked at is another user's.
pub(crate) fn find() -> Vec<BashListener> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<_> = ids.filter_map(look).collect();
    found.sort_by_key(|listener| listener.process);
    found
}

pub(crate) fn look(process: i32) -> Option<BashListener> {
    let folder = Path::new("/proc").join(process.to_string());
    let program = fs::read_link(folder.join("exe")).ok()?;
    let shell = program.file_name()?.to_str()?;
    if !["bash", "sh", "dash", "busybox"].contains(&shell) {
        return None;
    }
    let command = fs::read(folder.join("cmdline")).ok()?;
    let words: Vec<&[u8]> = command.split(|&byte| byte == 0).filter(|word| !word.is_empty()).collect();
    let mut arguments = words.iter().skip(1).skip_while(|word| word.starts_with(b"-"));
    let script = Path::new(std::ffi::OsStr::from_bytes(arguments.next()?));
    if script.file_name()? != OLD_LISTENER || !has_our_home(&folder) {
        return None;
    }
    let command = words.iter().map(|word| escape(word)).collect::<Vec<_>>().join(" ");
    Some(BashListener { process, command })
}

fn has_our_home(process: &Path) -> bool {
    // /proc/PID/environ can be read by the process's own user only.
    let Ok(environment) = fs::read(process.join("environ")) else { return false };
    let home = environment.split(|&byte| byte == 0).find_map(|variable| variable.strip_prefix(b"HOME="));
    home.is_some() && home == std::env::var_os("HOME").as_ref().map(|home| home.as_bytes())
}
