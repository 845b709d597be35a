//! The checks of a declared dump that need nothing but its files: they exist, are large enough, and are whole.

use std::fs;
use std::path::Path;

use common::contract::proof::{ProofOutcome, ProvedDump, ProvedFile};
use common::units;

use super::Budget;
use super::find::{self, DumpFile};
use super::formats::{self, Flaw, Proved};
use crate::declare::Dump;
use crate::name;

/// Checks the files below `folder` that `dump` means.
pub(crate) fn prove(dump: &Dump, folder: &Path, budget: &Budget) -> ProvedDump {
    let paths = match dump.is_folder() {
        true => Ok(vec![dump.path()].into_iter().filter(|path| folder.join(path).is_dir()).collect()),
        false => find::in_place(dump, folder, None),
    };
    let (paths, mut fault) = match paths {
        Ok(paths) if paths.is_empty() => (paths, Some("expected a dump, but there is none".to_string())),
        Ok(paths) => (paths, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let files: Vec<_> = paths
        .into_iter()
        .map(|path| {
            let found = DumpFile { at: folder.join(&path), path, is_staged: true };
            prove_file(dump, &found, budget)
        })
        .collect();
    let smallest = files.iter().map(|file| file.bytes).min();
    if let Some(bytes) = smallest.filter(|bytes| *bytes < dump.minimum) {
        let (least, bytes) = (units::bytes(dump.minimum), units::bytes(bytes));
        fault.get_or_insert(format!("expected at least {least}, but it has {bytes}"));
    }
    ProvedDump { dump: dump.text.clone(), files, fault }
}

fn prove_file(dump: &Dump, found: &DumpFile, budget: &Budget) -> ProvedFile {
    // In a place that was read back there is no symlink that means something.
    let is_a_file = fs::symlink_metadata(&found.at).is_ok_and(|metadata| metadata.is_file());
    let checked = match is_a_file || dump.is_folder() {
        true => formats::check(&found.at, dump.kind, budget),
        false => Err(Flaw::Damaged("it is not a file".into())),
    };
    let (outcome, why) = match checked {
        Ok(Proved::Whole) => (ProofOutcome::Proved, None),
        Ok(Proved::Partly(why) | Proved::Nothing { why, .. }) => (ProofOutcome::Unproved, Some(why)),
        Err(Flaw::Empty) if dump.minimum == 0 => (ProofOutcome::Proved, None),
        Err(flaw) => (ProofOutcome::Fault, Some(flaw.into_fault(&found.path, dump.kind).detail)),
    };
    ProvedFile { path: name::encode(found.path.as_os_str()), bytes: found.bytes(), outcome, why }
}
