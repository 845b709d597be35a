//! From the command line to the end: settings, one run at a time, then inspect → plan → apply.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use common::exit::{Exit, HintExt};
use common::problem;
use common::settings::Settings;
use common::text::{self, escape_path};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::apply;
use crate::cli::{Cli, Command};
use crate::hooks;
use crate::inspect;
use crate::log;
use crate::places::Places;
use crate::plan::{Complaint, Plan, Step, remove, setup};
use crate::status;

const TOOL: &str = "create-backrest-pipe";

/// Does what was asked for.
pub(crate) fn run(cli: &Cli) -> Result<Exit> {
    let settings = Settings::load(&cli.flags, None, None)?;
    let places = Places::of(&settings);
    // The doctor says what is wrong with the settings in its own way.
    if !matches!(cli.command, Some(Command::Status(_))) {
        problem::warn(TOOL, &settings.problems);
    }
    match &cli.command {
        Some(Command::Hooks(arguments)) => hooks::run(arguments, &settings, cli.dry_run),
        Some(Command::Status(arguments)) => status::run(arguments, &cli.flags, &settings, &places),
        Some(Command::Log { lines }) => log::run(*lines, &settings),
        Some(Command::Remove) => {
            let _lock = one_at_a_time(&places)?;
            let plan = remove::plan(&inspect::inspect(&places, None)?, &places);
            follow(&plan, &places, cli.dry_run, "Nothing is in place: nothing was changed.", AFTER_REMOVE)
        }
        None => {
            let _lock = one_at_a_time(&places)?;
            match setup::plan(&inspect::inspect(&places, cli.supervisor)?, &places, cli.supervisor) {
                Ok(plan) => {
                    let makes_bridge =
                        |step: &Step| matches!(step, Step::MakeFolder { path, .. } if *path == places.bridge);
                    let next = plan.steps.iter().any(makes_bridge).then(|| after_set_up(&places));
                    let nothing = "Everything is in place: nothing was changed.";
                    follow(&plan, &places, cli.dry_run, nothing, &next.unwrap_or_default())
                }
                Err(complaints) => {
                    complain(&complaints);
                    Ok(Exit::Failed)
                }
            }
        }
    }
}

/// What is left to the person once the bridge is there.
fn after_set_up(places: &Places) -> String {
    format!(
        "Next:
  1. in Backrest's compose.yaml, below `volumes:`, add  - {}:/bridge
  2. make the container again:                          docker compose up --detach
  3. give Backrest its hooks:                           create-backrest-pipe hooks --apply URL --plan ID
  4. see whether all is well:                           create-backrest-pipe status",
        escape_path(&places.bridge)
    )
}

/// What is left to the person once it is gone.
const AFTER_REMOVE: &str = "\
Left to you: Backrest's hooks, which stop every backup now that nobody answers, and the mount in its compose.yaml.
  create-backrest-pipe hooks --apply URL --plan ID --remove";

/// Carries out `plan` and says what could not be done; `nothing` is said where there was nothing to do, and `next`
/// where there was.
fn follow(plan: &Plan, places: &Places, is_dry: bool, nothing: &str, next: &str) -> Result<Exit> {
    match is_dry {
        true => apply::rehearse(&plan.steps),
        false => apply::apply(&plan.steps, places)?,
    }
    complain(&plan.complaints);
    if plan.complaints.iter().any(|complaint| complaint.is_failure) {
        return Ok(Exit::Failed);
    }
    if plan.steps.is_empty() {
        common::out!("{nothing}");
    } else if !is_dry && !next.is_empty() {
        common::out!("\n{next}");
    }
    Ok(Exit::Done)
}

/// One set-up at a time. The lock is on the folder above Backrest's, so that it leaves no file behind.
fn one_at_a_time(places: &Places) -> Result<Option<Flock<File>>> {
    let folder = places.container_dir.parent().unwrap_or(&places.container_dir);
    // A missing folder is refused later, with a hint.
    let Ok(mut file) = File::open(folder) else { return Ok(None) };
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((file, Errno::EWOULDBLOCK)) if Instant::now() < end => file,
            Err((_, error)) => {
                return Err(error)
                    .with_context(|| {
                        format!("another create-backrest-pipe is at work: {}", escape_path(folder))
                    })
                    .hint("wait for its end, then run this again");
            }
        };
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn complain(complaints: &[Complaint]) {
    for Complaint { what, hint, is_failure } in complaints {
        let warning = match is_failure {
            true => String::new(),
            false => format!("{}warning{}: ", text::WARN, text::WARN.render_reset()),
        };
        common::note!("{TOOL}: {warning}{what}\nhint: {hint}");
    }
}
