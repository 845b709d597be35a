//! Backrest's side of the bridge: the hooks and the backup flag, as JSON to paste, or put into a running Backrest.
//!
//! [`reading`] finds out what a hook does, [`wiring`] lists the hooks that are needed, [`edit`] changes a
//! configuration, all without I/O; [`api`] talks to Backrest; [`apply`] does it in order: read, show the difference,
//! ask, write, look again.

pub(crate) mod api;
pub(crate) mod apply;
pub(crate) mod config;
pub(crate) mod edit;
pub(crate) mod finding;
pub(crate) mod page;
mod password;
pub(crate) mod reading;
pub(crate) mod wiring;

use anyhow::{Context, Result};
use common::exit::Exit;
use common::settings::Settings;

use apply::Application;
use wiring::{Choice, Wiring};

/// Prints the hooks, or puts them into a running Backrest, or takes them out again.
pub(crate) fn run(choice: Choice, application: Option<&Application>, settings: &Settings) -> Result<Exit> {
    let wiring = Wiring::of(settings, choice)?;
    if let Some(application) = application {
        return apply::apply(application, settings, wiring);
    }
    let text = serde_json::to_string_pretty(&wiring.to_json()).context("write the hooks")?;
    common::out!("{text}");
    Ok(Exit::Done)
}
