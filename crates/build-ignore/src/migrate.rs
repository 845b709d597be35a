//! The first run over an exclude file that this tool did not make, and what becomes of the rules afterwards.
//!
//! The file is kept beside the new one. Each rule that would leave out an existing file which the old file kept is held
//! back, so the move loses nothing; `--adopt` ends that.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use common::exit::HintExt;
use common::roots::trees;
use common::settings::Settings;
use common::text::{count, escape_path};
use common::{atomic, note, out, regular_file};

use crate::build::Options;
use crate::cli::TOOL;
use crate::compare::{Comparison, LeftOut, compare};
use crate::held::{Held, beside, escaped, escaped_path};
use crate::render::FIRST_LINE;
use crate::restic::exclude_file::ExcludeFile;
use crate::root::{Root, build_roots};
use crate::task::{Format, Task};
use crate::tree::Detail;

/// An exclude file larger than this is not read.
const LARGEST: u64 = 256 << 20;
/// What the name of the kept file ends with.
const KEPT: &str = ".before-build-ignore";

const WITHOUT_CONSENT: &str = "Without your consent these rules would leave out more than before:";
const WITH_CONSENT: &str = "With your consent these rules leave out more than before:";
const HELD: &str = "They are held back, and the files stay in the backup, until you change the rule or run: build-ignore --adopt";

/// A move that was worked out and is not written yet.
#[derive(Debug)]
pub(crate) struct Move {
    /// The old file's text.
    old: Vec<u8>,
    /// Lines of it, counted from 1, for which restic refuses it.
    refused: Vec<usize>,
    /// The rules that are held back from now on.
    pub(crate) held: Held,
    /// What would have been left out without that, and what is newly backed up.
    pub(crate) comparison: Comparison,
    /// A root or a service that is not there. Its disk may not be mounted, so its rules could not be compared.
    unseen: Option<PathBuf>,
}

/// Reads the exclude file `path`. None if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match regular_file::read(path, LARGEST) {
        Ok(text) => Ok(Some(text)),
        // What is not a regular file is reported when it is to be replaced.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => Ok(None),
        Err(error) => Err(error)
            .with_context(|| format!("read the exclude file: {}", escape_path(path)))
            .hint(format!("let your user read it: sudo chown $USER {}", escape_path(path))),
    }
}

/// Whether this tool made the text. An empty one is the script's if it found no rules.
fn is_ours(text: &[u8]) -> bool {
    text.starts_with(FIRST_LINE.as_bytes())
}

/// What the exclude file `output`, which is `old` now, demands of the rules: those that are held back, and the move if the
/// file is another tool's.
pub(crate) fn plan(task: &Task, output: &Path, old: Option<&[u8]>) -> Result<(Held, Option<Move>)> {
    if let Some(old) = old.filter(|old| !is_ours(old)) {
        let planned = move_from(task, old.to_vec())?;
        return Ok((planned.held.clone(), Some(planned)));
    }
    match Held::load(output, &task.settings) {
        Ok(held) => Ok((held, None)),
        // Its content is worked out again from the file that it was made from.
        Err(error) => match read(&beside(output, KEPT))? {
            Some(old) => {
                note!("{TOOL}: warning: {}; it is made again", common::exit::one_line(&error));
                let planned = move_from(task, old)?;
                Ok((planned.held.clone(), Some(planned)))
            }
            None => Err(error),
        },
    }
}

fn move_from(task: &Task, old: Vec<u8>) -> Result<Move> {
    let file = ExcludeFile::parse(&old);
    let mut held = Held::default();
    let (mut comparison, mut unseen) = (None, None);
    // Each round holds one rule more, or holds one more strictly.
    loop {
        let options = Options { lean: task.lean, held: held.clone() };
        let (roots, _) = build_roots(&task.settings, Detail::Sizes, &options)?;
        unseen = unseen.or_else(|| find_unseen(&task.settings, &roots, &old));
        let now = compare(&roots, &file);
        let mut changed = false;
        for group in &now.left_out {
            changed |= held.hold(&group.file, &group.text, group.hold);
        }
        // The first round shows what the rules would have done.
        let first = comparison.get_or_insert(Comparison::default());
        for group in now.left_out {
            let is_same = |known: &&mut LeftOut| (&known.file, known.line) == (&group.file, group.line);
            match first.left_out.iter_mut().find(is_same) {
                Some(known) => known.instead = None,
                None => first.left_out.push(group),
            }
        }
        first.kept = now.kept;
        if !changed {
            break;
        }
    }
    let comparison = comparison.unwrap_or_default();
    Ok(Move { old, refused: file.refused, held, comparison, unseen })
}

