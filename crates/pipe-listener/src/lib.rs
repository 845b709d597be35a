//! What both ends of the bridge share: the form of a message and of an answer.
//!
//! It needs nothing but the standard library, because the client is one small static file that runs in an image
//! with nothing else in it.

pub mod frame;
pub mod message;

/// The socket's name in the bridge folder.
pub const SOCKET: &str = "backrest.sock";
/// The FIFO's name in the bridge folder.
pub const FIFO: &str = "backrest-pipe";
