//! Puts the stages together: settings, lock, journal, then what was asked for.
//!
//! In comes the command line, out goes the exit code; everything between is a stage in a module of its own.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use common::cancel::Cancel;
use common::exit::{Exit, HintExt, one_line};
use common::lock::{self, Attempt, Lock};
use common::problem::{self, Problem};
use common::settings::Settings;
use common::text::escape_path;

use crate::cli::{Cli, parse_time};
use crate::discover::{self, Candidate};
use crate::environment::Environment;
use crate::history::History;
use crate::journal::{Entry, Journal, boot_id, unix_now};
use crate::report::{self, Live, Outcome, Plain, Silent, Verdict, Watcher, say};
use crate::run::Runner;
use crate::{after, plan, prepare, show, trend};

pub(crate) const TOOL: &str = "pre-backup-actions";

/// Everything that the command line and the settings decide.
pub(crate) struct Context<'a> {
    pub(crate) cli: &'a Cli,
    pub(crate) settings: Settings,
    pub(crate) after_deadline: Duration,
}

impl Context<'_> {
    /// The folder of the journal.
    pub(crate) fn journal_folder(&self) -> PathBuf {
        self.settings.state_dir().join("actions")
    }

    /// How earlier runs went.
    pub(crate) fn history(&self) -> History {
        History::new(self.settings.state_dir().join("actions/history"))
    }

    /// The services with a script. What could not be looked at is told.
    pub(crate) fn candidates(&self) -> Result<(Vec<Candidate>, usize)> {
        let (candidates, count, problems) = discover::candidates(&self.settings.data_root)?;
        problem::warn(TOOL, &problems);
        Ok((candidates, count))
    }

    /// Scripts side by side.
    pub(crate) fn jobs(&self) -> NonZeroUsize {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get().min(4);
        let asked = self.cli.jobs.map_or(cores, usize::from);
        NonZeroUsize::new(asked).unwrap_or(NonZeroUsize::MIN)
    }
}

