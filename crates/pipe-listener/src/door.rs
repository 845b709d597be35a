//! Where messages come in: the bridge folder with its FIFO and its socket.

pub(crate) mod connection;
pub(crate) mod fifo;
pub(crate) mod fifo_keeper;
mod lines;
pub(crate) mod spool;

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    /// The FIFO, which has no answers.
    Fifo,
    Socket,
    /// The listener itself: something became due.
    Timer,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Fifo => "pipe",
            Origin::Socket => "socket",
            Origin::Timer => "timer",
        })
    }
}

/// The connection that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(pub(crate) u64);
