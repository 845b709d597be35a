//! `cargo xtask bench`: the tools' speed beside what they replace, in one run on one machine.
//!
//! Absolute times mean little on another machine; what is printed to be compared is the ratio, beside its goal.
//! A goal that is missed fails the command.

mod actions;
mod bridge;
mod hostile;
mod ignore;
mod measure;
mod restic;
mod tree;
mod verify;
mod walk;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::exit::Exit;

use crate::cli::Measure;
use crate::needs;

pub(crate) fn run(what: Measure) -> Result<Exit> {
    let cancel = Cancel::on_signals().context("listen to signals")?;
    needs::ensure(needs::BENCH, &cancel)?;
    needs::ensure(needs::DEMO, &cancel)?;
    let are_met = match what {
        Measure::Actions => actions::run(&cancel),
        Measure::Scripts => actions::run_scripts(&cancel),
        Measure::Bridge => bridge::run(&cancel),
        Measure::Hostile => hostile::run(&cancel),
        Measure::Ignore => ignore::run(&cancel),
        Measure::Restic => restic::run(&cancel),
        Measure::Verify => verify::run(&cancel),
        Measure::Walk => walk::run(&cancel),
    };
    Ok(if are_met? { Exit::Done } else { Exit::Failed })
}
