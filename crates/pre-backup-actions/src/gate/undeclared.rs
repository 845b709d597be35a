//! Dumps that a script has written without declaring them, as the Bash scripts' users did. They are judged too: a bad
//! one is a warning, and for a good one the line that declares it is shown.

use std::fs;
use std::path::Path;

use common::dump_files;
use common::text::escape_path;

use super::Budget;
use super::formats::{self, Flaw, Proved};
use super::fresh::Start;
use super::report::{Fault, Report};
use crate::declare::Dump;

/// Judges what the script that has just run wrote into `folder` beside what it declares.
pub(crate) fn undeclared(folder: &Path, dumps: &[Dump], start: &Start, budget: &Budget) -> Report {
    let mut report = Report::default();
    for path in dump_files::in_folder(folder) {
        let Ok(metadata) = fs::symlink_metadata(folder.join(&path)) else { continue };
        let is_declared =
            dumps.iter().any(|dump| dump.names(&path) || (dump.is_folder() && path.starts_with(dump.path())));
        if is_declared || start.was_there(&path, &metadata) || !start.is_since(&metadata) {
            continue;
        }
        let shown = escape_path(&path);
        match formats::check(&folder.join(&path), None, budget) {
            Ok(Proved::Whole | Proved::Partly(_)) => {
                report.notes.push(format!("{shown} is not declared; in the script: # dump: {shown}"));
            }
            Ok(Proved::Nothing { .. })
            | Err(Flaw::Interrupted | Flaw::OutOfTime(_) | Flaw::Unreadable(_)) => {}
            Err(Flaw::Empty) => report.doubts.push(doubt(&shown, "there is nothing in it")),
            Err(Flaw::Damaged(why)) => report.doubts.push(doubt(&shown, &why)),
        }
    }
    report
}

fn doubt(path: &str, why: &str) -> Fault {
    Fault {
        short: format!("{path} is not a good dump"),
        detail: format!("{path} is not declared, and not good: {why}; in the script: # dump: {path}"),
    }
}
