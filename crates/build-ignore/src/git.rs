//! What git makes of a `.resticignore`: how its lines are read and which paths a rule matches.
//!
//! The reference is gitignore(5) and, where that is silent, git's `dir.c` and `wildmatch.c`. Nothing here knows
//! restic. Names and rules are bytes throughout: git does not decode them.

pub mod class;
pub mod glob;
pub mod rule;
mod star;
