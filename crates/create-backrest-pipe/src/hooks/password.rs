//! The password for Backrest: from a file, from the environment, or typed. Never from the command line, which every
//! user of the machine can read.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use common::exit::HintExt;
use common::settings::Secret;
use common::text::{escape, escape_path};

use super::silent;

/// The variable.
const VARIABLE: &str = "BACKREST_PASSWORD";

/// The password of `user`; asked for if neither file nor variable holds it.
pub(super) fn password_of(user: &str, file: Option<&Path>) -> Result<Secret> {
    if let Some(file) = file {
        let naming = || format!("read the password: {}", escape_path(file));
        let text = fs::read_to_string(file).with_context(naming)?;
        return Ok(Secret::new(text.trim_end_matches(['\r', '\n'])));
    }
    match std::env::var(VARIABLE) {
        Ok(password) if !password.is_empty() => Ok(Secret::new(password)),
        _ => silent::ask(&format!("Backrest's password of {}: ", escape(user.as_bytes())))
            .map(Secret::new)
            .context("ask for the password")
            .hint(format!("give it with --password-file FILE or in {VARIABLE}")),
    }
}
