//! The command line of `pre-backup-actions`: words are validated here and resolved in `options`. It is also what
//! `pipe-listener` calls:
//!
//! | when | call | exit code |
//! | --- | --- | --- |
//! | message `pre-backups` | `pre-backup-actions --key INSTANCE/PLAN --only SERVICE… --wait TIME` | 0 all prepared, 1 something failed (or another run holds the lock) |
//! | message `post-backups` | `pre-backup-actions --after --key INSTANCE/PLAN` | 0 every after step ran or none was due, 1 one failed and stays in the journal |
//! | at the listener's start, and when the deadline passes | `pre-backup-actions --after --if-due` | likewise; an entry is due when its deadline has passed or the host has booted since |
//! | to know when that will be | `pre-backup-actions --journal --json` | 0; `next_due` is a Unix time in seconds, `null` if the journal is empty, and 0 or long ago if something is due now |
//!
//! The last line on standard output sums the run up in a few words (`5 ok, 1 failed: immich (exit code 1)`), for
//! Uptime Kuma; `--after --if-due` prints nothing if nothing was due.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use common::settings::Flags;

/// Run every service's prepare-backup.sh, and its after-backup.sh when the backup is over
///
/// A service's folder in the data root or in the container root may hold prepare-backup.sh, which runs before a backup
/// (a database is dumped, a service is stopped), and after-backup.sh, which runs once the backup is over, however it
/// ended. What is prepared is written to a journal first, so that after steps are never forgotten. Exits with 1 if
/// anything failed.
#[derive(Debug, Parser)]
#[command(name = "pre-backup-actions", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Run the after steps that the journal lists, the last one first, instead of preparing
    #[arg(long)]
    pub(crate) after: bool,

    /// With --after: run every after-backup.sh, even if the journal does not list it
    #[arg(long, requires = "after", conflicts_with_all = ["if_due", "journal", "history", "list", "prove"])]
    pub(crate) all: bool,

    /// With --after: run only what is overdue or was prepared before the host booted
    #[arg(long, requires = "after", conflicts_with_all = ["journal", "history", "list", "prove"])]
    pub(crate) if_due: bool,

    /// Show the journal: after steps that still have to run, and when they are due
    #[arg(long, conflicts_with_all = ["after", "list", "dry_run"])]
    pub(crate) journal: bool,

    /// Show earlier runs: how long they took, how large the dumps were
    #[arg(long, value_name = "SERVICE", num_args = 0..=1, conflicts_with_all = ["after", "journal", "list", "dry_run"])]
    pub(crate) history: Option<Option<String>>,

    /// Show the services with their scripts; run nothing
    #[arg(long, conflicts_with_all = ["after", "dry_run"])]
    pub(crate) list: bool,

    /// Check files in DIR, read back from a backup, against the dumps that the service of --only declares
    #[arg(long, value_name = "DIR", conflicts_with_all = ["after", "journal", "history", "list", "dry_run"])]
    pub(crate) prove: Option<PathBuf>,

    /// Show what would run, in which order; run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Only these services, by name or glob (can be repeated)
    #[arg(long, value_name = "SERVICE", value_parser = parse_pattern)]
    pub(crate) only: Vec<globset::Glob>,

    /// The backup that this run is for: INSTANCE/PLAN. Its --after undoes nothing that another backup still needs
    #[arg(long, value_name = "INSTANCE/PLAN", value_parser = parse_key, conflicts_with_all = SHOWING)]
    pub(crate) key: Option<String>,

    /// Number of scripts to run at the same time [default: the number of cores, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64), conflicts_with_all = SHOWING)]
    pub(crate) jobs: Option<u16>,

    /// Default time limit per script; after that its whole process group is terminated
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = parse_time, conflicts_with_all = SHOWING)]
    pub(crate) timeout: Duration,

    /// Time after which an after step is due even if no one has reported the end of the backup [env: AFTER_DEADLINE]
    /// [default: 12h]
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with_all = SHOWING)]
    pub(crate) after_deadline: Option<Duration>,

    /// Wait for another run to finish (TIME, or an hour) instead of failing; --after waits 30m without this
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1h", value_parser = parse_time, conflicts_with_all = SHOWING)]
    pub(crate) wait: Option<Duration>,

    /// Accept a dump that has shrunk more than its declaration allows; later dumps are compared with it
    #[arg(long, conflicts_with = "after", conflicts_with_all = SHOWING)]
    pub(crate) accept_shrunk: bool,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What runs nothing, so that options of a run have no effect.
const SHOWING: [&str; 4] = ["journal", "history", "list", "prove"];

const EXAMPLES: &str = "\
Examples:
  pre-backup-actions                          prepare all services
  pre-backup-actions --only immich --only 'db-*'
  pre-backup-actions --after                  run the after steps
  pre-backup-actions --journal                list what is still due

A script runs in its own folder, with SERVICE, DATA_DIR, CONTAINER_DIR, DUMP_DIR and BACKUP_RUN in its environment \
and nothing on standard input.";

/// A glob whose `*` stays within a name.
pub(crate) fn parse_pattern(text: &str) -> Result<globset::Glob, String> {
    if text.is_empty() {
        return Err("a service's name must not be empty".into());
    }
    globset::GlobBuilder::new(text)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| error.kind().to_string())
}

/// The name of a backup, which goes into the journal and into pushes.
fn parse_key(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a key must not be empty; leave the flag out instead".into()),
        _ if text.len() > 200 => Err("a key has at most 200 bytes".into()),
        _ if text.chars().any(char::is_control) => Err("a key has no control characters".into()),
        _ => Ok(text.to_string()),
    }
}

/// `90s`, `30m`, `2h 15m`; more than zero.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let time =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 90s, 30m or 2h"))?;
    if time.is_zero() { Err("it must be greater than zero".into()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_is_sound_and_its_help_teaches() {
        Cli::command().debug_assert();
        insta::assert_snapshot!(Cli::command().term_width(100).render_long_help());
    }

    #[test]
    fn what_can_not_be_is_refused() {
        for wrong in [
            &["--jobs", "0"][..],
            &["--timeout", "0s"],
            &["--timeout", "soon"],
            &["--only", "[a"],
            &["--only", ""],
            &["--all"],
            &["--if-due"],
            &["--after", "--list"],
        ] {
            let words = std::iter::once("pre-backup-actions").chain(wrong.iter().copied());
            assert!(Cli::try_parse_from(words).is_err(), "{wrong:?}");
        }
    }
}
