//! What a run prints, while it goes on and at its end.
//!
//! Everything here is on standard output, where Backrest's hook shows it. The last line sums up and is short enough
//! for Uptime Kuma. Names and output were escaped before they come here.

mod json;
mod live;
mod plain;
mod summary;
mod table;

pub(crate) use json::{print as print_json, print_outcomes};
pub(crate) use live::Live;
pub(crate) use plain::{Plain, Silent};
pub(crate) use summary::summary;
pub(crate) use table::table;
