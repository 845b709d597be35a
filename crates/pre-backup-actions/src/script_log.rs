//! What a script printed, kept for people: one bounded log per service. A log that can't be written is reported once
//! and stops nothing.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use common::rotating_log::RotatingLog;
use common::text::escape_path;

use crate::name;

/// The log of one service during one script.
#[derive(Debug)]
pub(crate) struct ScriptLog {
    path: PathBuf,
    log: Option<RotatingLog>,
    failure: Option<String>,
}

impl ScriptLog {
    /// The log of the service `name` in `folder`, which is made if it is missing.
    pub(crate) fn open(folder: &Path, name: &OsStr) -> ScriptLog {
        let path = folder.join(name::encode(name) + ".log");
        let mut log = ScriptLog { path, log: None, failure: None };
        match RotatingLog::open(&log.path) {
            Ok(opened) => log.log = Some(opened),
            Err(error) => log.fail(&error),
        }
        log
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds one line, which is safe to show already.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some(Err(error)) = self.log.as_mut().map(|log| log.line(line)) {
            self.fail(&error);
        }
    }

    /// Writes out what is held back; returns why the log is not whole, if it isn't.
    pub(crate) fn close(mut self) -> Option<String> {
        if let Some(Err(error)) = self.log.as_mut().map(RotatingLog::flush) {
            self.fail(&error);
        }
        self.failure
    }

    fn fail(&mut self, error: &io::Error) {
        self.log = None;
        self.failure = Some(format!("the log is not whole: {}: {error}", escape_path(&self.path)));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn runs_are_appended_under_a_name_of_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs/prepare");
        for line in ["first", "second"] {
            let mut log = ScriptLog::open(&logs, OsStr::new("a\nb"));
            log.line(line);
            assert_eq!(log.close(), None);
        }
        assert_eq!(fs::read_to_string(logs.join("a%0Ab.log")).unwrap(), "first\nsecond\n");
    }

    #[test]
    fn a_log_that_can_not_be_written_is_reported() {
        let mut log = ScriptLog::open(Path::new("/dev/null/logs"), OsStr::new("a"));
        log.line("x");
        let why = log.close().unwrap();
        assert!(why.starts_with("the log is not whole: /dev/null/logs/a.log: Not a directory"), "{why}");
    }
}
