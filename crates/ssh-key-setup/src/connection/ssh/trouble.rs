//! More about a failure, asked of the server: what it printed, what it wants after the key, how it gets SFTP.

use super::Connection;
use crate::connection::failure::{Failure, Kind};

impl Connection {
    /// How this server gets SFTP, unless that is sshd's own way.
    pub(super) fn sftp_cure(&self) -> Option<String> {
        let software = self.software()?.to_ascii_lowercase();
        let cure = if software.starts_with("dropbear") {
            "Dropbear has no SFTP of its own: install openssh-sftp-server there (opkg install openssh-sftp-server)"
        } else if software.starts_with("openssh") {
            return None;
        } else {
            "turn SFTP on in that server's own settings"
        };
        Some(cure.to_owned())
    }

    /// The same failure with the text that the server printed in place of SFTP.
    pub(super) fn greeted(&self, failure: Failure) -> Failure {
        let mut command = self.ssh(&["-T", "-s"], &["sftp"]);
        let Ok(ran) = self.capture(&mut command, b"") else { return failure };
        let text = String::from_utf8_lossy(&ran.stdout).into_owned();
        let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) else { return failure };
        let line: String = line.chars().take(200).collect();
        // nologin(8) prints this in place of the program that it was to start.
        let cure = line.contains("account is currently not available").then(|| {
            "the account's shell is nologin, which can't start an sftp-server: put into sshd_config \
             Subsystem sftp internal-sftp, and reload sshd"
                .to_owned()
        });
        Failure {
            message: format!("it prints \"{}\"", common::text::escape(line.as_bytes())),
            cure,
            ..failure
        }
    }

    /// The error of a server that takes the key and wants more; `None` if it does not take it.
    pub(crate) fn second_factor(&self) -> Option<anyhow::Error> {
        let ran = self.capture(&mut self.ssh(&["-v", "-T", "-s"], &["sftp"]), b"").ok()?;
        let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
        let line = stderr.lines().find(|line| line.contains("partial success"))?;
        let wants = stderr.lines().find_map(|line| line.split_once("Permission denied ("));
        let message = match wants {
            Some((_, wants)) => format!("after the key it wants {}", wants.trim_end_matches(").")),
            None => line.split_once("Authenticated").map_or(line, |(_, rest)| rest).trim().to_owned(),
        };
        let message = common::text::escape(message.as_bytes());
        Some(Failure { kind: Kind::SecondFactor, message, cure: None }.about(&self.host, self.login()))
    }
}
