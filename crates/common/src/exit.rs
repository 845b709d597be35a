//! From a tool's result to its exit code: the table of codes, hints on errors, and how an error is printed.
//!
//! In comes what `run` of a tool returned; out goes one line `tool: what failed: path: why` on standard error, a second
//! line `hint: …` if there is something to do, and the code. A reader that closed the pipe (`| head`) is not an error: `output` never
//! reports it, so any other closed pipe is.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use bridge::HINT;
use clap::Parser;
use rustix::fs::Access;

use crate::layout;
use crate::output;
use crate::text::{escape, word};

/// How a tool ends. clap itself exits with 2 if the command line is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Done,
    /// It failed, or found something wrong.
    Failed,
    /// The command line asks for something that can't be.
    Usage,
    /// A signal (Ctrl-C) stopped it.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Interrupted => 130,
        })
    }
}

/// An error that knows what the person can do about it.
#[derive(Debug)]
struct Hinted {
    error: anyhow::Error,
    hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl StdError for Hinted {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.chain().nth(1)
    }
}

/// Adds a hint to an error.
pub trait HintExt<T> {
    /// The same result; its error carries `hint`, an imperative sentence without a full stop.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> HintExt<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| with_hint(error, hint))
    }
}

/// `error` with a hint, likewise.
pub fn with_hint(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> anyhow::Error {
    Hinted { error: error.into(), hint: hint.into() }.into()
}

/// The cause chain on one line, outermost first; a cause whose text is already in the line is left out, and
/// nothing in it can steer a terminal.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let cause = escape(cause.to_string().trim_end().as_bytes());
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

/// The outermost hint in the chain.
pub fn hint_of(error: &anyhow::Error) -> Option<&str> {
    error.chain().find_map(|cause| cause.downcast_ref::<Hinted>()).map(|hinted| hinted.hint.as_str())
}

/// What a tool's `main` does: reads the command line, runs the tool and returns its exit code. Help and version go the
/// way of all output, so that a full disk behind them is an error; clap itself would exit with 0.
pub fn main<C: Parser>(tool: &str, run: impl FnOnce(&C) -> anyhow::Result<Exit>) -> ExitCode {
    match C::try_parse() {
        Ok(cli) => finish(tool, run(&cli)),
        Err(wrong) if wrong.use_stderr() => wrong.exit(),
        Err(help) => {
            // Its `write` keeps an error for `finish`.
            let printed = write!(output::stdout(), "{}", help.render().ansi());
            finish(tool, printed.map(|()| Exit::Done).map_err(anyhow::Error::from))
        }
    }
}

/// Prints what went wrong, if anything, and returns the exit code.
pub fn finish(tool: &str, result: anyhow::Result<Exit>) -> ExitCode {
    let exit = match result {
        Ok(exit) => exit,
        Err(error) => {
            report(tool, &error);
            Exit::Failed
        }
    };
    match output::take_failure() {
        None => exit.into(),
        Some(error) => {
            report(tool, &anyhow::Error::from(error).context("write to standard output"));
            if exit == Exit::Done { Exit::Failed.into() } else { exit.into() }
        }
    }
}

/// Prints an error and its hint, also for a tool that goes on all the same.
pub fn report(tool: &str, error: &anyhow::Error) {
    crate::note!("{tool}: {}", one_line(error));
    let usual = || match () {
        () if is_caused_by(error, io::ErrorKind::StorageFull) => no_inodes(),
        () if is_caused_by(error, io::ErrorKind::PermissionDenied) => denied(),
        () => None,
    };
    if let Some(hint) = hint_of(error).map(str::to_string).or_else(usual) {
        self::hint(&escape(hint.as_bytes()));
    }
}

/// Prints a way out, after the line that it belongs to.
pub fn hint(text: &str) {
    crate::note!("{HINT}{text}");
}

/// Whether `error` was caused by an input or output error of that kind.
pub fn is_caused_by(error: &anyhow::Error, kind: io::ErrorKind) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == kind)
}

/// The folders of this run's settings, if they are known: both roots, each followed by Backrest's folder in it.
static FOLDERS: OnceLock<[PathBuf; 4]> = OnceLock::new();

/// Hints name these folders from now on, and no longer those in the home.
pub(crate) fn know(folders: [PathBuf; 4]) {
    let _ = FOLDERS.set(folders);
}

/// Both roots, each followed by Backrest's folder in it.
fn usual_folders() -> Option<[PathBuf; 4]> {
    let names = ["containers", "containers/backrest", "data", "data/backrest"];
    FOLDERS.get().cloned().or_else(|| home().map(|home| names.map(|name| home.join(name))))
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}

