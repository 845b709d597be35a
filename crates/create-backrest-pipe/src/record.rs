//! What this tool has made, written down before it is made, so that `remove` takes away just that, also after a
//! set-up that was interrupted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::exit::HintExt;
use common::text::escape_path;
use serde::{Deserialize, Serialize};

use crate::cli::Supervisor;

/// The record in `state/setup.json`. The default is that of a home where nothing was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// Backrest's folder itself was made.
    pub(crate) made_container_dir: bool,
    /// `logs/` was made.
    pub(crate) made_logs: bool,
    /// `state/` was made.
    pub(crate) made_state: bool,
    /// The FIFO was there before, at the old place.
    pub(crate) adopted_pipe: bool,
    /// The mode that it had.
    pub(crate) adopted_mode: Option<u32>,
    /// Lines of the crontab that started the Bash listener.
    pub(crate) replaced_lines: Vec<String>,
    /// The user had no crontab.
    pub(crate) made_crontab: bool,
    /// What starts the listener after a reboot, as it was last asked for.
    pub(crate) supervisor: Option<Supervisor>,
    /// Backrest's folders in the data root that were made, outermost first.
    pub(crate) made_data_folders: Vec<PathBuf>,
    /// Folders that were made for the systemd unit, outermost first.
    pub(crate) made_unit_folders: Vec<PathBuf>,
}

impl Record {
    /// Reads the record; the default where there is none.
    pub(crate) fn read(path: &Path) -> Result<Record> {
        let naming = || format!("read what was set up before: {}", escape_path(path));
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Record::default());
            }
            Err(error) => return Err(error).with_context(naming),
        };
        serde_json::from_slice(&text)
            .with_context(naming)
            .hint("remove that file; it only lists what `remove` may take away")
    }

    /// The text of the record.
    pub(crate) fn to_json(&self) -> String {
        // Plain fields always have a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// What was made according to either of the two; `other` is the newer.
    pub(crate) fn and(&self, other: &Record) -> Record {
        Record {
            made_container_dir: self.made_container_dir || other.made_container_dir,
            made_logs: self.made_logs || other.made_logs,
            made_state: self.made_state || other.made_state,
            adopted_pipe: self.adopted_pipe || other.adopted_pipe,
            adopted_mode: self.adopted_mode.or(other.adopted_mode),
            replaced_lines: {
                let is_new = |line: &&String| !self.replaced_lines.contains(line);
                let new = other.replaced_lines.iter().filter(is_new);
                self.replaced_lines.iter().chain(new).cloned().collect()
            },
            made_crontab: self.made_crontab || other.made_crontab,
            supervisor: other.supervisor.or(self.supervisor),
            made_data_folders: {
                let is_new = |path: &&PathBuf| !self.made_data_folders.contains(path);
                let new = other.made_data_folders.iter().filter(is_new);
                self.made_data_folders.iter().chain(new).cloned().collect()
            },
            made_unit_folders: match other.made_unit_folders.as_slice() {
                [] => self.made_unit_folders.clone(),
                made => made.to_vec(),
            },
        }
    }
}
