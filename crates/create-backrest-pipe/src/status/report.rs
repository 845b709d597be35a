//! What a check found, and how it is printed: `✓ what`, or `✗ what` and below it how to fix it.
//!
//! What a reader gets wrong: only a command of these tools gets the flags that were given to `status`, and a check
//! knows by its type, not by its words, whether its fix is one.

use anyhow::Result;
use common::settings::Flags;
use common::text::{self, escape, word};
use common::width;
use serde::Serialize;

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Good,
    /// Worth knowing, not wrong.
    Note,
    Bad,
    /// It could not be checked.
    Unknown,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fix {
    /// Ends in a command of one of these tools.
    Ours(String),
    /// Anything else.
    Other(String),
}

impl Fix {
    pub(super) fn ours(command: impl Into<String>) -> Fix {
        Fix::Ours(command.into())
    }

    fn text(&self) -> &str {
        match self {
            Fix::Ours(text) | Fix::Other(text) => text,
        }
    }
}

impl<T: Into<String>> From<T> for Fix {
    fn from(text: T) -> Fix {
        Fix::Other(text.into())
    }
}

impl Serialize for Fix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// A word for programs.
    pub(super) name: &'static str,
    pub(super) state: State,
    /// What was found, for people.
    pub(super) what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<Fix>,
}

impl Check {
    pub(super) fn good(name: &'static str, what: impl Into<String>) -> Check {
        Check { name, state: State::Good, what: what.into(), fix: None }
    }

    pub(super) fn bad(name: &'static str, what: impl Into<String>, fix: impl Into<Fix>) -> Check {
        Check { name, state: State::Bad, what: what.into(), fix: Some(fix.into()) }
    }

    pub(super) fn unknown(name: &'static str, what: impl Into<String>, fix: impl Into<Fix>) -> Check {
        Check { state: State::Unknown, ..Check::bad(name, what, fix) }
    }

    pub(super) fn note(name: &'static str, what: impl Into<String>, fix: Option<Fix>) -> Check {
        Check { name, state: State::Note, what: what.into(), fix }
    }

    /// The check with `flags` added to the command that fixes it, if that is one of these tools.
    pub(super) fn with_flags(mut self, flags: &Flags) -> Check {
        if let Some(Fix::Ours(command)) = &mut self.fix {
            for argument in flags.to_arguments() {
                command.push(' ');
                command.push_str(&word(&argument));
            }
        }
        self
    }
}

pub(super) fn print(checks: &[Check]) {
    for check in checks {
        let (sign, style) = match check.state {
            State::Good => ("✓", text::GOOD),
            State::Note => ("·", anstyle::Style::new()),
            State::Bad => ("✗", text::BAD),
            State::Unknown => ("?", text::WARN),
        };
        common::out!("{style}{sign}{style:#} {:<10} {}", check.name, folded(&check.what, ""));
        if let Some(fix) = &check.fix {
            common::out!("{MARGIN}→ {}", folded(fix.text(), "  "));
        }
    }
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    let unknown = match count(State::Unknown) {
        0 => String::new(),
        unknown => format!(", {unknown} could not be checked"),
    };
    match count(State::Bad) {
        0 => common::out!("\nNothing is wrong{unknown}."),
        1 => common::out!("\n1 thing is wrong{unknown}."),
        bad => common::out!("\n{bad} things are wrong{unknown}."),
    }
}

/// Where the text of a line starts.
const MARGIN: &str = "             ";

/// `line` for a terminal, where it starts behind the margin.
fn folded(line: &str, indent: &str) -> String {
    let indent = MARGIN.len() + indent.len();
    width::folded(&escape(line.as_bytes()), indent, indent, width::of_terminal(std::io::stdout()))
}

pub(super) fn print_json(checks: &[Check]) -> Result<()> {
    let is_good = checks.iter().all(|check| check.state != State::Bad);
    let mut report = serde_json::json!({ "ok": is_good, "checks": checks });
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
