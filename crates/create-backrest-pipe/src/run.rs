//! From the command line to the end: settings, one run at a time, then what was asked for.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use common::exit::{Exit, HintExt};
use common::problem;
use common::settings::Settings;
use common::text::escape_path;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::cli::{Cli, Supervisor};
use crate::hooks;
use crate::init;
use crate::inspect;
use crate::log;
use crate::places::{Places, compose_has_bridge};
use crate::remove;
use crate::setup;
use crate::status;
use crate::task::{self, Task};
use crate::verify;
use crate::work::{TOOL, Work};

pub(crate) fn run(cli: &Cli) -> Result<Exit> {
    if let Some(why) = task::without_effect(cli) {
        common::note!("{TOOL}: {why}");
        return Ok(Exit::Usage);
    }
    let (flags, is_dry) = (&cli.flags, cli.dry_run);
    let task = Task::resolve(cli)?;
    if let Task::Init { is_agreed, supervisor } = task {
        return init::run(flags, is_agreed, supervisor, is_dry);
    }
    let settings = Settings::load(flags, None, None)?;
    let places = Places::of(&settings);
    // The doctor reports what is wrong with the settings in its own way.
    if !matches!(task, Task::Status { .. }) {
        problem::warn(TOOL, &settings.problems);
    }
    match task {
        Task::Init { .. } => Ok(Exit::Usage),
        Task::Hooks(choice, application) => hooks::run(choice, application.as_ref(), &settings),
        Task::Status { page, json } => status::run(page.as_ref(), json, flags, &settings, &places),
        Task::Verify(request) => verify::run(*request, &settings),
        Task::Log { lines } => log::run(lines, &settings),
        Task::Remove => {
            let _lock = one_at_a_time(&places)?;
            let facts = inspect::inspect(&places, None)?;
            let mut work = Work::new(is_dry);
            remove::remove(&facts, &places, &mut work)?;
            let next = format!("\n{AFTER_REMOVE}");
            Ok(work.finish("Nothing is in place: nothing was changed.", &next))
        }
        Task::SetUp(asked) => {
            let _lock = one_at_a_time(&places)?;
            let facts = inspect::inspect(&places, asked)?;
            let mut work = Work::new(is_dry);
            setup::set_up(&facts, &places, &settings, asked, &mut work)?;
            work.complaints.extend(status::tools::refused_scripts(&settings));
            let supervisor = asked.or(facts.record.supervisor).unwrap_or(Supervisor::Cron);
            let is_first = facts.bridge.is_missing();
            let next = if is_first { after_set_up(&places, supervisor) } else { String::new() };
            Ok(work.finish("Everything is in place: nothing was changed.", &next))
        }
    }
}

/// What is left to the person once the bridge is there.
fn after_set_up(places: &Places, supervisor: Supervisor) -> String {
    let bridge = escape_path(places.layout.bridge());
    let mount = format!("in Backrest's compose.yaml, below `volumes:`, add  - {bridge}:/bridge");
    let listener = places.listener.iter().map(escape_path).collect::<Vec<_>>().join(" ");
    let mut steps = Vec::new();
    steps.extend((supervisor == Supervisor::None).then(|| format!("start the listener: {listener}")));
    steps.extend((!compose_has_bridge(places)).then_some(mount));
    let container = escape_path(places.layout.container_dir());
    steps.push(format!("make the container again: docker compose up --detach (in {container})"));
    steps.push(
        "give Backrest its hooks: create-backrest-pipe hooks --apply http://localhost:9898 --plan ID".into(),
    );
    steps.push("check everything: create-backrest-pipe status".into());
    let lines = steps.iter().enumerate().map(|(at, step)| format!("\n  {}. {step}", at + 1));
    lines.fold("\nNext:".into(), |text, line| text + &line)
}

const AFTER_REMOVE: &str = "\
Left to you: Backrest's hooks, which stop every backup now that no one answers, and the mount in its compose.yaml.
  create-backrest-pipe hooks --apply URL --plan ID --remove";

/// One set-up at a time. The lock is on the folder above Backrest's, so that it leaves no file behind.
fn one_at_a_time(places: &Places) -> Result<Option<Flock<File>>> {
    let folder = places.layout.container_dir();
    let folder = folder.parent().unwrap_or(folder);
    // A missing folder is refused later, with a hint.
    let Ok(mut file) = File::open(folder) else { return Ok(None) };
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((file, Errno::EWOULDBLOCK)) => file,
            Err((_, error)) => return Err(error).with_context(|| format!("lock: {}", escape_path(folder))),
        };
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(anyhow!("another create-backrest-pipe is running: {}", escape_path(folder)))
        .hint("wait until it is done, then run this again")
}
