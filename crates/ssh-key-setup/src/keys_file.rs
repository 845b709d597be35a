//! The server's `authorized_keys`: its text, the way to it over SFTP, and why sshd may not take what is in it.

pub(crate) mod authorized_keys;
pub(crate) mod install;
pub(crate) mod rejection;
