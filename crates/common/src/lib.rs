//! What at least two of the tools need, and nothing else: settings, paths, child processes, files, locks, words for
//! the person at the terminal.
//!
//! Nothing here knows a tool. A tool's `main` hands its result to [`exit::finish`], which is the one place where an
//! error becomes lines on standard error and an exit code.

pub mod atomic;
pub mod cancel;
pub mod contract;
mod env_file;
pub mod exit;
pub mod lock;
pub mod paths;
pub mod problem;
pub mod process;
pub mod services;
pub mod settings;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod units;
