//! The declared dumps: found in the snapshot, read back, and proved by the gate that they passed before the backup.
//!
//! What a reader gets wrong: that a dump is in the snapshot is not enough. It has to be the one that this backup's own
//! prepare step made, and all of it has to come back.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bridge::action::BuiltIn;
use bridge::request::Preparation;
use common::cancel::Cancel;
use common::contract::proof::{Proof, ProofOutcome, ProvedDump};
use common::contract::services::Services;
use common::contract::verification::FaultKind;
use common::settings::Settings;
use common::text::escape_path;
use globset::{GlobBuilder, GlobMatcher};
use serde_json::Value;

use super::entry::{EntryKind, SnapshotEntry};
use super::expected::is_below;
use super::host::Host;
use super::sample::{Restore, Wrong};
use super::{local, local_time};
use crate::hooks::config::list;
use crate::hooks::reading::messages_of;
use crate::roots;
use crate::tool::ask_within;

const LIST_TIME: Duration = Duration::from_secs(300);
/// `PRAGMA quick_check` and pg_restore read a large dump from a slow disk.
const PROOF_TIME: Duration = Duration::from_secs(6 * 3600);
/// A dump is not more files than this.
const MOST_FILES: usize = 10_000;
/// What has to stay free on the disk of the temporary file.
const ROOM: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Declared {
    /// By the first folder below a root.
    services: HashMap<Vec<u8>, Vec<Dumps>>,
    /// Scripts of which the dumps are not known, with their services, paths, and why.
    unknown: Vec<(String, String, String)>,
}

#[derive(Debug)]
struct Dumps {
    /// The service, such as `data/immich`.
    label: String,
    /// Its name, as `pre-backup-actions` knows it.
    name: String,
    /// The folder that its dumps are below, as restic sees it.
    folder: Vec<u8>,
    is_prepared: bool,
    dumps: Vec<Dump>,
}

#[derive(Debug)]
struct Dump {
    text: String,
    glob: GlobMatcher,
    is_pattern: bool,
    found: Vec<SnapshotEntry>,
}

impl Declared {
    pub(super) fn load(
        settings: &Settings,
        host: &Host<'_>,
        config: &Value,
        plan: &Value,
        cancel: &Cancel,
    ) -> Result<Declared> {
        let words = ["--list", "--json"];
        let listed: Services = ask_within(LIST_TIME, Some(cancel), settings, "pre-backup-actions", &words)
            .context("list the declared dumps")?;
        let prepared = prepared_services(config, plan);
        let mut declared = Declared::default();
        let seen_at =
            |folder: &Path| Some(roots::seen_at(settings, folder)?.into_os_string().into_encoded_bytes());
        let seen = |folder: &Path| seen_at(folder).unwrap_or_default();
        let label = |folder: &[u8]| host.service(&[folder, b"/x"].concat());
        for service in listed.services {
            let Some(script) = service.prepare.filter(|script| script.skipped.is_none()) else { continue };
            // A dump lies below the folder of its script.
            let data = Path::new(&script.path).parent().unwrap_or(Path::new("/")).to_path_buf();
            if let Some(why) = script.refused.as_ref().or(script.problems.first()) {
                declared.unknown.push((label(&seen(&data)), script.path.clone(), why.clone()));
            }
            let dumps: Vec<_> = script.dumps.iter().filter_map(|text| Dump::new(text)).collect();
            let Some(folder) = seen_at(&data).filter(|_| !dumps.is_empty()) else { continue };
            let is_prepared = prepared.iter().any(|glob| glob.is_match(&service.service));
            declared.services.entry(host.first_folder(&folder).to_vec()).or_default().push(Dumps {
                label: label(&folder),
                name: service.service,
                folder,
                is_prepared,
                dumps,
            });
        }
        Ok(declared)
    }

