//! Puts the hooks into a running Backrest, or takes them out: read, show the difference, ask, write, look again.
//!
//! What a reader gets wrong: Backrest counts its configurations (`modno`) and refuses one that was made from an older
//! one, so a change that somebody else makes meanwhile is never overwritten; and writing it resets the queue of
//! tasks, so nothing is written while one runs.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Result, anyhow, bail};
use common::exit::{Exit, HintExt};
use common::text::{self, escape};

use super::api::{Backrest, Refused, is};
use super::edit::{Direction, edit};
use super::wanted::Wanted;
use crate::cli::HooksArguments;

/// What is to be changed where.
pub(super) struct Request<'a> {
    pub(super) address: &'a str,
    pub(super) plan: &'a str,
    pub(super) arguments: &'a HooksArguments,
    /// Show the difference only.
    pub(super) is_dry: bool,
}

/// Does it. Exit code 1 where the person said no.
pub(super) fn wire(request: &Request<'_>, wanted: &Wanted) -> Result<Exit> {
    let direction = if request.arguments.remove { Direction::TakeOut } else { Direction::PutIn };
    let (backrest, config) = Backrest::open(request.address, &request.arguments.login)?;
    let edited = edit(&config, request.plan, wanted, direction)?;
    for note in &edited.notes {
        common::note!("{}note{}: {note}", text::WARN, text::WARN.render_reset());
    }
    if edited.difference.is_empty() {
        common::out!("Backrest has it so already: nothing was changed.");
        return Ok(Exit::Done);
    }
    show(&edited.difference);
    if request.is_dry {
        common::out!("(nothing was done: --dry-run)");
        return Ok(Exit::Done);
    }
    if !request.arguments.yes && !agreed()? {
        common::out!("Nothing was changed.");
        return Ok(Exit::Failed);
    }
    let running = backrest.running()?;
    if !running.is_empty() {
        return Err(anyhow!("change Backrest's configuration: it is at work: {}", running.join(", ")))
            .hint("a change now would reset its queue; run this again when that is done");
    }
    let result = match backrest.set_config(&edited.config) {
        Ok(result) => result,
        Err(error) if is(&error, Refused::is_conflict) => {
            return Err(error)
                .hint("somebody else has changed it meanwhile; run this again to see it as it is now");
        }
        Err(error) => return Err(error),
    };
    // An older or newer Backrest drops what it does not know without a word.
    let again = edit(&result, request.plan, wanted, direction)?;
    if !again.difference.is_empty() {
        show(&again.difference);
        bail!("change Backrest's configuration: Backrest has taken it, but without the lines above");
    }
    common::out!(
        "Done: plan \"{}\" of {}",
        escape(request.plan.as_bytes()),
        escape(request.address.as_bytes())
    );
    Ok(Exit::Done)
}

fn show(difference: &[String]) {
    for line in difference {
        let style = match line.trim_start().chars().next() {
            Some('+') => text::GOOD,
            Some('-') => text::BAD,
            _ => anstyle::Style::new(),
        };
        common::out!("{style}{line}{style:#}");
    }
}

fn agreed() -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(anyhow!("nobody is there to agree to the change"))
            .hint("look at it, then run this with --yes");
    }
    anstream::eprint!("Change Backrest so? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
