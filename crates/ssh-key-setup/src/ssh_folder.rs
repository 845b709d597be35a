//! What lies in the folder that the container mounts as `/root/.ssh`.

pub(crate) mod config;
pub(crate) mod folder;
pub(crate) mod key;
pub(crate) mod known_hosts;
pub(crate) mod managed_block;
