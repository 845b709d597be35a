//! The user's crontab, read and written with the `crontab` program, as a person would.

pub(crate) mod lines;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::exit::HintExt;
use common::process::{self, End, Limits};
use common::text::escape;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Crontab {
    None,
    Text(String),
    /// It can't be used on this machine; why.
    Unusable(String),
}

impl Crontab {
    /// Its text, empty if the user has none; `None` if it can't be used.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Crontab::Text(text) => Some(text),
            Crontab::None => Some(""),
            Crontab::Unusable(_) => None,
        }
    }
}

fn crontab() -> Command {
    let mut command = Command::new("crontab");
    // Its messages are read below.
    command.env("LC_ALL", "C");
    command
}

fn limits() -> Limits {
    Limits::within(Duration::from_secs(30))
}

/// Reads the crontab. Fails if the program can't be run to its end.
pub(crate) fn read() -> Result<Crontab> {
    let listed = match process::capture(crontab().arg("-l"), b"", limits(), None) {
        Ok(listed) => listed,
        Err(error) if process::is_not_installed(&error) => {
            return Ok(Crontab::Unusable("the program crontab is not installed".into()));
        }
        Err(error) => return Err(error).context("read the crontab"),
    };
    if listed.end == End::Exited(0) {
        return match String::from_utf8(listed.stdout) {
            Ok(text) => Ok(Crontab::Text(text)),
            Err(_) => Ok(Crontab::Unusable("it is not UTF-8".into())),
        };
    }
    let printed = String::from_utf8_lossy(&listed.stderr);
    // Debian's and cronie's messages, and Busybox's; crontab(1) has no exit code for this.
    if printed.contains("no crontab for")
        || (printed.contains("can't open") && printed.contains("No such file"))
    {
        return Ok(Crontab::None);
    }
    Ok(Crontab::Unusable(format!("crontab -l: {}: {}", listed.end, escape(printed.trim().as_bytes()))))
}

/// Puts `after` in the place of `before`, and changes nothing if it was changed since.
pub(crate) fn replace(before: &Crontab, after: &Crontab) -> Result<()> {
    if read()? != *before {
        return Err(anyhow::anyhow!("change the crontab: it was changed by another program just now"))
            .hint("run create-backrest-pipe again");
    }
    let (argument, input) = match after {
        Crontab::Text(text) => ("-", text.as_str()),
        Crontab::None => ("-r", ""),
        Crontab::Unusable(why) => anyhow::bail!("change the crontab: {why}"),
    };
    let done = process::capture(crontab().arg(argument), input.as_bytes(), limits(), None);
    done.and_then(process::Captured::success).context("change the crontab")?;
    Ok(())
}
