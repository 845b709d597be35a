//! Everything that runs `ssh` and `sftp`: the user's own connections, and those with nothing but the folder.

pub(crate) mod access;
pub(crate) mod container_view;
pub(crate) mod failure;
pub(crate) mod scratch;
pub(crate) mod sftp;
pub(crate) mod ssh;
