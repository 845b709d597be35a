//! `pipe-listener` and `backrest-send` as they are run: real FIFOs, real sockets, real signals.

#![cfg(test)]

mod actions;
mod backups;
mod client;
mod empty_image;
mod fifo;
mod host;
mod hostile;
mod push;
mod quiet;
mod recovery;
mod replaced;
mod setup;
mod siege;
mod soak;
mod tailscale;
mod versions;
