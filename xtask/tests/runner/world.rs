//! A command that runs `xtask` in a sandbox, with the cargo of the machine.
//!
//! The sandbox's environment is empty but for what cargo needs to find itself and what it has built before.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use common::process::{self, Limits};
use common::testing::Sandbox;

/// `xtask` with these arguments and the sandbox's home.
#[track_caller]
pub(crate) fn xtask(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments);
    for name in ["PATH", "CARGO", "CARGO_TARGET_DIR", "RUSTUP_TOOLCHAIN", "SSL_CERT_FILE"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    let home = PathBuf::from(env::var_os("HOME").expect("a home"));
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        command.env(name, env::var_os(name).map_or_else(|| home.join(folder), PathBuf::from));
    }
    command
}

/// What it wrote on standard output; building may take minutes.
#[track_caller]
pub(crate) fn output_of(mut command: Command) -> String {
    let limits = Limits::within(Duration::from_secs(1200));
    let output = process::capture(&mut command, b"", limits, None).expect("xtask runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    output.success().unwrap_or_else(|error| panic!("xtask does what it is asked: {error:#}\n{printed}"));
    printed
}
