//! The dump gate: what a script declares exists, is new, whole, not much smaller than last time, and in the backup.
//!
//! Only then does what lies in `$DUMP_DIR` take the place of the old dump, so a better dump is never replaced by a
//! worse one. What a reader would get wrong: a dump that fails does not stop the checks of the others, each is
//! reported; but all dumps of a service move, or none.

mod budget;
mod find;
mod formats;
mod fresh;
mod ignored;
mod prove;
mod report;
mod shared_dumps;
mod staging;
mod undeclared;

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use common::dump_files;
use common::text::{escape, escape_path};
use common::units;

pub(crate) use budget::Budget;
pub(crate) use fresh::Start;
pub(crate) use ignored::left_out;
pub(crate) use prove::prove;
pub(crate) use report::{Fault, Proof, Report, Seen};
pub(crate) use shared_dumps::shared_dumps;
pub(crate) use staging::{Cleaner, make as make_dump_dir, remove as remove_dump_dir};
pub(crate) use undeclared::undeclared;

use crate::declare::Dump;
use find::DumpFile;
use formats::{Flaw, Proved};
use fresh::Fingerprint;
use report::fault;

/// One service whose script did well.
pub(crate) struct Request<'a> {
    /// The folder of its script, below which its dumps lie.
    pub(crate) folder: &'a Path,
    pub(crate) dumps: &'a [Dump],
    /// `$DUMP_DIR`.
    pub(crate) staging: &'a Path,
    pub(crate) start: &'a Start,
    /// What the checks may take.
    pub(crate) budget: &'a Budget<'a>,
    /// The sizes of its dumps in the last good run.
    pub(crate) last_good: &'a BTreeMap<String, u64>,
    /// A dump that shrank is taken all the same.
    pub(crate) accept_shrunk: bool,
}

/// The moment before the script in `folder` starts, with what lies there of `dumps` and of what looks like a dump.
pub(crate) fn start(folder: &Path, dumps: &[Dump], staging: Option<&Path>) -> Start {
    // What can't be looked for now is reported by the gate, which looks again.
    let in_place = |dump| find::in_place(dump, folder, staging).unwrap_or_default();
    let paths = dumps.iter().flat_map(in_place).chain(dump_files::in_folder(folder));
    Start::now(folder, paths, staging)
}

/// A dump that was looked at; what it was then, if nothing was wrong.
struct Checked {
    file: DumpFile,
    fingerprint: Option<Fingerprint>,
}

/// A dump that is not declared to shrink and has lost more per cent than this is reported.
const ODD_SHRINK: u64 = 50;

