//! What restic makes of an exclude file: how its lines are read and which paths a pattern matches.
//!
//! Read in restic's `internal/filter` (0.14 to 0.19 agree) and Go's `path/filepath.Match`. Nothing here knows git.

pub mod cost;
pub mod exclude_file;
pub mod glob;
pub mod matcher;
pub mod pattern;