    pub(super) fn look(&mut self, host: &Host<'_>, path: &[u8], entry: &SnapshotEntry) {
        for dumps in self.services.get_mut(host.first_folder(path)).into_iter().flatten() {
            if entry.kind == EntryKind::Folder || !is_below(path, &dumps.folder) {
                continue;
            }
            let below = Path::new(OsStr::from_bytes(&path[dumps.folder.len() + 1..]));
            for dump in &mut dumps.dumps {
                if dump.found.len() < MOST_FILES && dump.glob.is_match(below) {
                    dump.found.push(entry.clone());
                }
            }
        }
    }

    /// Reads the dumps back and proves them, one service after another, in `scratch`.
    pub(super) fn prove(self, restore: &mut Restore<'_>) -> Result<()> {
        for (label, path, why) in self.unknown {
            let what = format!("its dumps are not known: {why}");
            restore.findings.add(&label, FaultKind::DumpNotChecked, path.as_bytes(), what);
        }
        let mut services: Vec<Dumps> = self.services.into_values().flatten().collect();
        services.sort_by(|a, b| (&a.label, &a.name).cmp(&(&b.label, &b.name)));
        for dumps in services {
            let label = &dumps.label;
            restore.findings.service(label).dumps += dumps.dumps.len() as u64;
            let folder = restore.scratch.join("dumps");
            let mut whole = Vec::new();
            for dump in &dumps.dumps {
                match read(dump, &dumps, &folder, restore)? {
                    None => whole.push(dump.text.as_str()),
                    Some((kind, what)) => restore.findings.add(label, kind, dump.text.as_bytes(), what),
                }
            }
            if !whole.is_empty() {
                judge(label, &dumps.name, &whole, &folder, restore)?;
            }
            if folder.exists() {
                fs::remove_dir_all(&folder)
                    .with_context(|| format!("remove a temporary folder: {}", escape_path(&folder)))?;
            }
        }
        Ok(())
    }
}

impl Dump {
    fn new(text: &str) -> Option<Dump> {
        let pattern = match text.strip_suffix('/') {
            Some(folder) => format!("{}/**", globset::escape(folder)),
            None => text.to_string(),
        };
        let glob = GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).build().ok()?;
        let is_pattern = text.contains(['*', '?', '[', '{', '\\']);
        Some(Dump { text: text.into(), glob: glob.compile_matcher(), is_pattern, found: Vec::new() })
    }
}

/// The services that the hooks of the plan and of its repository prepare, as globs.
fn prepared_services(config: &Value, plan: &Value) -> Vec<GlobMatcher> {
    let repo = list(config, "repos").iter().find(|repo| repo["id"] == plan["repo"]);
    let messages =
        repo.into_iter().chain([plan]).flat_map(|owner| list(owner, "hooks")).flat_map(messages_of);
    let services =
        messages.filter(|message| message.built_in() == Some(BuiltIn::PreBackups)).flat_map(|message| {
            let services = Preparation::parse(&message.text).map(|asked| asked.services).unwrap_or_default();
            if services.is_empty() { vec!["*".into()] } else { services }
        });
    services.filter_map(|glob| Some(GlobBuilder::new(&glob).build().ok()?.compile_matcher())).collect()
}

/// Reads the files of a dump back into `folder`. Returns what is wrong with it, if anything is.
fn read(dump: &Dump, dumps: &Dumps, folder: &Path, restore: &mut Restore<'_>) -> Result<Option<Wrong>> {
    let host = restore.host;
    let Some(newest) = dump.found.iter().map(|entry| entry.modified).max() else {
        return Ok(Some((FaultKind::DumpMissing, "the snapshot does not hold it".into())));
    };
    if dumps.is_prepared && !host.is_of_the_backup(newest) {
        let what =
            format!("the one in the snapshot was written {}, before the backup began", local_time(newest));
        return Ok(Some((FaultKind::DumpOld, what)));
    }
    // Of a pattern the older files are earlier dumps that are kept.
    let is_asked = |entry: &&SnapshotEntry| {
        !dump.is_pattern || !dumps.is_prepared || host.is_of_the_backup(entry.modified)
    };
    for entry in dump.found.iter().filter(is_asked) {
        let fault = match entry.kind {
            EntryKind::File => read_file(entry, dumps, folder, restore)?,
            _ => Some((FaultKind::DumpBroken, "it is not a file".into())),
        };
        if fault.is_some() {
            return Ok(fault);
        }
    }
    Ok(None)
}

