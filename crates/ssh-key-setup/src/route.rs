//! The way to a server: what `ssh -G` makes of HOST, and what of it the container can do as well.

pub(crate) mod algorithms;
pub(crate) mod container;
pub(crate) mod proxy_command;
pub(crate) mod resolve;
pub(crate) mod route_connections;
