//! A folder as one dump: what `pg_dump -Fd` writes, and any other folder file by file.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use common::regular_file;

use super::super::Budget;
use super::super::find::all_below;
use super::{Flaw, Judgement, Proved, ask, check_file, names};

/// A table of contents is some hundred bytes for each table.
const LONGEST_TOC: u64 = 256 << 20;
const TOC: &str = "toc.dat";

pub(super) fn check(path: &Path, budget: &Budget) -> Judgement {
    let toc = regular_file::read(&path.join(TOC), LONGEST_TOC).unwrap_or_default();
    if names::is_folder_toc(&toc) {
        return postgres(path, &toc, budget);
    }
    let files = all_below(path, usize::MAX).map_err(Flaw::Unreadable)?;
    if files.is_empty() {
        return Err(Flaw::Empty);
    }
    let mut proved = Proved::Whole;
    for file in files {
        match file_in(path, &file, budget)? {
            Proved::Whole => {}
            less => proved = less,
        }
    }
    Ok(proved)
}

/// Whether the file at `path` is data of a folder of pg_dump's: it is checked with the folder's table of contents.
pub(super) fn holds(path: &Path) -> bool {
    let names = [path.file_name(), path.file_stem()];
    let is_data = names.iter().flatten().any(|name| !data_files(name.as_encoded_bytes()).is_empty());
    let toc = || regular_file::read(&path.with_file_name(TOC), LONGEST_TOC).unwrap_or_default();
    is_data && names::is_folder_toc(&toc())
}

/// A file of a folder; what is wrong is reported with its name.
fn file_in(folder: &Path, file: &Path, budget: &Budget) -> Judgement {
    let name = common::text::escape_path(file.strip_prefix(folder).unwrap_or(file));
    // All in it are files, links, FIFOs and the like: all_below lists no folders.
    if !file.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(Flaw::Damaged(format!("{name} in it is not a file")));
    }
    let source =
        super::Source::open(file, budget).map_err(|error| Flaw::Unreadable(format!("{name}: {error}")))?;
    // A folder's own program knows what an empty file in it means.
    match check_file(file, None, &source, budget) {
        Err(Flaw::Damaged(why)) => Err(Flaw::Damaged(format!("{name}: {why}"))),
        Err(Flaw::Empty) => Ok(Proved::Whole),
        proof => proof,
    }
}

/// The table of contents names each file of data. pg_restore reads them all; if it is missing or too old, it is at
/// least seen that each is there and is whole for its compression.
fn postgres(folder: &Path, toc: &[u8], budget: &Budget) -> Judgement {
    let files = all_below(folder, 1).map_err(Flaw::Unreadable)?;
    let mut named = data_files(toc);
    for file in &files {
        if file.file_name() != Some(TOC.as_ref()) {
            file_in(folder, file, budget)?;
        }
        // Each list of large objects names their files.
        if file.extension().is_some_and(|ending| ending == "toc") {
            named.extend(data_files(&regular_file::read(file, LONGEST_TOC).unwrap_or_default()));
        }
    }
    for name in named {
        let is_there =
            ["", ".gz", ".lz4", ".zst"].iter().any(|ending| folder.join(format!("{name}{ending}")).exists());
        if !is_there {
            return Err(Flaw::Damaged(format!("{name}, which {TOC} names, is missing")));
        }
    }
    ask::pg_restore(Some(folder), Stdio::null(), budget)
}

/// Names such as `3359.dat`, `blob_16389.dat` and `blobs.toc`. They are stored as they are, each after its length.
fn data_files(toc: &[u8]) -> BTreeSet<String> {
    let words = toc.split(|byte| !byte.is_ascii_alphanumeric() && !b"._".contains(byte));
    let words = words.filter_map(|word| std::str::from_utf8(word).ok());
    let is_data = |word: &&str| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        word.strip_suffix(".dat").is_some_and(|name| digits(name.strip_prefix("blob_").unwrap_or(name)))
            || word
                .strip_prefix("blobs")
                .and_then(|rest| rest.strip_suffix(".toc"))
                .is_some_and(|middle| middle.is_empty() || middle.strip_prefix('_').is_some_and(digits))
    };
    words.filter(is_data).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_data_files_are_found_in_binary_text() {
        let toc = b"PGDMP\x01\x10\x00\x04\x08\x03\x00\x08\0\0\x003359.dat\x01\x01\0\0\0\x0cblobs_12.toc\0toc.dat\0x1.dat";
        assert_eq!(data_files(toc).into_iter().collect::<Vec<_>>(), ["3359.dat", "blobs_12.toc"]);
    }
}