/// The folders that hold only what the tools made.
fn tools_folders() -> Option<[PathBuf; 3]> {
    usual_folders().map(|[_, container_dir, ..]| layout::FOLDERS.map(|name| container_dir.join(name)))
}

/// The commands that let the user write where the tools do, if that is not possible.
fn denied() -> Option<String> {
    let closed = usual_folders().into_iter().flatten().chain(home()).find_map(|folder| not_ours(&folder));
    let whole = tools_folders().and_then(|folders| own_whole(&folders));
    let commands: Vec<String> = closed.into_iter().chain(whole).collect();
    (!commands.is_empty()).then(|| commands.join(" && "))
}

/// The command that lets the user enter a folder and write there, if that is not possible.
fn not_ours(folder: &Path) -> Option<String> {
    let is_closed =
        folder.is_dir() && rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err();
    is_closed.then(|| own(folder))
}

/// The command that makes the user the owner of those folders that are, or hold, what belongs to another user, as after a
/// run with sudo. Root needs none.
pub fn own_whole(folders: &[PathBuf]) -> Option<String> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let foreign: Vec<String> = folders.iter().filter(|folder| is_foreign(folder, 8)).map(word).collect();
    (!foreign.is_empty()).then(|| format!("sudo chown -R $USER {}", foreign.join(" ")))
}

/// Whether `path`, or anything in it down to `depth` folders, belongs to another user and can't be written: some file
/// systems give every file one owner and let all users write.
fn is_foreign(path: &Path, depth: u32) -> bool {
    let Ok(metadata) = path.symlink_metadata() else { return false };
    let inside = || path.read_dir().into_iter().flatten().flatten();
    (metadata.uid() != rustix::process::geteuid().as_raw()
        && rustix::fs::access(path, Access::WRITE_OK).is_err())
        || (metadata.is_dir() && depth > 0 && inside().any(|entry| is_foreign(&entry.path(), depth - 1)))
}

/// The command that makes the user the owner of the folder that keeps them from `path`: the first on the way there that they
/// can't enter, otherwise the last that exists. What is in one of the tools' own folders comes with it.
pub fn own(path: &Path) -> String {
    let is_there = |folder: &&Path| folder.is_dir();
    let closed = |folder: &&Path| rustix::fs::access(*folder, Access::EXEC_OK).is_err();
    let existing: Vec<&Path> = path.ancestors().filter(is_there).collect();
    let folder = existing.iter().rev().copied().find(closed).or(existing.first().copied()).unwrap_or(path);
    let tools = tools_folders().filter(|tools| tools.iter().any(|tool| folder.starts_with(tool)));
    tools.and_then(|tools| own_whole(&tools)).unwrap_or_else(|| format!("sudo chown $USER {}", word(folder)))
}

/// Why no file can be made though there is room: `df` shows free space then, and only `df -i` shows the cause.
fn no_inodes() -> Option<String> {
    let folders = usual_folders().into_iter().flatten().chain(home());
    let folders = folders.chain(std::env::current_dir().ok()).chain([std::env::temp_dir()]);
    let mut used_up = folders.filter(|folder| has_no_inodes(folder)).map(crate::text::escape_path);
    used_up
        .next()
        .map(|folder| format!("free inodes, not space (see: df -i {folder}): remove files, many small ones"))
}

/// Whether blocks are free but no inodes. A file system that makes inodes as it needs them (btrfs) has a total of 0.
fn has_no_inodes(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|all| all.f_files > 0 && all.f_favail == 0 && all.f_bavail > 0)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_cause_is_neither_lost_nor_repeated() {
        let error = Err::<(), _>(io::Error::from_raw_os_error(28))
            .context("write: /x: No space left on device (os error 28)")
            .context("build")
            .unwrap_err();
        assert_eq!(one_line(&error), "build: write: /x: No space left on device (os error 28)");
    }

    #[test]
    fn a_hint_survives_context_and_stays_out_of_the_line() {
        let result: anyhow::Result<()> = Err(anyhow!("inner").context("middle"));
        let error = result.hint("do this").context("outer").unwrap_err();
        assert_eq!(one_line(&error), "outer: middle: inner");
        assert_eq!(hint_of(&error), Some("do this"));
    }

    #[test]
    fn a_closed_pipe_that_is_not_standard_output_is_a_failure() {
        let ask = Err(io::Error::from(io::ErrorKind::BrokenPipe)).context("ask a program");
        assert_eq!(format!("{:?}", finish("test", ask)), format!("{:?}", ExitCode::from(1)));
    }

    #[test]
    fn control_characters_of_a_cause_are_escaped() {
        let error = anyhow!("bad name \u{1b}[2Jx");
        assert_eq!(one_line(&error), "bad name \\x1b[2Jx");
    }
}
