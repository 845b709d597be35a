//! What the tools that we run leave running: the listener's helper, which outlives it for a while on purpose, and
//! whatever a script may have started.
//!
//! While this value lives, a process whose parent has exited becomes our child (PR_SET_CHILD_SUBREAPER); when it is
//! dropped, every child that is left is killed. So drop it after everything that waits for a child.

use anyhow::{Context, Result};
use common::proc_stat;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// Ends what is left behind.
pub(crate) struct Orphans;

impl Orphans {
    /// From now on orphans come to us.
    pub(crate) fn adopt() -> Result<Orphans> {
        prctl::set_child_subreaper(true).context("become the parent of orphans")?;
        Ok(Orphans)
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        // A child that ends may leave children of its own to us; ten generations are more than there are.
        for _ in 0..10 {
            let children = children();
            if children.is_empty() {
                return;
            }
            for child in children {
                // It may have exited on its own; then it only has to be reaped.
                let _ = kill(child, Signal::SIGKILL);
                let _ = waitpid(child, None);
            }
        }
    }
}

/// The processes whose parent we are.
fn children() -> Vec<Pid> {
    let all = proc_stat::all().into_iter();
    all.filter(|(_, process)| process.parent == Pid::this().as_raw())
        .map(|(id, _)| Pid::from_raw(id))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_is_found() {
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let number = i32::try_from(child.id()).unwrap();
        assert!(children().contains(&Pid::from_raw(number)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