impl Request<'_> {
    /// Checks all dumps of a service, and if none has a fault, puts the new ones in their places.
    pub(crate) fn pass(&self) -> Report {
        let mut report = Report::default();
        let mut checked = Vec::new();
        if fs::symlink_metadata(self.folder).is_ok_and(|entry| entry.is_symlink()) {
            report.faults.push(Fault {
                short: "dump is not in the backup".into(),
                detail: format!(
                    "{}: expected a folder in its root, but it is a symlink, which is backed up as a link alone",
                    escape_path(self.folder)
                ),
            });
        }
        if fs::symlink_metadata(self.staging).is_ok_and(|entry| !entry.is_dir()) {
            // What is there now could be anyone's files, which would be moved.
            let saw = "something else is there";
            let what = fault("DUMP_DIR was replaced", Path::new("DUMP_DIR"), "the folder that was made", saw);
            report.faults.push(what);
            return report;
        }
        for dump in self.dumps {
            self.check_declared(dump, &mut report, &mut checked);
        }
        let found: Vec<_> = checked.iter().map(|checked| checked.file.at.as_path()).collect();
        for path in staging::undeclared_in(self.staging, &found) {
            report.faults.push(fault(
                "dump is not declared",
                &path,
                "a # dump: line for the files in DUMP_DIR",
                "there is none",
            ));
        }
        report.faults.extend(checked.iter().filter_map(still_written));
        if report.faults.is_empty() {
            let staged = checked.iter().map(|checked| &checked.file).filter(|file| file.is_staged);
            if let Err(why) = staging::put_in_place(staged, self.folder) {
                report.faults.push(Fault { short: "dump could not be put in its place".into(), detail: why });
            }
        }
        report.files = checked.iter().flat_map(|checked| checked.file.files_in_place(self.folder)).collect();
        report
    }

    fn check_declared(&self, dump: &Dump, report: &mut Report, checked: &mut Vec<Checked>) {
        let name = Path::new(&dump.text);
        let found = match find::files(dump, self.folder, self.staging, self.start) {
            Ok(found) => found,
            Err(why) => {
                return report.faults.push(fault("dump can't be looked for", name, "to find it", &why));
            }
        };
        if found.files.is_empty() {
            let (short, saw) = match found.newest_old {
                Some(modified) => (
                    "dump is old",
                    format!("the newest is of {}, before the script started", shown_time(modified)),
                ),
                None => ("dump is missing", "there is none".to_string()),
            };
            report.faults.push(fault(short, name, "a new dump", &saw));
            return;
        }
        let before = self.last_good.get(&dump.text).copied();
        let bytes = found.files.iter().map(DumpFile::bytes).sum();
        let faults = report.faults.len();
        let mut proof = Proof::Whole;
        for file in found.files {
            let fingerprint = match self.check_file(dump, &file) {
                Ok((fingerprint, proved)) => {
                    proof = proof.max(report.add(proved, &file.path));
                    Some(fingerprint)
                }
                Err(fault) => {
                    report.faults.push(fault);
                    proof = Proof::Failed;
                    None
                }
            };
            // Of a file that two declarations mean, both report what is wrong, and it moves once.
            if checked.iter().all(|other| other.file.at != file.at) {
                checked.push(Checked { file, fingerprint });
            }
        }
        let mut seen = Seen { dump: dump.text.clone(), bytes, before, has_shrunk: false, proof };
        if let (true, Some(before)) = (report.faults.len() == faults, before) {
            seen.has_shrunk = self.check_shrink(dump, bytes, before, report);
        }
        report.seen.push(seen);
    }

    /// One dump. Returns what it was when it was checked, and what was proved about it.
    fn check_file(&self, dump: &Dump, file: &DumpFile) -> Result<(Fingerprint, Proved), Fault> {
        let metadata = fs::symlink_metadata(&file.at).map_err(|error| {
            fault("dump can't be looked at", &file.path, "to look at it", &error.to_string())
        })?;
        match (dump.is_folder(), metadata.is_dir()) {
            (false, true) => {
                let saw = "it is a folder; a # dump: line for a folder ends in /";
                return Err(fault("dump is a folder", &file.path, "a file", saw));
            }
            (true, false) => {
                return Err(fault("dump is not a folder", &file.path, "a folder", "it is a file"));
            }
            (false, false) if !metadata.is_file() => {
                let saw = match metadata.is_symlink() {
                    true => "it is a symlink; a # dump: line names the file itself",
                    false => "it is a FIFO, a device or a socket",
                };
                return Err(fault("dump is not a file", &file.path, "a file", saw));
            }
            _ => {}
        }
        let bytes = file.bytes();
        if bytes == 0 && dump.minimum > 0 {
            let saw = if metadata.is_dir() { "nothing is in the folder" } else { "the file is empty" };
            return Err(fault("dump is empty", &file.path, "a dump", saw));
        }
        if bytes < dump.minimum {
            let (least, saw) = (units::bytes(dump.minimum), format!("it has {}", units::bytes(bytes)));
            return Err(fault("dump is too small", &file.path, &format!("at least {least}"), &saw));
        }
        is_new(file, &metadata, self.start)?;
        let saw = match leads_out(&self.folder.join(&file.path), self.folder) {
            Ok(None) => None,
            Ok(Some(place)) => Some(format!("it leads to {}", escape_path(&place))),
            Err(error) => Some(format!("its folder can't be looked up: {error}")),
        };
        if let Some(saw) = saw {
            let wanted = "to be in the service's folder";
            return Err(fault("dump is outside its service", &file.path, wanted, &saw));
        }
        let proved = match formats::check(&file.at, dump.kind, self.budget) {
            Ok(proved) => proved,
            Err(Flaw::Empty) if dump.minimum == 0 => Proved::Whole,
            Err(flaw) => return Err(flaw.into_fault(&file.path, dump.kind)),
        };
        Ok((Fingerprint::of(&metadata), proved))
    }

    /// Whether it has shrunk so much that it must not become what later dumps are compared with.
    fn check_shrink(&self, dump: &Dump, bytes: u64, before: u64, report: &mut Report) -> bool {
        let lost = u128::from(before.saturating_sub(bytes)) * 100;
        let shrunk_by = lost / u128::from(before.max(1));
        let exceeds = |most: u64| lost > u128::from(most) * u128::from(before);
        let saw = format!("it has {}, {shrunk_by} % less", units::bytes(bytes));
        let accept = "if that is right, once: pre-backup-actions --accept-shrunk --only the service";
        match dump.max_shrink {
            Some(most) if exceeds(most) && !self.accept_shrunk => {
                let expected =
                    format!("at most {most} % less than the last good one ({})", units::bytes(before));
                report.faults.push(fault("dump has shrunk", Path::new(&dump.text), &expected, &saw));
                true
            }
            None if exceeds(ODD_SHRINK) && !self.accept_shrunk => {
                let name = escape(dump.text.as_bytes());
                report.shrunk.push(Fault {
                    short: format!("dump shrank by {shrunk_by} %"),
                    detail: format!("{name}: the last good one had {}, but {saw}", units::bytes(before)),
                });
                report.notes.push(accept.into());
                true
            }
            _ => false,
        }
    }
}

