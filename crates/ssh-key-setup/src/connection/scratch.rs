//! Temporary folders for sockets and copies, each gone with the run.

use std::path::PathBuf;

use anyhow::{Context, Result};
use common::leftover::Scratch;

/// How the names of our temporary folders start.
pub(crate) const SCRATCH: &str = "ssh-";

/// Where temporary folders lie: short, because a socket's path may have some hundred bytes only, and plain, because
/// options contain it, where blanks and `%` mean something.
pub(crate) fn scratch_place() -> PathBuf {
    let given = std::env::temp_dir();
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@,".contains(c));
    let fits = given.to_str().is_some_and(|text| text.len() <= 60 && is_plain(text));
    if fits { given } else { PathBuf::from("/tmp") }
}

pub(crate) fn scratch() -> Result<Scratch> {
    let name = format!("{SCRATCH}{}", std::process::id());
    Scratch::new(&scratch_place(), name.as_ref()).context("make a temporary folder")
}