fn read_file(
    entry: &SnapshotEntry,
    dumps: &Dumps,
    folder: &Path,
    restore: &mut Restore<'_>,
) -> Result<Option<Wrong>> {
    let path = entry.path.as_bytes();
    // Its names are those of the listing, of which none is "..", and the folder is ours.
    let target = folder.join(OsStr::from_bytes(&path[dumps.folder.len() + 1..]));
    let make = || -> std::io::Result<File> {
        fs::create_dir_all(target.parent().unwrap_or(folder))?;
        let room = rustix::fs::statvfs(target.parent().unwrap_or(folder))?;
        if room.f_bavail.saturating_mul(room.f_frsize) < entry.size.saturating_add(ROOM) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        File::options().write(true).create_new(true).open(&target)
    };
    let no_room = |error: &dyn std::fmt::Display| {
        let what = format!("it could not be read back into {}: {error}", escape_path(folder));
        Some((FaultKind::DumpNotChecked, what))
    };
    let mut file = match make() {
        Ok(file) => file,
        Err(error) => return Ok(no_room(&error)),
    };
    let mut unwritten = None;
    let read = restore.read_back(entry, &mut |offset, bytes| {
        let start = if offset == 0 { file.set_len(0).and_then(|()| file.rewind()) } else { Ok(()) };
        start.and_then(|()| file.write_all(bytes)).map_err(|error| {
            unwritten = Some(error.to_string());
            local(error)
        })
    });
    if let Some(error) = unwritten {
        return Ok(no_room(&error));
    }
    Ok(read?.map(|(kind, what)| match kind {
        FaultKind::NotCompared => (FaultKind::DumpNotChecked, what),
        _ => (FaultKind::DumpBroken, what),
    }))
}

fn judge(label: &str, name: &str, whole: &[&str], folder: &Path, restore: &mut Restore<'_>) -> Result<()> {
    let only = globset::escape(name);
    let words =
        [OsStr::new("--prove"), folder.as_os_str(), "--only".as_ref(), only.as_ref(), "--json".as_ref()];
    let proof: Proof =
        ask_within(PROOF_TIME, Some(restore.cancel), restore.settings, "pre-backup-actions", &words)
            .context("prove a dump: pre-backup-actions --prove")?;
    for dump in whole {
        let proved = proof.dumps.iter().find(|proved| proved.dump == **dump);
        match proved.map(verdict) {
            Some((ProofOutcome::Proved, _)) => restore.findings.service(label).dumps_proved += 1,
            Some((ProofOutcome::Unproved, _)) => restore.findings.service(label).dumps_unproved += 1,
            Some((ProofOutcome::Fault, why)) => {
                restore.findings.add(label, FaultKind::DumpBroken, dump.as_bytes(), why);
            }
            None => {
                let what = "its declaration changed meanwhile".to_string();
                restore.findings.add(label, FaultKind::DumpNotChecked, dump.as_bytes(), what);
            }
        }
    }
    Ok(())
}

/// What was proved of a dump that may be several files: the worst of them counts.
fn verdict(dump: &ProvedDump) -> (ProofOutcome, String) {
    if let Some(why) = &dump.fault {
        return (ProofOutcome::Fault, why.clone());
    }
    for outcome in [ProofOutcome::Fault, ProofOutcome::Unproved] {
        if let Some(file) = dump.files.iter().find(|file| file.outcome == outcome) {
            return (outcome, file.why.clone().unwrap_or_default());
        }
    }
    (ProofOutcome::Proved, String::new())
}
