//! How the checks are printed: `✓ what`, or `✗ what` and below it how to fix it.
//!
//! What a reader gets wrong: only a command of these tools gets the flags that were given to `status`, and a check
//! knows by its type, not by its words, whether its fix is one.

use anyhow::Result;
use common::contract::status::{Check, CheckState, Fix, StatusReport};
use common::settings::Flags;
use common::text::{self, escape, word};
use common::width;

/// Adds `flags` to the command that fixes it, if that is one of these tools.
pub(super) fn with_flags(mut check: Check, flags: &Flags) -> Check {
    if let Some(Fix::Ours(command)) = &mut check.fix {
        for argument in flags.to_arguments() {
            command.push(' ');
            command.push_str(&word(&argument));
        }
    }
    check
}

pub(super) fn print(checks: &[Check]) {
    for check in checks {
        let (sign, style) = match check.state {
            CheckState::Good => ("✓", text::GOOD),
            CheckState::Note => ("·", anstyle::Style::new()),
            CheckState::Bad => ("✗", text::BAD),
            CheckState::Unknown => ("?", text::WARN),
        };
        common::out!("{style}{sign}{style:#} {:<10} {}", check.name, folded(&check.what, ""));
        if let Some(fix) = &check.fix {
            common::out!("{MARGIN}→ {}", folded(fix.text(), "  "));
        }
    }
    let count = |state: CheckState| checks.iter().filter(|check| check.state == state).count();
    let unknown = match count(CheckState::Unknown) {
        0 => String::new(),
        unknown => format!(", {unknown} could not be checked"),
    };
    match count(CheckState::Bad) {
        0 => common::out!("\nNothing is wrong{unknown}."),
        1 => common::out!("\n1 thing is wrong{unknown}."),
        bad => common::out!("\n{bad} things are wrong{unknown}."),
    }
}

const MARGIN: &str = "             ";

/// `line` for a terminal, where it starts behind the margin.
fn folded(line: &str, indent: &str) -> String {
    let indent = MARGIN.len() + indent.len();
    width::folded(&escape(line.as_bytes()), indent, indent, width::of_terminal(std::io::stdout()))
}

pub(super) fn print_json(status: &StatusReport) -> Result<()> {
    let mut report = serde_json::to_value(status)?;
    // The name that this field had in version 0.1.
    for check in report["checks"].as_array_mut().into_iter().flatten() {
        if let Some(fix) = check.get("fix").cloned() {
            // tidy: the field's old name, for one version
            check["mend"] = fix;
        }
    }
    common::out!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