/// Does what `cli` asks for.
pub(crate) fn run(cli: &Cli) -> Result<Exit> {
    let settings = Settings::load(&cli.flags, None, None)?;
    problem::warn(TOOL, &settings.problems);
    let after_deadline = match (cli.after_deadline, settings.other("AFTER_DEADLINE")) {
        (Some(time), _) => time,
        (None, None) => Duration::from_secs(12 * 3600),
        (None, Some(text)) => parse_time(&text)
            .map_err(|why| anyhow!("AFTER_DEADLINE: {why}"))
            .hint("set it to a time such as 12h, in the environment or in Backrest's .env")?,
    };
    let context = Context { cli, settings, after_deadline };
    if cli.journal {
        return show::journal(&context);
    }
    if let Some(service) = &cli.history {
        return trend::show(&context, service.as_deref());
    }
    if cli.list {
        return show::list(&context);
    }
    if cli.dry_run {
        return show::plan(&context);
    }
    let _lock = take_lock(&context)?;
    let (journal, problems) = Journal::open(&context.journal_folder())?;
    problem::warn(TOOL, &problems);
    // From here on an interruption ends the scripts, not us.
    let cancel = Cancel::on_signals()?;
    let run_name = format!("{}-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), std::process::id());
    let environment = Environment::new(&context.settings, &run_name);
    let live = Live::new();
    let watcher: &dyn Watcher = match () {
        () if cli.json => &Silent,
        () if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() => &live,
        () => &Plain,
    };
    let runner = Runner {
        environment: &environment,
        watcher,
        cancel: &cancel,
        logs: context.settings.logs_dir().join("actions"),
        timeout: cli.timeout,
    };
    if cli.after { after(&context, journal, &runner) } else { prepare(&context, journal, &runner, &run_name) }
}

/// How long `--after` waits for a run that is under way, unless `--wait` says otherwise.
const AFTER_WAIT: Duration = Duration::from_secs(1800);

fn take_lock(context: &Context) -> Result<Lock> {
    let path = context.settings.state_dir().join("actions/lock");
    // lock::attempt makes the folders as well, but would leave them open to others.
    make_state_folder(context)?;
    // A preparation that outlived the listener still holds the lock; what it stopped has to come back all the same.
    let own_wait = if context.cli.after { AFTER_WAIT } else { Duration::ZERO };
    let wait = context.cli.wait.unwrap_or(own_wait);
    match attempt_for(&path, wait)? {
        Attempt::Held(lock) => Ok(lock),
        Attempt::Busy(holder) => {
            let hint = "wait for it to end, or use --wait";
            Err(anyhow!("another run is under way: {holder}")).hint(hint)
        }
    }
}

/// Asks for the lock until it is ours or `wait` is over.
fn attempt_for(path: &Path, wait: Duration) -> Result<Attempt> {
    let end = Instant::now() + wait;
    loop {
        let attempt = lock::attempt(path)?;
        let left = end.saturating_duration_since(Instant::now());
        if matches!(attempt, Attempt::Held(_)) || left.is_zero() {
            return Ok(attempt);
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}

fn make_state_folder(context: &Context) -> Result<()> {
    use anyhow::Context as _;
    use std::os::unix::fs::DirBuilderExt;
    let folder = context.journal_folder();
    let root = &context.settings.container_root;
    if !context.settings.container_dir.is_dir() && !root.is_dir() {
        return Err(anyhow!(
            "find Backrest's folder: {}: there is no such folder, nor the one above it",
            escape_path(&context.settings.container_dir)
        ))
        .hint("make the container root, or name the right one with --container-root or --container-dir");
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("make the folder of the journal: {}", escape_path(&folder)))
        .hint("it has to belong to the user that runs this; did an earlier run, as root, make it?")
}

/// `--after`.
fn after(context: &Context, mut journal: Journal, runner: &Runner) -> Result<Exit> {
    let cli = context.cli;
    if journal.is_incomplete() {
        assume(context, &mut journal, &[])?;
    } else if cli.all {
        assume(context, &mut journal, &cli.only)?;
    }
    let (now, boot) = (unix_now(), boot_id());
    let names: Vec<_> = journal.entries().iter().map(|entry| entry.service.as_os_str()).collect();
    plan::each_names_something(&cli.only, &names, "is in the journal")?;
    let is_meant = |entry: &&Entry| {
        plan::is_wanted(&entry.service, &cli.only) && (!cli.if_due || entry.is_due(now, &boot))
    };
    let entries: Vec<Entry> = journal.entries().iter().filter(is_meant).cloned().collect();
    journal.keep_only(|entry| !is_meant(&entry) || after::has_something_to_run(entry))?;
    let outcomes = after::run_all(&entries, &mut journal, runner);
    runner.watcher.close(&outcomes);
    if cli.json {
        report::print_outcomes(&outcomes)?;
    } else if !outcomes.is_empty() {
        say(&format!("after the backup: {}", report::summary(&outcomes)));
    } else if !cli.if_due {
        say("after the backup: nothing to do, no prepare step is open");
    }
    Ok(exit_of(&outcomes))
}

/// Puts every service that has an after script, of those that `only` names, into the journal, due at once.
fn assume(context: &Context, journal: &mut Journal, only: &[globset::Glob]) -> Result<()> {
    let (candidates, _) = context.candidates()?;
    let is_meant =
        |candidate: &Candidate| candidate.after.is_some() && plan::is_wanted(&candidate.service.name, only);
    let entry = |candidate: Candidate| Entry {
        service: candidate.service.name,
        folder: candidate.service.folder,
        run: "assumed".into(),
        boot: String::new(),
        session: None,
        begun: unix_now(),
        due: 0,
        has_after: true,
        failures: 0,
        why: None,
    };
    if let Err(error) = journal.settle(candidates.into_iter().filter(is_meant).map(entry).collect()) {
        // The disk is full, say. The after steps run all the same.
        problem::warn(TOOL, &[Problem::new(context.journal_folder(), one_line(&error))]);
    }
    Ok(())
}

/// Without a flag: bring back what an earlier run left, then prepare.
fn prepare(context: &Context, mut journal: Journal, runner: &Runner, run_name: &str) -> Result<Exit> {
    let cli = context.cli;
    let (candidates, services) = context.candidates()?;
    let (steps, problems) = plan::steps(&candidates, &cli.only)?;
    problem::warn(TOOL, &problems);
    if journal.is_incomplete() {
        assume(context, &mut journal, &[])?;
    }
    let old: Vec<Entry> = journal
        .entries()
        .iter()
        .filter(|entry| plan::is_wanted(&entry.service, &cli.only))
        .cloned()
        .collect();
    if !old.is_empty() && !cli.json {
        say("an earlier run was not followed by its after steps; they run first");
    }
    let before = after::run_all(&old, &mut journal, runner);
    runner.watcher.close(&before);
    if !before.is_empty() && !cli.json {
        say(&format!("after the earlier run: {}", report::summary(&before)));
    }
    if cli.only.is_empty() {
        // That of the run before; a run that is killed leaves none.
        keep_trouble(context, &[]);
    }
    if candidates.is_empty() {
        refuse_an_unmounted_root(context)?;
    }
    let mut outcomes = prepare::run_all(&steps, context, &mut journal, runner, run_name);
    runner.watcher.close(&outcomes);
    if let Err(error) = journal.keep_only(after::has_something_to_run) {
        // What is too much in it costs a look, not a service.
        problem::warn(TOOL, &[Problem::new(context.journal_folder(), one_line(&error))]);
    }
    if cli.only.is_empty() {
        keep_trouble(context, &outcomes);
    }
    if cli.json {
        outcomes.extend(before.into_iter().filter(Outcome::is_failure));
        report::print_outcomes(&outcomes)?;
        return Ok(exit_of(&outcomes));
    }
    let still_down: Vec<_> = before.into_iter().filter(Outcome::is_failure).collect();
    say(&closing_line(&outcomes, &still_down, services, &context.settings.data_root));
    outcomes.extend(still_down);
    Ok(exit_of(&outcomes))
}

/// Where services had scripts and not one has any more, the disk is not mounted, and what would be backed up is next to
/// nothing.
fn refuse_an_unmounted_root(context: &Context) -> Result<()> {
    let known = context.history().services().unwrap_or_default().len();
    if known == 0 {
        return Ok(());
    }
    let root = escape_path(&context.settings.data_root);
    let had = common::text::count(known, "service");
    Err(anyhow!("prepare: {root}: no service has a script any more, and {had} had one")).hint(format!(
        "mount the disk that belongs there; if there is nothing to prepare any more, delete '{}'",
        escape_path(context.journal_folder().join("history"))
    ))
}

/// Leaves the summary for the push that tells how the backup ended, where something was wrong. Backrest itself knows of a
/// hook that failed nothing but that it did.
fn keep_trouble(context: &Context, outcomes: &[Outcome]) {
    let path = context.settings.state_dir().join(common::paths::PREPARED_WITH_TROUBLE);
    let is_trouble =
        |outcome: &Outcome| outcome.is_failure() || matches!(outcome.verdict, Verdict::Warned(_));
    let kept = if outcomes.iter().any(is_trouble) {
        common::atomic::write(&path, report::summary(outcomes).as_bytes(), 0o600).map(|_| ())
    } else {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    };
    if let Err(error) = kept {
        problem::warn(TOOL, &[Problem::new(path, one_line(&error))]);
    }
}

fn closing_line(outcomes: &[Outcome], still_down: &[Outcome], services: usize, root: &Path) -> String {
    let mut line = if outcomes.is_empty() {
        format!(
            "nothing to prepare: none of {} below {} has a prepare-backup.sh",
            common::text::count(services, "service"),
            escape_path(root)
        )
    } else {
        report::summary(outcomes)
    };
    if !still_down.is_empty() {
        let names: Vec<_> = still_down.iter().map(Outcome::shown).collect();
        line.push_str(&format!("; after steps of an earlier run failed: {}", names.join(", ")));
    }
    line
}

fn exit_of(outcomes: &[Outcome]) -> Exit {
    if outcomes.iter().any(Outcome::is_failure) { Exit::Failed } else { Exit::Done }
}
