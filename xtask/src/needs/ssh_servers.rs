//! The SSH servers for the tests that no Debian package of this release holds: AsyncSSH from PyPI, and the newest
//! OpenSSH in a bare root of Debian trixie.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::out;
use common::process::{self, Limits};

use super::debian_root::debian_root;

/// Puts them below the target folder.
pub(crate) fn ssh_servers(target: &Path, cancel: &Cancel) -> Result<()> {
    let tools = target.join("tools");
    debian_root(&tools, "openssh-trixie", "trixie", &["openssh-client", "openssh-server"], cancel)?;
    let folder = tools.join("asyncssh");
    if !folder.join("asyncssh").exists() {
        out!("Fetching AsyncSSH");
        let mut pip = Command::new("/usr/bin/pip3");
        pip.args(["install", "--quiet", "--root-user-action=ignore", "--target"])
            .arg(&folder)
            .arg("asyncssh");
        let limits = Limits::within(Duration::from_secs(600));
        process::capture(&mut pip, b"", limits, Some(cancel))?.success().context("fetch AsyncSSH")?;
    }
    Ok(())
}
