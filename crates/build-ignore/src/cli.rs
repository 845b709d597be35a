//! The command line of `build-ignore`.

use std::path::PathBuf;

use clap::Parser;
use common::settings::Flags;

/// The name of this program.
pub(crate) const TOOL: &str = "build-ignore";

/// Write one restic exclude file from every service's .resticignore
///
/// A .resticignore means to the backup what a .gitignore means to git: same rules, per folder, nested files included.
/// The file is replaced only when something changed.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Cli {
    /// File to write; - is standard output [env: IGNORE_FILE] [default: <Backrest's container folder>/ignorefile.txt]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Folder in which restic sees both roots, as data and containers [env: BACKUP_MOUNT] [default: /userdata]
    #[arg(long, value_name = "DIR")]
    pub mount: Option<PathBuf>,
    /// Removed; kept for its hint
    #[arg(long, hide = true)]
    pub relative: bool,
    /// Write nothing; show what is out of date in the file and exit with 1 if anything is
    #[arg(long, group = "mode")]
    pub check: bool,
    /// Show what happens to these paths and which rule decides; exit with 0 if any is left out, otherwise with 1
    #[arg(long, group = "mode", requires = "paths")]
    pub explain: bool,
    /// Paths for --explain, as they are on the host or in the container
    #[arg(value_name = "PATH", requires = "explain", conflicts_with_all =
        ["check", "report", "coverage", "compare", "kept0", "adopt"])]
    pub paths: Vec<PathBuf>,
    /// Show per service what is kept and left out, and what is largest; write nothing
    #[arg(long, group = "mode")]
    pub report: bool,
    /// Show what is in no backup: links, volumes, disks, live databases; exit with 1 if there is any; write nothing
    #[arg(long, group = "mode")]
    pub coverage: bool,
    /// Compare the rules with FILE, any exclude file of restic: show the files that only one of them keeps; write nothing
    #[arg(long, group = "mode", value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// List every path that the rules keep, for programs: records that end with NUL bytes; write nothing
    #[arg(long, group = "mode", conflicts_with = "json")]
    pub kept0: bool,
    /// Accept that the rules leave out what the previous exclude file kept, and write all of them
    #[arg(long, group = "mode")]
    pub adopt: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with 1 if there was any warning, after writing
    #[arg(long)]
    pub strict: bool,
    /// Write only patterns that match something today, and the rest as comments; restic scans faster [env: IGNORE_LEAN]
    #[arg(long)]
    pub lean: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would print it as the help of every flag in it")]
    pub places: Flags,
}

const EXAMPLES: &str = "\
Examples:
  build-ignore                             write the exclude file
  build-ignore --explain ~/data/wiki/cache show which rule decides
  build-ignore --report                    show what is worth a rule

In Backrest's plan, as a backup flag (with --no-scan from restic 0.15 on, which saves a second look at every path):
  --exclude-file=/userdata/containers/backrest/ignorefile.txt";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
