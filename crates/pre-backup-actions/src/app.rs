//! Puts the stages together: what only shows something is answered at once; what runs scripts takes the lock and opens
//! the journal first.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use common::cancel::Cancel;
use common::exit::{self, Exit, HintExt};
use common::lock::{self, Attempt, Lock};
use common::problem::Problem;
use common::text::escape_path;
use common::{out, private, problem};

use crate::cli::Cli;
use crate::context::{Context, TOOL};
use crate::journal::Journal;
use crate::options::Task;
use crate::report::{Live, Plain, Silent};
use crate::run::Runner;
use crate::watcher::Watcher;
use crate::{after, environment, prepare, prove, show, trend};

pub(crate) fn run(cli: &Cli) -> Result<Exit> {
    let context = Context::new(cli)?;
    let options = &context.options;
    let after_steps = match &options.task {
        Task::ShowJournal => return show::journal(&context),
        Task::ShowHistory(service) => return trend::show(&context, service.as_deref()),
        Task::ShowServices => return show::list(&context),
        Task::Prove(folder) => return prove::run(&context, folder),
        Task::ShowPreparation => return show::preparation(&context),
        Task::ShowAfter(steps) => return show::after(&context, *steps),
        Task::Prepare => None,
        Task::After(steps) => Some(*steps),
    };
    let _lock = take_lock(&context)?;
    warn_of_foreign_files(&context);
    let (journal, problems) = Journal::open(&context.layout.actions_journal())?;
    problem::warn(TOOL, &problems);
    // From here on an interruption stops the scripts, not us.
    let cancel = Cancel::on_signals()?;
    let run_name = format!("{}-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), std::process::id());
    let live = Live::new();
    let watcher: &dyn Watcher = match () {
        () if options.json => &Silent,
        () if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() => &live,
        () => &Plain,
    };
    let runner = Runner {
        settings: &context.settings,
        environment: environment::of_run(&run_name),
        watcher,
        cancel: &cancel,
        logs: context.layout.script_logs(),
        timeout: options.timeout,
    };
    match after_steps {
        None => prepare::run(&context, journal, &runner, &run_name),
        Some(steps) => after::run(&context, journal, &runner, steps),
    }
}

/// A log, a journal or a history that is another user's is passed over or replaced, so no error of its own leads to the cure.
fn warn_of_foreign_files(context: &Context) {
    if let Some(command) = exit::own_whole(&[context.layout.state(), context.layout.logs()]) {
        let what = "state/ or logs/ holds files of another user, as after a run with sudo";
        problem::warn(TOOL, &[Problem::new(context.layout.container_dir(), what)]);
        exit::hint(&command);
    }
}

fn take_lock(context: &Context) -> Result<Lock> {
    make_state_folder(context)?;
    let path = context.layout.actions_lock();
    let end = Instant::now() + context.options.wait;
    let mut is_reported = false;
    loop {
        let holder = match lock::attempt(&path)? {
            Attempt::Held(lock) => return Ok(lock),
            Attempt::Busy(holder) => holder,
        };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(anyhow!("another run is under way: {holder}"))
                .hint("wait until it is done, or use --wait");
        }
        if !is_reported && !context.options.json {
            out!("another run is under way ({holder}); waiting for it");
            is_reported = true;
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}

fn make_state_folder(context: &Context) -> Result<()> {
    use anyhow::Context as _;
    let (folder, settings) = (context.layout.actions_state(), &context.settings);
    if !settings.container_dir.is_dir() && !settings.container_root.is_dir() {
        return Err(anyhow!(
            "find Backrest's folder: {}: there is no such folder, nor the one above it",
            escape_path(&settings.container_dir)
        ))
        .hint("make the container root, or name the right one with --container-root or --container-dir");
    }
    let Err(error) = private::folder(Path::new(&folder)) else { return Ok(()) };
    Err(error)
        .with_context(|| format!("make the folder of the journal: {}", escape_path(&folder)))
        .hint(format!("it must belong to the user that runs this: {}", exit::own(&folder)))
}
