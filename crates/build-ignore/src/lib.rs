//! Every service's `.resticignore` as one restic exclude file.
//!
//! discover ([`tree`]) → parse ([`git`]) → compile ([`translate`], [`section`]) → check ([`model`], [`settle`]) → write
//! ([`render`], [`command`]). [`git`] and [`restic`] are models of what these two programs do with a rule and with a
//! pattern; everything else rests on them.

pub mod build;
pub mod cli;
pub mod command;
pub mod decide;
mod explain;
pub mod git;
pub mod index;
pub mod model;
pub mod narrow;
mod relative;
mod render;
mod report;
pub mod restic;
pub mod rules_file;
pub mod section;
pub mod settle;
mod stale;
pub mod translate;
pub mod tree;
