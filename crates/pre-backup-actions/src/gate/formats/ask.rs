//! Databases are asked: SQLite's own check of a database, and pg_restore's reading of an archive.

use std::path::Path;
use std::process::{Command, Stdio};

use common::process::{self, End, Limits};
use common::text::escape;
use nix::sys::signal::Signal;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::super::Budget;
use super::{Flaw, Judgement, Proved};

/// How pg_restore reports that it does not know the archive's format or its compression. It has no exit code for that.
const CAN_NOT_READ: [&str; 2] = ["unsupported version", "does not support compression"];

/// Has pg_restore read an archive to its end: the file or folder at `path`, or what comes from `input`.
pub(super) fn pg_restore(path: Option<&Path>, input: Stdio, budget: &Budget) -> Judgement {
    // To SQL that no one reads: `--list` reads the table of contents at the beginning and nothing after it.
    let mut command = Command::new("pg_restore");
    // Its words are looked at, so they have to be in one language.
    command.arg("--file=/dev/null").args(path).env("LC_ALL", "C");
    let answer = ask(&mut command, input, budget)?;
    let why = match answer {
        Answer::Done(_) => return Ok(Proved::Whole),
        Answer::NotInstalled => {
            return Ok(Proved::Partly(
                "pg_restore is not installed, so the archive was not read (package postgresql-client)".into(),
            ));
        }
        Answer::Stopped(why) => {
            return Ok(Proved::Partly(format!("pg_restore: {why}, so the archive was not read to its end")));
        }
        Answer::Failed(why) => format!("pg_restore: {why}"),
    };
    // The container's pg_dump is newer than this host's client, or built with more; the dump is none the worse.
    if CAN_NOT_READ.iter().any(|part| why.contains(part)) {
        return Ok(Proved::Partly(format!("{why}: a newer postgresql-client is needed to read the archive")));
    }
    Err(Flaw::Damaged(why))
}

pub(super) fn sqlite(path: &Path, budget: &Budget) -> Judgement {
    let mut command = Command::new("sqlite3");
    // Immutable: no lock, no journal, nothing is written beside the dump.
    command
        .args(["-batch", "-init", "/dev/null", "-readonly"])
        .arg(immutable_uri(path))
        // The file itself may ask for a larger cache.
        .arg("PRAGMA cache_size=-8192; PRAGMA quick_check(1);");
    match ask(&mut command, Stdio::null(), budget)? {
        Answer::Done(answer) if answer.trim_ascii() == b"ok" => Ok(Proved::Whole),
        Answer::Done(answer) => Err(Flaw::Damaged(format!("quick_check: {}", escape(answer.trim_ascii())))),
        Answer::Failed(why) => Err(Flaw::Damaged(format!("sqlite3: {why}"))),
        Answer::Stopped(why) => {
            Ok(Proved::Partly(format!("sqlite3: {why}, so quick_check was not run to its end")))
        }
        Answer::NotInstalled => Ok(Proved::Partly(
            "sqlite3 is not installed, so quick_check was not run (package sqlite3)".into(),
        )),
    }
}

enum Answer {
    Done(Vec<u8>),
    Failed(String),
    NotInstalled,
    /// It could not be started, or another program or the kernel (out of memory) killed it: that is not the dump's fault.
    Stopped(String),
}

fn ask(command: &mut Command, input: Stdio, budget: &Budget) -> Result<Answer, Flaw> {
    let limits = Limits::within(budget.left());
    let captured = match process::capture_checker(command, input, limits, Some(budget.cancel)) {
        Ok(captured) => captured,
        Err(error) if process::is_not_installed(&error) => return Ok(Answer::NotInstalled),
        Err(error) => return Ok(Answer::Stopped(common::exit::one_line(&error))),
    };
    match captured.end {
        End::Exited(0) => Ok(Answer::Done(captured.stdout)),
        End::TimedOut => Err(Flaw::OutOfTime(budget.limit)),
        End::Cancelled => Err(Flaw::Interrupted),
        End::Killed(signal) if signal == Signal::SIGKILL as i32 || signal == Signal::SIGTERM as i32 => {
            Ok(Answer::Stopped(captured.end.to_string()))
        }
        end => {
            let lines = captured.stderr.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
            let first = lines.into_iter().find(|line| !line.is_empty()).unwrap_or_default();
            Ok(Answer::Failed(format!("{end}: {}", escape(first))))
        }
    }
}

/// SQLite's name of a file that no one writes to; all but plain characters are written as their codes.
fn immutable_uri(path: &Path) -> String {
    const CODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'_').remove(b'-');
    format!("file:{}?immutable=1", percent_encode(path.as_os_str().as_encoded_bytes(), CODED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_a_uri_is_written_as_its_code() {
        let uri = immutable_uri(Path::new("/d/a b?c#d%é/e_f-g.db"));
        assert_eq!(uri, "file:/d/a%20b%3Fc%23d%25%C3%A9/e_f-g.db?immutable=1");
    }
}
