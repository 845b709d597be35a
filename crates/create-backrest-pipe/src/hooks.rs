//! Backrest's side of the bridge: the hooks and the backup flag, as JSON to paste, or put into a running Backrest.
//!
//! [`wanted`] says which hooks, [`edit`] changes a configuration, both without I/O; [`api`] speaks with Backrest;
//! [`wire`] does it in order: read, show the difference, ask, write, look again.

pub(crate) mod api;
pub(crate) mod edit;
mod password;
mod silent;
pub(crate) mod wanted;
mod wire;

use anyhow::{Context, Result};
use common::exit::Exit;
use common::settings::Settings;

use crate::cli::HooksArguments;
use wanted::Wanted;

/// Prints the hooks, or puts them into a running Backrest, or takes them out again.
pub(crate) fn run(arguments: &HooksArguments, settings: &Settings, is_dry: bool) -> Result<Exit> {
    let wanted = Wanted::of(settings, arguments.tailscale, arguments.notify)?;
    let (Some(address), Some(plan)) = (&arguments.apply, &arguments.plan) else {
        let text = serde_json::to_string_pretty(&wanted.to_json()).context("write the hooks")?;
        common::out!("{text}");
        return Ok(Exit::Done);
    };
    wire::wire(&wire::Request { address, plan, arguments, is_dry }, &wanted)
}
