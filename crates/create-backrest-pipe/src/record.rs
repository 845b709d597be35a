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
    pub(crate) made_container_dir: bool,
    pub(crate) made_logs: bool,
    pub(crate) made_state: bool,
    /// The FIFO was there before, at the old place.
    pub(crate) adopted_pipe: bool,
    pub(crate) adopted_mode: Option<u32>,
    /// Lines of the crontab that started the Bash listener.
    pub(crate) replaced_lines: Vec<String>,
    pub(crate) made_crontab: bool,
    /// What starts the listener after a reboot, as it was last asked for.
    pub(crate) supervisor: Option<Supervisor>,
    /// Backrest's folders in the data root that were made, outermost first.
    pub(crate) made_data_folders: Vec<PathBuf>,
    /// Folders that were made for the systemd unit, outermost first.
    pub(crate) made_unit_folders: Vec<PathBuf>,
}

impl Record {
    pub(crate) fn read(path: &Path) -> Result<Option<Record>> {
        let naming = || format!("read what was set up before: {}", escape_path(path));
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error).with_context(naming),
        };
        serde_json::from_slice(&text)
            .with_context(naming)
            .hint("remove that file; it only lists what `remove` may take away")
    }
}
