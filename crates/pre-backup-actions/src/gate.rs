//! The dump gate: what a script says it makes is there, new, whole, not much smaller than last time, and in the backup.
//!
//! Only then does what lies in `$DUMP_DIR` take the place of the old dump, so a better dump is never replaced by a
//! worse one. What a reader would get wrong: a dump that fails does not fail the others' checks, each is told; but
//! all dumps of a service move, or none.

mod claims;
mod find;
mod fresh;
mod ignored;
mod rdb;
mod sql;
mod staging;
mod tar;
mod whole;
mod zstd_frames;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use common::cancel::Cancel;
use common::services::Service;
use common::settings::Settings;
use common::text::{escape, escape_path};
use common::units;

pub(crate) use claims::claimed_twice;
pub(crate) use fresh::Start;
pub(crate) use staging::Staging;

use crate::declare::Dump;
use find::Found;
use fresh::Print;
use ignored::Answer;

/// What the gate has to know of all services.
pub(crate) struct Gate<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) cancel: &'a Cancel,
    /// A dump that shrank is taken all the same.
    pub(crate) accept_shrunk: bool,
}

/// One service whose script did well.
pub(crate) struct Request<'a> {
    pub(crate) service: &'a Service,
    pub(crate) dumps: &'a [Dump],
    pub(crate) staging: &'a Staging,
    /// Its script's start.
    pub(crate) start: &'a Start,
    /// The sizes of its dumps in the last good run.
    pub(crate) last_good: &'a BTreeMap<String, u64>,
}

/// A dump that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// As it is declared.
    pub(crate) dump: String,
    /// Its size; of several that one declaration names, all together.
    pub(crate) bytes: u64,
    /// That of the last good run.
    pub(crate) before: Option<u64>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In a few words.
    pub(crate) short: String,
    /// Which dump, what was expected, what was seen.
    pub(crate) detail: String,
}

/// What the gate says.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) seen: Vec<Seen>,
    pub(crate) faults: Vec<Fault>,
    /// What could not be proved, and what is odd.
    pub(crate) warnings: Vec<String>,
    /// Where the dumps lie now.
    pub(crate) files: Vec<PathBuf>,
}

/// A file that was looked at; what it was then, where nothing was wrong.
struct Checked {
    file: Found,
    print: Option<Print>,
}

/// A dump that is not declared to shrink and is smaller than this part of the last one is told.
const ODD_SHRINK: u64 = 50;

