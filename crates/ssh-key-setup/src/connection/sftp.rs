//! `sftp` in batch mode: commands in, per command what it printed, and where it stopped.
//!
//! This is the one way in which files on the server are touched, so no shell of the account's is ever involved. sftp
//! echoes each command as `sftp> …` and ends at the first that fails, unless it starts with a dash: the last echo is
//! the one that failed.

use anyhow::Result;
use common::text::escape;

use crate::connection::failure::Kind;
use crate::connection::ssh::Connection;

#[derive(Debug)]
pub(crate) struct Batch {
    /// What each command that was started printed, in order.
    pub(crate) outputs: Vec<Vec<String>>,
    /// Why the last of them failed.
    pub(crate) failed: Option<String>,
}

impl Batch {
    /// The number of the command that failed, and why.
    pub(crate) fn failure(&self) -> Option<(usize, &str)> {
        Some((self.outputs.len().saturating_sub(1), self.failed.as_deref()?))
    }

    pub(crate) fn output(&self, index: usize) -> &[String] {
        self.outputs.get(index).map_or(&[], Vec::as_slice)
    }
}

/// Runs `commands`. Fails if the connection can't be made or is lost; the result holds the
/// failure of a command that the server refuses.
pub(crate) fn batch(connection: &Connection, commands: &[String]) -> Result<Batch> {
    let mut input = commands.join("\n");
    input.push('\n');
    let captured = connection.capture(&mut connection.sftp(), input.as_bytes())?;
    let outputs = cut(&String::from_utf8_lossy(&captured.stdout));
    let mut failure = connection.failure(&captured.stderr, captured.end);
    if failure.kind == Kind::NoSftp && !outputs.is_empty() {
        failure.kind = Kind::Lost;
    }
    let on_the_way = matches!(failure.kind, Kind::NoAnswer | Kind::Interrupted | Kind::Lost | Kind::NotClean);
    if !captured.end.is_success() && (outputs.is_empty() || on_the_way) {
        return Err(failure.about(&connection.host, connection.login()));
    }
    let failed = (!captured.end.is_success()).then(|| {
        let text = String::from_utf8_lossy(&captured.stderr);
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no reason given");
        escape(last.as_bytes())
    });
    Ok(Batch { outputs, failed })
}

fn cut(stdout: &str) -> Vec<Vec<String>> {
    let mut outputs: Vec<Vec<String>> = Vec::new();
    for line in stdout.lines() {
        if line.starts_with("sftp> ") {
            outputs.push(Vec::new());
        } else if let Some(output) = outputs.last_mut() {
            output.push(line.to_owned());
        }
    }
    outputs
}

/// `path` as one word of a batch: every character that sftp could read as something else has a backslash before it.
pub(crate) fn quote(path: &str) -> String {
    let mut quoted = String::with_capacity(path.len() + 8);
    for c in path.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"/._-+@,".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// One line of `ls -lan`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedFile {
    /// `drwx------`.
    pub(crate) mode: String,
    /// The owner's number, or the name if this sftp prints names all the same.
    pub(crate) owner: String,
    /// The name, without its folders.
    pub(crate) name: String,
}

impl ListedFile {
    pub(crate) fn is_symlink(&self) -> bool {
        self.mode.starts_with('l')
    }

    pub(crate) fn bits(&self) -> u32 {
        let letters = self.mode.bytes().skip(1).take(9);
        letters.fold(0, |bits, letter| (bits << 1) | u32::from(!matches!(letter, b'-' | b'S' | b'T')))
    }
}

pub(crate) fn listed(lines: &[String]) -> Vec<ListedFile> {
    let entry = |line: &String| {
        let mut words = line.split_ascii_whitespace();
        let mode = words.next().filter(|mode| mode.len() >= 10)?.to_owned();
        let owner = words.nth(1)?.to_owned();
        let name = words.nth(5)?;
        // The name may hold blanks: it is all from where its first word starts.
        let start = name.as_ptr() as usize - line.as_ptr() as usize;
        let name = line[start..].trim_end_matches('/');
        let name = name.rsplit('/').next().unwrap_or(name).to_owned();
        Some(ListedFile { mode, owner, name })
    };
    lines.iter().filter_map(entry).collect()
}

/// The file that a symlink on the server leads to in the end, if that is a file and sftp names it.
///
/// sftp has no command for this. But `cd` looks where a path really leads before it goes there, and names that place
/// when it is not a folder.
pub(crate) fn link_target(connection: &Connection, path: &str) -> Result<Option<String>> {
    let changed = batch(connection, &[format!("cd {}", quote(path))])?;
    let target = changed.failed.as_deref().and_then(|message| {
        message.strip_prefix("Can't change directory: \"")?.strip_suffix("\" is not a directory")
    });
    Ok(target.map(str::to_owned))
}

/// Free bytes for an ordinary user, from what `df` printed: sizes in KiB, the third column.
pub(crate) fn free_bytes(lines: &[String]) -> Option<u64> {
    let numbers = lines.iter().find(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()))?;
    numbers.split_ascii_whitespace().nth(2)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_keep_blanks_in_names_and_give_modes() {
        let lines = [
            "drwxr-xr-x    2 1000     1000         4096 Nov 23 18:00 ssh dir/.",
            "-rw-r-----    1 0        0              12 Nov 23 18:00 /home/a b/my file",
        ]
        .map(str::to_owned);
        let listed = listed(&lines);
        assert_eq!((listed[0].name.as_str(), listed[0].bits()), (".", 0o755));
        assert_eq!(
            (listed[1].name.as_str(), listed[1].bits(), listed[1].owner.as_str()),
            ("my file", 0o640, "0")
        );
    }

    #[test]
    fn free_space_is_what_others_than_root_may_use() {
        let lines = [
            "        Size         Used        Avail       (root)    %Capacity",
            "     1024          24          900         1000           2%",
        ];
        assert_eq!(free_bytes(&lines.map(str::to_owned)), Some(900 * 1024));
    }
}
