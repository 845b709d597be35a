//! `create-backrest-pipe status --json`: one [`StatusReport`].

use serde::{Deserialize, Serialize};

/// Everything that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Nothing is wrong.
    pub ok: bool,
    /// In the order in which they are shown.
    pub checks: Vec<Check>,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A word for programs.
    pub name: String,
    /// The verdict.
    pub state: CheckState,
    /// What was found, for people.
    pub what: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// All is well.
    Good,
    /// Worth knowing, not wrong.
    Note,
    /// Something is wrong.
    Bad,
    /// It could not be checked.
    Unknown,
}

/// What to do about it. Readers of the JSON see the text alone, as [`Fix::Other`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fix {
    /// Anything but the next.
    Other(String),
    /// Ends in a command of one of these tools, which may need the flags of this run.
    Ours(String),
}

impl Fix {
    /// A command of one of these tools, perhaps with words before it.
    pub fn ours(command: impl Into<String>) -> Fix {
        Fix::Ours(command.into())
    }

    /// Its text.
    pub fn text(&self) -> &str {
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

impl Check {
    /// All is well.
    pub fn good(name: &str, what: impl Into<String>) -> Check {
        Check::note(name, what, None).with(CheckState::Good)
    }

    /// Something is wrong.
    pub fn bad(name: &str, what: impl Into<String>, fix: impl Into<Fix>) -> Check {
        Check::note(name, what, Some(fix.into())).with(CheckState::Bad)
    }

    /// It could not be checked.
    pub fn unknown(name: &str, what: impl Into<String>, fix: impl Into<Fix>) -> Check {
        Check::note(name, what, Some(fix.into())).with(CheckState::Unknown)
    }

    /// It is worth knowing.
    pub fn note(name: &str, what: impl Into<String>, fix: Option<Fix>) -> Check {
        Check { name: name.into(), state: CheckState::Note, what: what.into(), fix }
    }

    fn with(self, state: CheckState) -> Check {
        Check { state, ..self }
    }
}
