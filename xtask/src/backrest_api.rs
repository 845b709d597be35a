//! Servers of tests: the one that behaves as Backrest's API does and runs real restic, which the tests of
//! `create-backrest-pipe` use, read from its very file; and one that takes pushes.

#![expect(dead_code, reason = "the tests use more of it")]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a file of tests")]

#[path = "../../crates/create-backrest-pipe/tests/runner/verify/http.rs"]
mod http;
pub(crate) mod kuma;
#[path = "../../crates/create-backrest-pipe/tests/runner/verify/server.rs"]
pub(crate) mod server;
