//! What both ends of the bridge share: names, messages, answers, exit codes and the table of actions.
//!
//! It needs nothing but the standard library, because the client is one small static file that runs in an image
//! with nothing else in it.

pub mod action;
pub mod exit_code;
pub mod frame;
pub mod help;
pub mod message;
pub mod request;

/// What a line begins with that names a way out, after the line of an error.
pub const HINT: &str = "hint: ";
/// Where the container has the bridge folder.
pub const MOUNT: &str = "/bridge";
/// The socket's name in the bridge folder.
pub const SOCKET: &str = "backrest.sock";
/// The FIFO's name in the bridge folder.
pub const FIFO: &str = "backrest-pipe";
/// The client's name in the bridge folder.
pub const CLIENT: &str = "backrest-send";
