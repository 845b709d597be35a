//! What a run is asked to do: the command line and the settings, resolved. Nothing deeper inside reads the command
//! line.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use common::exit::HintExt;
use common::settings::Settings;
use globset::Glob;

use crate::cli::{Cli, parse_time};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Prepare,
    After(AfterSteps),
    /// Show what the journal holds.
    ShowJournal,
    /// Show how earlier runs went, of one service or of all.
    ShowHistory(Option<OsString>),
    /// Show the services with their scripts.
    ShowServices,
    /// Check files that were read back from a backup.
    Prove(PathBuf),
    /// Show what would run before a backup.
    ShowPreparation,
    /// Show which after steps would run.
    ShowAfter(AfterSteps),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterSteps {
    /// Those that the journal holds.
    Open,
    /// Those of them that are overdue.
    Due,
    /// All that exist.
    All,
}

/// Everything about a run that is not a path.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) task: Task,
    /// Services, by name or glob; all if there are none.
    pub(crate) only: Vec<Glob>,
    /// The backup that this run is for, `INSTANCE/PLAN`; empty if it is not known.
    pub(crate) key: String,
    /// Scripts side by side.
    pub(crate) jobs: NonZeroUsize,
    /// The time of a script that does not ask for another.
    pub(crate) timeout: Duration,
    /// From a prepare step to its after step if no one reports that the backup is over.
    pub(crate) after_deadline: Duration,
    /// How long to wait for a run that is under way.
    pub(crate) wait: Duration,
    /// A dump that has shrunk is taken all the same.
    pub(crate) accept_shrunk: bool,
    pub(crate) json: bool,
}

/// How long `--after` waits for a run that is under way, unless `--wait` says otherwise. A preparation that outlived
/// the listener still holds the lock; what it stopped has to be brought back all the same.
const AFTER_WAIT: Duration = Duration::from_secs(1800);

impl Options {
    /// Resolves `cli`. Fails if a setting can't be read.
    pub(crate) fn resolve(cli: &Cli, settings: &Settings) -> Result<Options> {
        let steps = match (cli.all, cli.if_due) {
            (true, _) => AfterSteps::All,
            (_, true) => AfterSteps::Due,
            _ => AfterSteps::Open,
        };
        let task = match (&cli.history, cli.after) {
            _ if cli.journal => Task::ShowJournal,
            (Some(service), _) => Task::ShowHistory(service.clone().map(OsString::from)),
            _ if cli.list => Task::ShowServices,
            _ if cli.prove.is_some() => Task::Prove(cli.prove.clone().unwrap_or_default()),
            (None, true) if cli.dry_run => Task::ShowAfter(steps),
            (None, true) => Task::After(steps),
            _ if cli.dry_run => Task::ShowPreparation,
            _ => Task::Prepare,
        };
        let after_deadline = match (cli.after_deadline, settings.other("AFTER_DEADLINE")) {
            (Some(time), _) => time,
            (None, None) => Duration::from_secs(12 * 3600),
            (None, Some(text)) => parse_time(&text)
                .map_err(|why| anyhow!("AFTER_DEADLINE: {why}"))
                .hint("set it to a time such as 12h, in the environment or in Backrest's .env")?,
        };
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get().min(4);
        let jobs = NonZeroUsize::new(cli.jobs.map_or(cores, usize::from)).unwrap_or(NonZeroUsize::MIN);
        Ok(Options {
            task,
            only: cli.only.clone(),
            key: cli.key.clone().unwrap_or_default(),
            jobs,
            timeout: cli.timeout,
            after_deadline,
            wait: cli.wait.unwrap_or(if cli.after { AFTER_WAIT } else { Duration::ZERO }),
            accept_shrunk: cli.accept_shrunk,
            json: cli.json,
        })
    }

    /// Whether a key belongs to the Backrest that this run is for: the part before its slash is the same. A Backrest
    /// without a name leaves that out.
    pub(crate) fn is_of_this_instance(&self, key: &str) -> bool {
        fn instance(key: &str) -> &str {
            key.split_once('/').map_or("", |(instance, _)| instance)
        }
        self.key.is_empty() || instance(key) == instance(&self.key)
    }
}
