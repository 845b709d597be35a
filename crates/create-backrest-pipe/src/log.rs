//! `log`: the last lines that the listener wrote, the older file first where one is not enough.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use common::exit::{Exit, HintExt};
use common::settings::Settings;
use common::text::{escape, escape_path};

pub(crate) fn run(count: usize, settings: &Settings) -> Result<Exit> {
    let newer = settings.layout().listener_log();
    let mut lines = lines_of(&newer)?;
    if lines.len() < count {
        let mut older = lines_of(&common::rotating_log::previous(&newer))?;
        older.append(&mut lines);
        lines = older;
    }
    if lines.is_empty() {
        return Err(anyhow!("no listener has logged anything: {}", escape_path(&newer)))
            .hint("start one: create-backrest-pipe");
    }
    for line in &lines[lines.len().saturating_sub(count)..] {
        common::out!("{line}");
    }
    Ok(Exit::Done)
}

fn lines_of(path: &Path) -> Result<Vec<String>> {
    match fs::read(path) {
        Ok(text) => {
            Ok(text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(escape).collect())
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error).with_context(|| format!("read the log: {}", escape_path(path))),
    }
}
