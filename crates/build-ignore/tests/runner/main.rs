//! `build-ignore` run for real: against git and restic as oracles, and as a person would run it.

#![cfg(test)]

mod bad_input;
mod case;
mod command_line;
mod coverage;
mod documented;
mod explain;
mod fixtures;
mod generate;
mod hostile;
mod hostile_files;
mod kept;
mod layouts;
mod mistakes;
mod models;
mod moving;
mod oracle;
mod output;
mod picture;
mod property;
mod robust;
mod terminal;
mod unreadable;
