//! `state/pushes.json`: one [`Pushes`]. How Uptime Kuma answered the last push to each address, written by
//! `backrest-push` and shown by `create-backrest-pipe status`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The last push to each address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushes {
    /// By the name of the setting that holds the address.
    #[serde(default)]
    pub last: BTreeMap<String, Push>,
}

/// One push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// When, in seconds since 1970.
    pub at: i64,
    /// What was pushed.
    pub state: State,
    /// What came back.
    pub answer: Answer,
}

/// The state of a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All is well
    Up,
    /// Something failed; pushed twice, for monitors that retry once
    Down,
}

impl State {
    /// `up` or `down`.
    pub fn word(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Down => "down",
        }
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Uptime Kuma took it.
    Accepted,
    /// Uptime Kuma refused it: the token is wrong, or the monitor is paused.
    Refused(String),
    /// No answer, or not one of Uptime Kuma's.
    Failed(String),
}

impl Pushes {
    /// Reads the file at `path`; one that is missing or can't be read holds nothing.
    pub fn load(path: &Path) -> Pushes {
        fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Writes the file at `path`.
    pub fn save(&self, path: &Path) -> Result<()> {
        crate::atomic::write(path, &serde_json::to_vec(self)?, 0o600)?;
        Ok(())
    }
}
