//! What the way to a host runs: only what Backrest's container has is proved.
//!
//! The container's view covers files, not programs; and if a system allows no such view, a second `ssh` would read
//! the user's own files. So what the folder's config resolves to is looked at before anything connects, the user's own
//! lines in it included.

use anyhow::Result;

use super::Connection;
use crate::connection::access::{Access, jump_access};
use crate::route::container;
use crate::route::resolve;

impl Connection {
    /// Fails if the host, or a jump host before it, is reached by a program that the container can't run.
    pub(super) fn check_programs(&self) -> Result<()> {
        let mut access = Access { host: self.destination.clone(), ..Access::default() };
        for _ in 0..=resolve::LONGEST_CHAIN {
            let mut command = self.program("ssh");
            command.arg("-G").args(access.flags()).arg("--").arg(&access.host);
            let asked = self.capture(&mut command, b"")?;
            // What ssh can't read is reported by the proof.
            let values = resolve::parse(&String::from_utf8_lossy(&asked.stdout));
            if let Some(proxy) = resolve::value(&values, "proxycommand") {
                return container::check_proxy("connect", &access.host, proxy);
            }
            // Of a chain, only the first is reached in a way of its own.
            let jumps = resolve::value(&values, "proxyjump").and_then(|jumps| jumps.split(',').next());
            let Some(jump) = jumps else { break };
            access = jump_access(jump.trim())?;
        }
        Ok(())
    }
}