/// Fails if the script that has just run did not make it.
fn is_new(file: &DumpFile, metadata: &Metadata, start: &Start) -> Result<(), Fault> {
    let (metadata, path) = match file.newest_inside() {
        Some((newest, path)) => (newest, path),
        None => (metadata.clone(), file.path.clone()),
    };
    let written = metadata.modified().map_or_else(|_| "?".into(), shown_time);
    if !file.is_staged && start.was_there(&path, &metadata) {
        let saw = format!("it is the old one, written {written}");
        return Err(fault("dump is old", &file.path, "a new dump", &saw));
    }
    if !start.is_since(&metadata) {
        let saw = format!("it was written {written}");
        return Err(fault("dump is old", &file.path, "one made since the script started", &saw));
    }
    Ok(())
}

/// What is checked and then changes was never proved.
fn still_written(Checked { file, fingerprint }: &Checked) -> Option<Fault> {
    let fingerprint = fingerprint.as_ref()?;
    let is_same =
        fs::symlink_metadata(&file.at).is_ok_and(|metadata| Fingerprint::of(&metadata) == *fingerprint);
    let saw = "it changed while it was checked: something still writes to it";
    (!is_same).then(|| fault("dump is still being written", &file.path, "a dump that is done", saw))
}

fn shown_time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "?".into(), units::local)
}

/// Where the folder of `target` is if symlinks on the way lead out of `folder`.
fn leads_out(target: &Path, folder: &Path) -> io::Result<Option<PathBuf>> {
    // What does not exist yet is made by us, and holds no symlink.
    let existing = target.ancestors().skip(1).find(|ancestor| ancestor.exists()).unwrap_or(folder);
    let (real_folder, real_existing) = (folder.canonicalize()?, existing.canonicalize()?);
    Ok((!real_existing.starts_with(&real_folder)).then_some(real_existing))
}
