//! An action that the user added: a file in `<CONTAINER_DIR>/actions`.
//!
//! It gets the message's text as its one argument (an empty one where there is none) and knows from its environment
//! where things lie. Its working directory is Backrest's container folder.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use bridge::message::Message;

use super::{Outcome, Report, Runner};

pub(super) fn run(
    runner: &Runner,
    file: &Path,
    message: &Message,
    until: Instant,
    report: Report<'_>,
) -> Outcome {
    let settings = &runner.settings;
    let mut command = Command::new(file);
    command
        .arg(&message.text)
        .current_dir(&settings.container_dir)
        .env("ACTION", &message.name)
        .env("CONTAINER_ROOT", &settings.container_root)
        .env("DATA_ROOT", &settings.data_root)
        .env("CONTAINER_DIR", &settings.container_dir)
        .env("DATA_DIR", &settings.data_dir);
    runner.program(&mut command, until, report)
}
