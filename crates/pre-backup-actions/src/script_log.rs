//! What a script said, kept for people: one log per service, bounded.
//!
//! A run is appended. Where the file has grown past its bound it becomes `<name>.log.1`, in the middle of a run if
//! need be, so the newest lines are always there. That a log can't be written is told once and stops nothing.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use common::text::escape_path;

use crate::name;

/// A log that is larger than this makes room for a new one.
const BOUND: u64 = 1 << 20;

/// The log of one service during one script.
#[derive(Debug)]
pub(crate) struct ScriptLog {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    length: u64,
    failure: Option<String>,
}

impl ScriptLog {
    /// The log of the service `name` in `folder`, which is made where it is missing.
    pub(crate) fn open(folder: &Path, name: &OsStr) -> ScriptLog {
        let path = folder.join(name::encode(name) + ".log");
        let mut log = ScriptLog { path, file: None, length: 0, failure: None };
        let opened = match append_to(&log.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .and_then(|()| append_to(&log.path)),
            opened => opened,
        };
        match opened.and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((length, file)) => {
                log.length = length;
                log.file = Some(BufWriter::with_capacity(32 << 10, file));
            }
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
        if self.length > BOUND {
            self.make_room();
        }
        if let Some(file) = &mut self.file {
            self.length += line.len() as u64 + 1;
            if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n")) {
                self.fail(&error);
            }
        }
    }

    /// Writes out what is held back; gives why the log is not whole, if it isn't.
    pub(crate) fn close(mut self) -> Option<String> {
        if let Some(Err(error)) = self.file.as_mut().map(Write::flush) {
            self.fail(&error);
        }
        self.failure
    }

    fn make_room(&mut self) {
        self.length = 0;
        let Some(file) = self.file.take() else { return };
        let result = file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|_| fs::rename(&self.path, self.path.with_extension("log.1")))
            .and_then(|()| append_to(&self.path));
        match result {
            Ok(file) => self.file = Some(BufWriter::with_capacity(32 << 10, file)),
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.file = None;
        self.failure = Some(format!("the log is not whole: {}: {error}", escape_path(&self.path)));
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_appended_and_the_newest_lines_stay() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs/prepare");
        for line in ["first", "second"] {
            let mut log = ScriptLog::open(&logs, OsStr::new("a\nb"));
            log.line(line);
            assert_eq!(log.close(), None);
        }
        assert_eq!(fs::read_to_string(logs.join("a%0Ab.log")).unwrap(), "first\nsecond\n");
        let mut log = ScriptLog::open(&logs, OsStr::new("a\nb"));
        let long = "x".repeat(1000);
        for _ in 0..5000 {
            log.line(&long);
        }
        log.line("last");
        assert_eq!(log.close(), None);
        let kept: u64 =
            fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(kept <= 2 * (BOUND + 2000), "{kept}");
        assert!(fs::read_to_string(logs.join("a%0Ab.log")).unwrap().ends_with("last\n"));
    }

    #[test]
    fn a_log_that_can_not_be_written_is_told() {
        let mut log = ScriptLog::open(Path::new("/dev/null/logs"), OsStr::new("a"));
        log.line("x");
        assert!(
            log.close().unwrap().starts_with("the log is not whole: /dev/null/logs/a.log: Not a directory")
        );
    }
}
