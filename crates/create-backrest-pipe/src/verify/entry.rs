//! One path of a snapshot as restic lists it, and the output of `restic ls --ncdu`.
//!
//! This form of a listing takes the least room: a name without the folders above it, seconds without fractions. It is
//! one JSON value, a name a line. What a reader gets wrong: what restic or ssh prints on standard error comes in
//! between, so it is read line by line, and a line that begins like a value and is not one spoils the listing.

use std::cmp::Ordering;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EntryKind {
    Folder,
    File,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SnapshotEntry {
    /// Absolute. A byte that is not UTF-8 became U+FFFD.
    pub(super) path: String,
    pub(super) kind: EntryKind,
    /// In bytes; 0 unless it is a file.
    pub(super) size: u64,
    /// In seconds since 1970.
    pub(super) modified: i64,
}

/// restic's order of paths: name by name, byte by byte.
pub(super) fn order(a: &[u8], b: &[u8]) -> Ordering {
    a.split(|byte| *byte == b'/').cmp(b.split(|byte| *byte == b'/'))
}

/// Whether a file can be called that. Linux has at most 255 bytes in a name; one that is not UTF-8 grew threefold.
pub(super) fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']) && name.len() <= 3 * 255
}

#[derive(Deserialize)]
struct NcduItem {
    name: String,
    #[serde(default)]
    asize: u64,
    #[serde(default)]
    notreg: bool,
    #[serde(default)]
    mtime: i64,
}

/// Reads a listing. The folders above the one that was asked for are in it too.
pub(super) fn parse(output: &[u8]) -> Result<Vec<SnapshotEntry>> {
    let mut entries = Vec::new();
    // The lengths of the paths of the folders that are open.
    let mut open: Vec<usize> = Vec::new();
    let mut path = String::new();
    let (mut is_folder, mut started, mut ended) = (false, false, false);
    for line in output.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        let line = line.strip_suffix(b",").unwrap_or(line);
        match line {
            [b'[', b'1', b',', ..] if !started => started = true,
            b"[" if started => is_folder = true,
            b"]" if started => match open.pop() {
                Some(length) => path.truncate(length),
                None => ended = true,
            },
            [b'{', ..] if started => {
                let item: NcduItem =
                    serde_json::from_slice(line).context("a line of the listing is broken")?;
                ensure!(is_name(&item.name), "the listing holds a name that no file can have");
                let length = path.len();
                path.push('/');
                path.push_str(&item.name);
                let kind = match (is_folder, item.notreg) {
                    (true, _) => EntryKind::Folder,
                    (false, true) => EntryKind::Other,
                    (false, false) => EntryKind::File,
                };
                let size = if kind == EntryKind::File { item.asize } else { 0 };
                entries.push(SnapshotEntry { path: path.clone(), kind, size, modified: item.mtime });
                if is_folder {
                    open.push(length);
                    is_folder = false;
                } else {
                    path.truncate(length);
                }
            }
            // From standard error.
            _ => {}
        }
    }
    ensure!(ended, "the listing is not complete");
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = r#"command: "restic ls --ncdu"
** WARNING: connection is not using a post-quantum key exchange algorithm.
[1, 2, {"time":"2026-11-28T06:34:59Z","paths":["/u"]}, [{"name":"/"},
  [
    {"name":"u","asize":0,"dsize":0,"notreg":false,"mtime":5},
    {"name":"f\"1","asize":3,"dsize":512,"notreg":false,"mtime":6},
a line of standard error
    {"name":"l","asize":0,"notreg":true,"mtime":7},
    [
      {"name":"sub","mtime":8}
    ],
    {"name":"z","asize":1,"mtime":-1}
  ]
]
]
"#;

    #[test]
    fn folders_are_put_in_front_of_names() {
        let entries = parse(OUTPUT.as_bytes()).unwrap();
        let shown = entries.iter().map(|entry| {
            let SnapshotEntry { path, kind, size, modified } = entry;
            format!("{path} {kind:?} {size} {modified}")
        });
        let expected =
            ["/u Folder 0 5", "/u/f\"1 File 3 6", "/u/l Other 0 7", "/u/sub Folder 0 8", "/u/z File 1 -1"];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_listing_that_is_cut_or_broken_is_never_taken_for_whole() {
        let end = OUTPUT.rfind("]\n]").unwrap();
        for cut in 0..=end {
            if OUTPUT.is_char_boundary(cut) {
                assert!(parse(&OUTPUT.as_bytes()[..cut]).is_err(), "cut at {cut}");
            }
        }
        assert!(parse(OUTPUT.replace("\"asize\":3", "\"asize\":warning 3").as_bytes()).is_err());
    }

    #[test]
    fn names_are_compared_and_not_paths() {
        assert_eq!(order(b"/a/b", b"/a.b"), Ordering::Less);
        assert_eq!(order(b"/a", b"/a/b"), Ordering::Less);
    }
}
