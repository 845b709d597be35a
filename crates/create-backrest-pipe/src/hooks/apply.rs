//! Puts the hooks into a running Backrest, or takes them out: read, show the difference, ask, write, look again.
//!
//! What a reader gets wrong: Backrest counts its configurations (`modno`) and refuses one that was made from an older
//! one, so a change that another user makes meanwhile is never overwritten; and writing it resets the queue of
//! tasks, so nothing is written while one runs.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bridge::action::BuiltIn;
use common::contract::status::{CheckState, Fix};
use common::exit::{Exit, HintExt};
use common::settings::Settings;
use common::text::{self, escape};

use super::api::{Backrest, Refused, is};
use super::config::quoted;
use super::edit::{Direction, EditedConfig, edit};
use super::finding::{self, Finding};
use super::page::Page;
use super::wiring::Wiring;

pub(crate) struct Application {
    pub(crate) page: Page,
    /// How long a Backrest that is just starting is waited for.
    pub(crate) wait: Duration,
    pub(crate) direction: Direction,
    /// The person need not be asked.
    pub(crate) is_agreed: bool,
    pub(crate) is_dry: bool,
}

/// Applies `wiring`. Exit code 1 if the person does not agree.
pub(super) fn apply(asked: &Application, settings: &Settings, mut wiring: Wiring) -> Result<Exit> {
    let direction = asked.direction;
    let (backrest, config) = Backrest::open(&asked.page, asked.wait)?;
    let plan = &asked.page.plan_in(&config)?;
    let mut edited = edit(&config, plan, &wiring, direction)?;
    edited.findings.extend(finding::shared_monitors(&edited.config, settings));
    report(&edited.findings);
    if direction == Direction::PutIn && !asked.is_dry {
        let sent = elsewhere(&edited.findings, asked.is_agreed)?;
        if !sent.is_empty() {
            wiring.elsewhere = sent;
            edited = edit(&config, plan, &wiring, direction)?;
        }
    }
    if edited.difference.is_empty() {
        common::out!("Backrest has it so already: nothing was changed.");
        return Ok(Exit::Done);
    }
    show(&edited.difference);
    if asked.is_dry {
        common::out!("(nothing was done: --dry-run)");
        return Ok(Exit::Done);
    }
    if !asked.is_agreed && !agreed("Apply these changes?")? {
        common::out!("Nothing was changed.");
        return Ok(Exit::Failed);
    }
    write(&backrest, &edited, plan, &wiring, direction)?;
    common::out!("Done: plan {} of {}", quoted(plan), escape(asked.page.address.as_bytes()));
    Ok(Exit::Done)
}

fn report(findings: &[Finding]) {
    for check in findings.iter().map(|finding| finding.check(None)) {
        let word = if check.state == CheckState::Bad { "warning" } else { "note" };
        common::note!("{}{word}{}: {}", text::WARN, text::WARN.render_reset(), check.what);
        common::exit::hint(check.fix.as_ref().map_or("", Fix::text));
    }
}

/// The messages that hooks which can't be read send already, as the person answers. Fails if no one can be asked.
fn elsewhere(findings: &[Finding], is_unattended: bool) -> Result<Vec<BuiltIn>> {
    let mut sent = Vec::new();
    for finding in findings {
        let Finding::Unclear { hook, asks } = finding else { continue };
        if asks.is_empty() {
            continue;
        }
        let names: Vec<_> = asks.iter().map(|action| action.name()).collect();
        let names = names.join(", ");
        if is_unattended {
            let fix = finding.check(None).fix;
            let fix = fix.as_ref().map_or("", Fix::text);
            return Err(anyhow!("change the hooks: a hook {hook} may send {names} already"))
                .hint(format!("{fix}; or run this without --yes and answer the question"));
        }
        if agreed(&format!("Does the hook {hook} send {names} already?"))? {
            sent.extend(asks);
        }
    }
    Ok(sent)
}

fn write(
    backrest: &Backrest,
    edited: &EditedConfig,
    plan: &str,
    wiring: &Wiring,
    direction: Direction,
) -> Result<()> {
    let running = backrest.running()?;
    if !running.is_empty() {
        return Err(anyhow!("change Backrest's configuration: operations are running: {running}"))
            .hint("a change now would reset its queue; run this again when that is done");
    }
    let result = backrest.set_config(&edited.config);
    if result.as_ref().is_err_and(|error| is(error, Refused::is_conflict)) {
        return result.map(drop).hint("it was changed meanwhile; run this again to see it as it is now");
    }
    // An older or newer Backrest drops what it does not know without a word.
    let again = edit(&result?, plan, wiring, direction)?;
    if !again.difference.is_empty() {
        show(&again.difference);
        bail!("change Backrest's configuration: Backrest accepted it, but without the lines above");
    }
    Ok(())
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

/// Asks at the terminal; no is the default.
pub(crate) fn agreed(question: &str) -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(anyhow!("the input is not a terminal, so no one can answer: {question}"))
            .hint("review the changes, then run this again with --yes");
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).context("ask")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
