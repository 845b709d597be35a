//! The server that behaves as Backrest's API does and runs real restic: the one that the tests of `create-backrest-pipe`
//! use, read from its very file.

#![expect(dead_code, reason = "the tests use more of it")]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a file of tests")]

#[path = "../../crates/create-backrest-pipe/tests/runner/verify/http.rs"]
mod http;
#[path = "../../crates/create-backrest-pipe/tests/runner/verify/server.rs"]
pub(crate) mod server;
