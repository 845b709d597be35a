//! What the command line asks for, worked out: the settings with every default, and one mode with all that it needs.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use common::exit::HintExt;
use common::settings::Settings;

use crate::cli::Cli;

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Task {
    /// Where everything is.
    pub(crate) settings: Settings,
    /// What is wanted.
    pub(crate) mode: Mode,
    /// The form of the output.
    pub(crate) format: Format,
    /// Write only the patterns that match something today.
    pub(crate) lean: bool,
    /// A warning is a failure.
    pub(crate) strict: bool,
}

/// The modes, of which one is chosen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Write the exclude file to [`Settings::ignore_file`].
    Write,
    /// Write it with the rules that were held back.
    Adopt,
    /// Show which files only the rules or only this exclude file leaves out.
    Compare(PathBuf),
    /// Print the exclude file.
    Print,
    /// Compare the exclude file with what a run would write.
    Check,
    /// Show what happens to these paths.
    Explain(Vec<PathBuf>),
    /// Show what no backup holds.
    Coverage,
    /// Show the sizes of what is kept and left out.
    Report,
    /// List every path that is kept.
    Kept,
}

/// Who reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A person.
    Text,
    /// A program.
    Json,
}

/// Fails if the command line has a flag that was removed.
pub(crate) fn check_flags(cli: &Cli) -> Result<()> {
    if cli.relative {
        return Err(anyhow!("--relative was removed: its lines matched in other services too"))
            .hint("for a restic without a container, name the folder above both roots: --mount /home/me");
    }
    Ok(())
}

impl Task {
    /// Resolves the command line. Fails if the settings can't be used.
    pub(crate) fn new(cli: &Cli) -> Result<Task> {
        let to_stdout = cli.output.as_deref() == Some(Path::new("-"));
        let output = cli.output.as_deref().filter(|_| !to_stdout);
        let settings = Settings::load(&cli.places, cli.mount.as_deref(), output)?;
        let mode = match () {
            () if cli.explain => Mode::Explain(cli.paths.clone()),
            () if cli.adopt => Mode::Adopt,
            () if cli.compare.is_some() => Mode::Compare(cli.compare.clone().unwrap_or_default()),
            () if cli.coverage => Mode::Coverage,
            () if cli.report => Mode::Report,
            () if cli.kept0 => Mode::Kept,
            () if cli.check => Mode::Check,
            () if to_stdout => Mode::Print,
            () => Mode::Write,
        };
        let format = if cli.json { Format::Json } else { Format::Text };
        let lean = cli.lean || is_set(settings.other("IGNORE_LEAN").as_deref());
        Ok(Task { settings, mode, format, lean, strict: cli.strict })
    }
}

fn is_set(value: Option<&str>) -> bool {
    value.is_some_and(|value| matches!(value, "1" | "true" | "yes" | "on"))
}
