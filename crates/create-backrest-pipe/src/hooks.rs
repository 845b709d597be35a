//! Backrest's side of the bridge: the hooks and the backup flag, as JSON to paste, or put into a running Backrest.
//!
//! [`reading`] finds out what a hook does, [`wanted`] lists the hooks that are needed, [`edit`] changes a
//! configuration, all without I/O; [`api`] talks to Backrest; [`wire`] does it in order: read, show the difference,
//! ask, write, look again.

pub(crate) mod api;
pub(crate) mod config;
pub(crate) mod edit;
pub(crate) mod finding;
pub(crate) mod monitors;
mod password;
pub(crate) mod reading;
mod silent;
pub(crate) mod wanted;
pub(crate) mod wire;

use anyhow::{Context, Result};
use common::exit::Exit;
use common::settings::Settings;

use crate::cli::HooksArguments;
use wanted::{Choice, Wanted};

/// Prints the hooks, or puts them into a running Backrest, or takes them out again.
pub(crate) fn run(arguments: &HooksArguments, settings: &Settings, is_dry: bool) -> Result<Exit> {
    let mut wanted =
        Wanted::of(settings, Choice { tailscale: arguments.tailscale, notify: arguments.notify })?;
    wanted.replaces_old = arguments.replace_old;
    wanted.services = match arguments.services.as_slice() {
        [] => None,
        [all] if all == "*" => Some(Vec::new()),
        some => Some(some.to_vec()),
    };
    let Some(address) = &arguments.apply else {
        let text = serde_json::to_string_pretty(&wanted.to_json()).context("write the hooks")?;
        common::out!("{text}");
        return Ok(Exit::Done);
    };
    wire::wire(address, arguments, settings, is_dry, wanted)
}
