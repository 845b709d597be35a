//! Every service's `.resticignore` as one restic exclude file.
//!
//! discover ([`tree`]) → parse ([`git`]) → compile ([`translate`], [`section`]) → check ([`restic::matcher`],
//! [`reconcile`]) → write ([`render`], [`command`]). [`git`] and [`restic`] are models of what these two programs do with a rule and with a
//! pattern; everything else rests on them.

pub mod build;
pub mod cli;
pub mod command;
mod compare;
mod coverage;
pub mod decide;
mod dumps;
mod explain;
pub mod git;
pub mod held;
mod hints;
pub mod index;
mod kept;
pub mod lean;
mod migrate;
mod mistakes;
mod own_rules;
mod picture;
mod progress;
pub mod reconcile;
mod render;
mod report;
pub mod restic;
mod root;
pub mod rules_file;
pub mod section;
mod stale;
mod task;
pub mod translate;
pub mod tree;
