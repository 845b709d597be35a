//! The JSON that crosses between the tools: one module for each output, used by its writer and by every reader.
//!
//! What a reader gets wrong: these are formats, not conveniences. A field that is renamed here is renamed in what
//! scripts of the users read too.

pub mod coverage;
pub mod explain;
pub mod journal;
pub mod kept;
pub mod picture;
pub mod proof;
pub mod push;
pub mod services;
pub mod status;
pub mod trouble;
pub mod verification;
