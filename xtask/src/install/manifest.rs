//! The list of what install put below a prefix: what uninstall may take away, and nothing else.
//!
//! A text file, one entry a line: a folder that was made, a file with the sum of its bytes, a link with its target, a
//! file of the user that was kept aside. While install works, a path may have two entries, the old one and the new
//! one: either is ours, so an interruption leaves nothing that nobody owns.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where the list lies below the prefix.
pub(crate) const PLACE: &str = "share/backrest-helpers/installed";

/// One line of the list. Paths are relative to the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A folder that did not exist before; the prefix itself is `.`.
    Folder(PathBuf),
    /// A file and the sum of what was put into it.
    File { path: PathBuf, sum: u64 },
    /// A symlink and where it leads.
    Link { path: PathBuf, target: PathBuf },
    /// What the user had at `path`, now at `kept`.
    Aside { path: PathBuf, kept: PathBuf },
}

/// The text of the list.
pub(crate) fn render(entries: &[Entry]) -> String {
    let mut text = String::from("# What `cargo xtask install` put here. `cargo xtask uninstall` reads it.\n");
    for entry in entries {
        // Writing to a string can't fail. Our own names hold no blank.
        let _ = match entry {
            Entry::Folder(path) => writeln!(text, "folder {}", path.display()),
            Entry::File { path, sum } => writeln!(text, "file {} {sum:016x}", path.display()),
            Entry::Link { path, target } => writeln!(text, "link {} {}", path.display(), target.display()),
            Entry::Aside { path, kept } => writeln!(text, "aside {} {}", path.display(), kept.display()),
        };
    }
    text
}

/// The entries of the list whose text is `text`. Fails, naming the line, where one can't be read: then it is not
/// known what is whose, and nothing may be touched.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(index, line)| entry(line).with_context(|| format!("line {}", index + 1))).collect()
}

fn entry(line: &str) -> Result<Entry> {
    let words: Vec<&str> = line.split(' ').collect();
    Ok(match *words.as_slice() {
        ["folder", path] => Entry::Folder(inside(path)?),
        ["file", path, sum] => Entry::File {
            path: inside(path)?,
            sum: u64::from_str_radix(sum, 16).context("no sum of a file")?,
        },
        ["link", path, target] => Entry::Link { path: inside(path)?, target: inside(target)? },
        ["aside", path, kept] => Entry::Aside { path: inside(path)?, kept: inside(kept)? },
        _ => bail!("not an entry that install writes"),
    })
}

/// A path that stays below the prefix, whatever was done to the list.
fn inside(path: &str) -> Result<PathBuf> {
    let path = Path::new(path);
    let stays = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    if path.is_absolute() || !stays {
        bail!("a path that leaves the prefix");
    }
    Ok(path.to_path_buf())
}

/// FNV-1a of `bytes`: enough to tell a file that somebody changed from the one that was installed. It guards nothing
/// against malice; whoever can write the file can write the list too.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let entries = vec![
            Entry::Folder(PathBuf::from(".")),
            Entry::File { path: "bin/a".into(), sum: sum(b"a") },
            Entry::Link { path: "bin/a.sh".into(), target: "a".into() },
            Entry::Aside { path: "bin/a.sh".into(), kept: "bin/a.sh.before".into() },
        ];
        assert_eq!(parse(&render(&entries)).unwrap(), entries);
    }

    #[test]
    fn a_list_that_somebody_edited_is_refused_with_its_line() {
        for bad in ["file /etc/passwd 0", "file ../x 0", "nonsense", "file bin/a nosum", "folder a b"] {
            let error = parse(&format!("# list\n{bad}\n")).unwrap_err();
            assert!(format!("{error:#}").starts_with("line 2: "), "{bad}: {error:#}");
        }
    }

    #[test]
    fn sums_are_those_of_fnv() {
        assert_eq!((sum(b""), sum(b"foobar")), (0xcbf2_9ce4_8422_2325, 0x8594_4171_f739_67e8));
    }
}
