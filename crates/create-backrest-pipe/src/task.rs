//! What a run is asked to do: the command line, checked as a whole and resolved at once. Nothing deeper inside reads it.

use anyhow::Result;

use crate::cli::{Cli, Command, Login, Supervisor};
use crate::hooks::apply::Application;
use crate::hooks::edit::Direction;
use crate::hooks::page::Page;
use crate::hooks::wiring::Choice;
use crate::verify::Request;
use crate::verify::sample::Sample;

pub(crate) enum Task {
    /// Set up what is missing; the supervisor is the one that the person names.
    SetUp(Option<Supervisor>),
    /// Set up a new Backrest.
    Init { is_agreed: bool, supervisor: Option<Supervisor> },
    /// Print the hooks, or change those of a running Backrest.
    Hooks(Choice, Option<Application>),
    /// Check everything; without a page Backrest's configuration is read from the disk.
    Status { page: Option<Page>, json: bool },
    /// Prove the last backup.
    Verify(Box<Request>),
    /// Show the listener's log.
    Log { lines: usize },
    /// Remove what was set up.
    Remove,
}

/// Why an option would have no effect, which a person would take for done.
pub(crate) fn without_effect(cli: &Cli) -> Option<&'static str> {
    match &cli.command {
        Some(Command::Status(_) | Command::Log { .. } | Command::Verify(_)) if cli.dry_run => {
            Some("--dry-run: status, log and verify change nothing")
        }
        None | Some(Command::Init(_)) => None,
        Some(_) => cli.supervisor.map(|_| "--supervisor: only the set-up and init choose one"),
    }
}

impl Task {
    /// Resolves `cli`. Fails if an address can't be used; that of `verify` is part of its result.
    pub(crate) fn resolve(cli: &Cli) -> Result<Task> {
        let page = |address: &str, plan: Option<&String>, login: &Login| {
            Page::new(address, plan.cloned(), login.user.clone(), login.password_file.clone())
        };
        Ok(match &cli.command {
            None => Task::SetUp(cli.supervisor),
            Some(Command::Init(asked)) => {
                Task::Init { is_agreed: asked.yes, supervisor: asked.supervisor.or(cli.supervisor) }
            }
            Some(Command::Hooks(asked)) => {
                let services = match asked.services.as_slice() {
                    [] => None,
                    [all] if all == "*" => Some(Vec::new()),
                    some => Some(some.to_vec()),
                };
                let (tailscale, notify, replaces_old) = (asked.tailscale, asked.notify, asked.replace_old);
                let application = |address: &String| -> Result<Application> {
                    Ok(Application {
                        page: page(address, asked.plan.as_ref(), &asked.login)?,
                        wait: asked.wait,
                        direction: if asked.remove { Direction::TakeOut } else { Direction::PutIn },
                        is_agreed: asked.yes,
                        is_dry: cli.dry_run,
                    })
                };
                let apply = asked.apply.as_ref().map(application).transpose()?;
                Task::Hooks(Choice { tailscale, notify, services, replaces_old }, apply)
            }
            Some(Command::Status(asked)) => {
                let page = asked.backrest.as_ref().map(|address| page(address, None, &asked.login));
                Task::Status { page: page.transpose()?, json: asked.json }
            }
            Some(Command::Verify(asked)) => {
                let seed = asked.seed.unwrap_or_else(|| rand::random_range(0..1_000_000));
                Task::Verify(Box::new(Request {
                    page: page(&asked.backrest, asked.plan.as_ref(), &asked.login),
                    plan: asked.plan.clone(),
                    sample: Sample::new(asked.sample, asked.largest, seed),
                    patience: asked.wait,
                    deadline: asked.deadline,
                    notify: asked.notify,
                    json: asked.json,
                }))
            }
            Some(Command::Log { lines }) => Task::Log { lines: *lines },
            Some(Command::Remove) => Task::Remove,
        })
    }
}
