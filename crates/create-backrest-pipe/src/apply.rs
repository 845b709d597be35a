//! Does what the plan says, one step after another, and says each. The first step that fails ends the run; what was
//! done is found by the next run, which goes on from there.
//!
//! What a reader gets wrong: the bridge can be written by the container, so names in it are only ever created,
//! renamed over or removed, never opened or followed.

mod files;
mod listener;

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use common::process::{self, Captured, Limits};
use common::text::{self, escape_path};

use crate::inspect::crontab;
use crate::places::Places;
use crate::plan::Step;

/// Does `steps`.
pub(crate) fn apply(steps: &[Step], places: &Places) -> Result<()> {
    for step in steps {
        match carry_out(step, places)? {
            Done::AsPlanned => say(step, ""),
            Done::Started(listener) => say(step, &format!(", {listener}")),
            Done::Kept(inside) => {
                let path = step.path().map(escape_path).unwrap_or_default();
                row("kept", &format!("{path}/, because something else is in it: {inside}"));
            }
        }
    }
    Ok(())
}

/// Prints the steps as what would be done.
pub(crate) fn rehearse(steps: &[Step]) {
    for (verb, object) in steps.iter().filter_map(Step::in_words) {
        row(verb, &object);
    }
    if !steps.is_empty() {
        common::out!("(nothing was done: --dry-run)");
    }
}

/// What became of a step.
enum Done {
    AsPlanned,
    /// The listener that runs now.
    Started(String),
    /// A folder that something else is in; the name of that.
    Kept(String),
}

fn say(step: &Step, note: &str) {
    let Some((verb, object)) = step.in_words() else { return };
    let past = match verb {
        "make" => "made",
        "move" => "moved",
        "stop" => "stopped",
        "set mode" | "crontab" => verb,
        "run" => "ran",
        "write" => "wrote",
        "remove" => "removed",
        // link, install, end, start
        regular => &format!("{regular}ed"),
    };
    row(past, &(object + note));
}

/// Two columns; the second may have several lines.
fn row(verb: &str, object: &str) {
    let object = object.replace('\n', "\n          ");
    common::out!("{}{verb:<9}{} {object}", text::GOOD, text::GOOD.render_reset());
}

fn carry_out(step: &Step, places: &Places) -> Result<Done> {
    match step {
        Step::MakeFolder { path, mode } => files::make_folder(path, *mode)?,
        Step::RemoveEmptyFolder { path } => files::remove_folder(path)?,
        Step::SetMode { path, mode } => files::set_mode(path, *mode)?,
        Step::WriteRecord { path, record } => {
            common::atomic::write(path, record.to_json().as_bytes(), 0o600)?;
        }
        Step::MakeFifo { path } => files::make_fifo(path)?,
        Step::AdoptFifo { from, to } => files::link_over(from, to)?,
        Step::Link { path, target } => files::symlink_over(target, path)?,
        Step::InstallClient { from, to } => files::install_client(from, to)?,
        Step::EndBashListener(found) => listener::end_bash(found)?,
        Step::StopListener { lock, .. } => listener::stop(lock)?,
        Step::StartListener => return listener::start(places).map(Done::Started),
        Step::AwaitListener { lock, before } => listener::wait_for_another(lock, &places.socket, before)?,
        Step::WriteUnit { path, text } => {
            common::atomic::write(path, text.as_bytes(), 0o644)?;
        }
        Step::Systemctl(arguments) => systemctl(arguments)?,
        Step::Crontab { before, after, .. } => crontab::replace(before, after)?,
        Step::PutBackFifo { from, to } | Step::RetireState { from, to } => files::rename(from, to)?,
        Step::RemoveFile { path } => files::remove_file(path)?,
        Step::Remove { path } => files::remove_all(path)?,
        Step::RemoveFolder { path } => {
            if let Some(inside) = files::remove_folder_if_empty(path)? {
                return Ok(Done::Kept(escape_path(inside)));
            }
        }
    }
    Ok(Done::AsPlanned)
}

/// Asks the user's own service manager.
fn systemctl(arguments: &[&str]) -> Result<()> {
    // Stopping waits for the unit's TimeoutStopSec.
    let limits = Limits::within(Duration::from_secs(120));
    let mut command = Command::new("systemctl");
    command.arg("--user").args(arguments);
    process::capture(&mut command, b"", limits, None).and_then(Captured::success)?;
    Ok(())
}
