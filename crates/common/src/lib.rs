//! What at least two of the tools need, and nothing else: settings, paths, child processes, files, locks, words for
//! the person at the terminal.
//!
//! Nothing here knows a tool. A tool's `main` hands its result to [`exit::finish`], which is the one place where an
//! error becomes lines on standard error and an exit code.

pub mod atomic;
pub mod cancel;
pub mod compose;
pub mod contract;
pub mod databases;
pub mod dump_files;
mod env_file;
pub mod exit;
pub mod layout;
pub mod leftover;
pub mod lock;
pub mod moment;
pub mod output;
pub mod paths;
pub mod private;
pub mod problem;
pub mod proc_stat;
pub mod process;
pub mod progress;
pub mod record_log;
pub mod regular_file;
pub mod roots;
pub mod rotating_log;
pub mod services;
pub mod settings;
pub mod tailscale;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod trust;
pub mod units;
pub mod width;