/// A root that is missing or empty, or the empty folder of a service for which the script wrote lines: its rules were in
/// that folder.
fn find_unseen(settings: &Settings, roots: &[Root], old: &[u8]) -> Option<PathBuf> {
    let is_seen = |path: &Path| roots.iter().any(|root| !root.is_empty() && root.place.path == path);
    let root = trees(settings).into_iter().map(|tree| tree.path).find(|path| !is_seen(path));
    let services = old.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.strip_prefix(b"!").unwrap_or(line).strip_prefix(b"data/")?;
        let name = line.split(|byte| *byte == b'/').next().filter(|name| !name.is_empty())?;
        Some(settings.data_root.join(OsStr::from_bytes(name)))
    });
    let is_empty = |path: &PathBuf| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    root.or_else(|| services.into_iter().find(is_empty))
}

impl Move {
    /// Fails if not every rule could be compared.
    pub(crate) fn check_all_seen(&self) -> Result<()> {
        let Some(path) = &self.unseen else { return Ok(()) };
        let path = escape_path(path);
        Err(anyhow!("replace an exclude file that build-ignore has not made: {path} is missing or empty, so its rules can't be compared"))
            .hint("mount the disk that belongs there, or agree to all rules: build-ignore --adopt")
    }

    /// Keeps the old file beside `output`, and remembers what is held back. Returns where the old file is kept.
    pub(crate) fn keep(&self, output: &Path, settings: &Settings) -> Result<PathBuf> {
        for number in 1..1000 {
            let ending = if number == 1 { KEPT.to_string() } else { format!("{KEPT}.{number}") };
            let kept = beside(output, &ending);
            match fs::symlink_metadata(&kept) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    atomic::create_new(&kept, &self.old, 0o644).context("keep the old exclude file")?;
                }
                _ if read(&kept).is_ok_and(|text| text.as_deref() == Some(&self.old)) => {}
                _ => continue,
            }
            self.held.save(output, settings)?;
            return Ok(kept);
        }
        bail!("keep the old exclude file: there are too many copies of it: {}", escape_path(output))
    }

    /// Prints what the move changes.
    pub(crate) fn print(&self, kept: &Path) {
        out!("The exclude file was not made by build-ignore; it is kept as {}", escape_path(kept));
        if let [first, ..] = self.refused.as_slice() {
            out!("restic refuses it because of line {first}; the lines that restic can read are compared");
        }
        if !self.comparison.left_out.is_empty() {
            let is_held = !self.held.is_empty();
            out!("\n{}", if is_held { WITHOUT_CONSENT } else { WITH_CONSENT });
            self.comparison.print_left_out();
            if is_held {
                out!("{HELD}");
            }
        }
        if !self.comparison.kept.is_empty() {
            out!("\nNewly backed up:");
            self.comparison.print_kept();
        }
    }
}

/// Prints that rules are still held back.
pub(crate) fn remind(held: &Held, output: &Path) {
    let rules = held.count();
    if rules > 0 {
        let kept = escape_path(beside(output, KEPT));
        note!(
            "{TOOL}: warning: {} held back, so that nothing is left out that the old exclude file kept",
            count(rules, "rule")
        );
        common::exit::hint(&format!(
            "see what that is about: build-ignore --compare {kept}; to agree: build-ignore --adopt"
        ));
    }
}

/// Forgets the rules that were changed or removed since.
pub(crate) fn forget_changed(
    held: &mut Held,
    roots: &[Root],
    output: &Path,
    settings: &Settings,
) -> Result<()> {
    let before = held.clone();
    let files = || roots.iter().flat_map(|root| &root.built.tree.files);
    held.retain(|file, rule| {
        // A file that was not seen this time may be there again tomorrow.
        files()
            .find(|known| escaped_path(&known.path) == file)
            .is_none_or(|known| known.rules.list.iter().any(|other| escaped(&other.text) == rule))
    });
    if *held == before { Ok(()) } else { held.save(output, settings) }
}

/// `--compare`: which files only the rules or only `file` leaves out. Returns whether both leave out the same.
pub(crate) fn show(roots: &[Root], file: &Path, format: Format) -> Result<bool> {
    let text = read(file)?
        .with_context(|| format!("read the exclude file: no regular file: {}", escape_path(file)))?;
    let parsed = ExcludeFile::parse(&text);
    let comparison = compare(roots, &parsed);
    if format == Format::Json {
        out!("{}", serde_json::to_string(&comparison)?);
        return Ok(comparison.is_empty());
    }
    if let [first, ..] = parsed.refused.as_slice() {
        out!("restic refuses the file because of line {first}; the lines that restic can read are compared");
    }
    if comparison.is_empty() {
        out!("Both leave out the same files.");
    }
    comparison.print_left_out();
    comparison.print_kept();
    Ok(comparison.is_empty())
}
