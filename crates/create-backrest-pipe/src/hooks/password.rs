//! The password for Backrest: from a file, from the environment, or typed. Never from the command line, which every
//! user of the machine can read.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use common::exit::HintExt;
use common::text::{escape, escape_path};

use super::silent;

/// The variable.
const VARIABLE: &str = "BACKREST_PASSWORD";

/// The password of `user`; asked for where neither file nor variable gives it.
pub(super) fn password_of(user: &str, file: Option<&Path>) -> Result<String> {
    if let Some(file) = file {
        let naming = || format!("read the password: {}", escape_path(file));
        let text = fs::read_to_string(file).with_context(naming)?;
        return Ok(text.trim_end_matches(['\r', '\n']).into());
    }
    match std::env::var(VARIABLE) {
        Ok(password) if !password.is_empty() => Ok(password),
        _ => silent::ask(&format!("Backrest's password of {}: ", escape(user.as_bytes())))
            .context("ask for the password")
            .hint(format!("give it with --password-file FILE or in {VARIABLE}")),
    }
}