impl Gate<'_> {
    /// Checks all dumps of a service, and where none has a fault, puts the new ones in their places.
    pub(crate) fn pass(&self, request: &Request) -> Report {
        let mut report = Report::default();
        let mut checked = Vec::new();
        if request.service.is_symlink {
            report.faults.push(Fault {
                short: "dump is not in the backup".into(),
                detail: format!(
                    "{}: expected a folder in the data root, but it is a symlink, which is backed up as a link alone",
                    escape_path(&request.service.folder)
                ),
            });
        }
        if request.staging.is_replaced() {
            // What is there now could be anybody's files, which would be moved.
            let saw = "something else is there";
            let what = fault("DUMP_DIR was replaced", Path::new("DUMP_DIR"), "the folder that was made", saw);
            report.faults.push(what);
            return report;
        }
        for dump in request.dumps {
            self.check_declared(dump, request, &mut report, &mut checked);
        }
        for path in request.staging.leftover(&checked) {
            report.faults.push(fault(
                "dump is not declared",
                &path,
                "a # dump: line for what lies in DUMP_DIR",
                "there is none",
            ));
        }
        report.faults.extend(checked.iter().filter_map(still_written));
        if report.faults.is_empty() {
            let staged = checked.iter().map(|checked| &checked.file).filter(|file| file.is_staged);
            if let Err(why) = staging::put_in_place(staged, &request.service.folder) {
                report.faults.push(Fault { short: "dump could not be put in its place".into(), detail: why });
            }
        }
        let place = |checked: &Checked| ignored::real_place(&request.service.folder, &checked.file.path);
        report.files = checked.iter().map(place).collect();
        report
    }

    fn check_declared(
        &self,
        dump: &Dump,
        request: &Request,
        report: &mut Report,
        checked: &mut Vec<Checked>,
    ) {
        let name = Path::new(&dump.text);
        let found = match find::files(dump, &request.service.folder, request.staging.folder(), request.start)
        {
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
        let before = request.last_good.get(&dump.text).copied();
        let bytes =
            found.files.iter().filter_map(|file| fs::symlink_metadata(&file.at).ok()).map(|m| m.len()).sum();
        report.seen.push(Seen { dump: dump.text.clone(), bytes, before });
        let faults = report.faults.len();
        for file in found.files {
            let print = match self.check_file(dump, &file, request) {
                Ok((print, note)) => {
                    report.warnings.extend(note);
                    Some(print)
                }
                Err(fault) => {
                    report.faults.push(fault);
                    None
                }
            };
            // Of a file that two declarations mean, both are told what is wrong, and it moves once.
            if checked.iter().all(|other| other.file.at != file.at) {
                checked.push(Checked { file, print });
            }
        }
        if let (true, Some(before)) = (report.faults.len() == faults, before) {
            self.check_shrink(dump, bytes, before, report);
        }
    }

    /// One file. Gives what it was when it was checked, and what could not be proved about it.
    fn check_file(
        &self,
        dump: &Dump,
        file: &Found,
        request: &Request,
    ) -> Result<(Print, Option<String>), Fault> {
        let metadata = fs::symlink_metadata(&file.at).map_err(|error| {
            fault("dump can't be looked at", &file.path, "to look at it", &error.to_string())
        })?;
        if !metadata.is_file() {
            let saw = if metadata.is_dir() { "it is a folder" } else { "it is a symlink or something else" };
            return Err(fault("dump is no file", &file.path, "a file", saw));
        }
        if metadata.len() == 0 && dump.minimum > 0 {
            return Err(fault("dump is empty", &file.path, "a dump", "the file is empty"));
        }
        if metadata.len() < dump.minimum {
            let (least, saw) =
                (units::bytes(dump.minimum), format!("it has {}", units::bytes(metadata.len())));
            return Err(fault("dump is too small", &file.path, &format!("at least {least}"), &saw));
        }
        let written = || metadata.modified().map_or_else(|_| "?".into(), shown_time);
        if !file.is_staged && request.start.was_there(&file.path, &metadata) {
            let saw = format!("it is the old one, written {}", written());
            return Err(fault("dump is old", &file.path, "a new dump", &saw));
        }
        if !request.start.is_since(&metadata) {
            let saw = format!("it was written {}", written());
            return Err(fault("dump is old", &file.path, "one made since the script started", &saw));
        }
        let target = request.service.folder.join(&file.path);
        stays_inside(&target, &request.service.folder).map_err(|saw| {
            fault(
                "dump is outside its service",
                &file.path,
                "to be in the service's folder",
                &format!("it leads to {saw}"),
            )
        })?;
        let note = match whole::check(&file.at, dump.kind, self.cancel) {
            Ok(note) => note,
            Err(why) if why == whole::NOTHING && dump.minimum == 0 => None,
            Err(why) if why == whole::NOTHING => {
                return Err(fault("dump is empty", &file.path, "a dump", &why));
            }
            Err(_) if self.cancel.is_cancelled() => {
                return Err(fault("interrupted", &file.path, "to check it", "that was interrupted"));
            }
            Err(why) => return Err(fault("dump is damaged", &file.path, &expected_kind(dump), &why)),
        };
        Ok((Print::of(&metadata), note.map(|note| format!("{}: {note}", escape_path(&file.path)))))
    }

    /// Asks `build-ignore` about all dumps of a run: those of each service that are left out, and what is not known.
    pub(crate) fn left_out(&self, services: &[&[PathBuf]]) -> Vec<Report> {
        let files: Vec<&Path> =
            services.iter().flat_map(|files| files.iter().map(PathBuf::as_path)).collect();
        let mut answers = ignored::ask(&files, self.settings, self.cancel).into_iter();
        let mut of_service = |files: &[PathBuf]| {
            let mut report = Report::default();
            for (file, answer) in files.iter().zip(answers.by_ref()) {
                let path = ignored::below_root(file, self.settings);
                match answer {
                    Answer::Kept => {}
                    Answer::LeftOut(rule) => {
                        let saw = format!("a rule leaves it out: {rule}");
                        report.faults.push(fault(
                            "dump is left out by the ignore rules",
                            &path,
                            "to be backed up",
                            &saw,
                        ));
                    }
                    Answer::Unknown(why) => report.warnings.push(format!(
                        "{}: whether the ignore rules leave it out could not be checked: {why}",
                        escape_path(&path)
                    )),
                }
            }
            report
        };
        services.iter().map(|files| of_service(files)).collect()
    }

    fn check_shrink(&self, dump: &Dump, bytes: u64, before: u64, report: &mut Report) {
        let lost = u128::from(before.saturating_sub(bytes)) * 100;
        let shrunk_by = lost / u128::from(before.max(1));
        let exceeds = |most: u64| lost > u128::from(most) * u128::from(before);
        let saw = format!("it has {}, {shrunk_by} % less", units::bytes(bytes));
        match dump.max_shrink {
            Some(most) if exceeds(most) && !self.accept_shrunk => {
                let expected =
                    format!("at most {most} % less than the last good one ({})", units::bytes(before));
                report.faults.push(fault("dump has shrunk", Path::new(&dump.text), &expected, &saw));
            }
            None if exceeds(ODD_SHRINK) && !self.accept_shrunk => {
                report.warnings.push(format!(
                    "{}: the last good one had {}, but {saw}",
                    escape(dump.text.as_bytes()),
                    units::bytes(before)
                ));
            }
            _ => {}
        }
    }
}

fn fault(short: &str, path: &Path, expected: &str, saw: &str) -> Fault {
    Fault { short: short.into(), detail: format!("{}: expected {expected}, but {saw}", escape_path(path)) }
}

fn expected_kind(dump: &Dump) -> String {
    match dump.kind {
        Some(kind) => format!("a whole dump (kind={})", kind.word()),
        None => "a whole dump".into(),
    }
}

/// What is checked and then changes was never proved.
fn still_written(Checked { file, print }: &Checked) -> Option<Fault> {
    let print = print.as_ref()?;
    let is_same = fs::symlink_metadata(&file.at).is_ok_and(|metadata| Print::of(&metadata) == *print);
    let saw = "it changed while it was checked: something still writes to it";
    (!is_same).then(|| fault("dump is still being written", &file.path, "a dump that is done", saw))
}

fn shown_time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "?".into(), units::local)
}

/// The folder of `target` lies in `folder` when symlinks on the way are followed.
fn stays_inside(target: &Path, folder: &Path) -> Result<(), String> {
    // What does not exist yet is made by us, and holds no symlink.
    let existing = target.ancestors().skip(1).find(|ancestor| ancestor.exists()).unwrap_or(folder);
    let real =
        |path: &Path| -> Result<PathBuf, String> { path.canonicalize().map_err(|error| error.to_string()) };
    let (real_folder, real_existing) = (real(folder)?, real(existing)?);
    if real_existing.starts_with(&real_folder) { Ok(()) } else { Err(escape_path(&real_existing)) }
}
