//! `--check`: whether the file on disk is what a run would write now, and what differs.

use std::fs;
use std::io;
use std::path::Path;

use crate::task::Format;
use anyhow::{Context, Result};
use common::out;
use common::text::{BAD, GOOD, escape, escape_path};
use serde_json::json;
use similar::{Algorithm, ChangeTag, capture_diff_slices};

/// More lines than this are not shown.
const MOST_LINES: usize = 20;

/// Prints what differs between the file and `text`; returns whether anything does.
pub(crate) fn show(path: &Path, text: &[u8], format: Format) -> Result<bool> {
    let old = match fs::read(path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("read: {}", escape_path(path))),
    };
    let is_stale = old.as_deref() != Some(text);
    let name = escape_path(path);
    let changes = changes(old.as_deref().unwrap_or_default(), text);
    if format == Format::Json {
        let lines: Vec<_> = changes.iter().map(|(sign, line)| format!("{sign}{line}")).collect();
        out!("{}", json!({ "output": name, "stale": is_stale, "changes": lines }));
        return Ok(is_stale);
    }
    match (&old, is_stale) {
        (_, false) => out!("{name}: up to date"),
        (None, true) => out!("{name}: not there yet; build-ignore writes it"),
        (Some(_), true) => {
            out!("{name}: out of date; build-ignore brings it up to date");
            for (sign, line) in changes.iter().take(MOST_LINES) {
                let style = if *sign == '+' { GOOD } else { BAD };
                out!("{style}{sign}{line}{style:#}");
            }
            if changes.len() > MOST_LINES {
                out!("… and {} more", changes.len() - MOST_LINES);
            }
        }
    }
    Ok(is_stale)
}

fn changes(old: &[u8], new: &[u8]) -> Vec<(char, String)> {
    let old: Vec<&[u8]> = old.split(|&byte| byte == b'\n').collect();
    let new: Vec<&[u8]> = new.split(|&byte| byte == b'\n').collect();
    let operations = capture_diff_slices(Algorithm::Myers, &old, &new);
    let changes = operations.iter().flat_map(|operation| operation.iter_changes(&old, &new));
    changes
        .filter_map(|change| match change.tag() {
            ChangeTag::Equal => None,
            ChangeTag::Delete => Some(('-', escape(change.value()))),
            ChangeTag::Insert => Some(('+', escape(change.value()))),
        })
        .collect()
}
