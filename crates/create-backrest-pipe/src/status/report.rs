//! What a check found, and how it is printed: `✓ what`, or `✗ what` and below it the command that mends it.

use anyhow::Result;
use common::settings::Flags;
use common::text::{self, escape};
use serde::Serialize;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Good,
    Bad,
    /// It can't be told from here.
    Unknown,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// A word for programs.
    pub(super) name: &'static str,
    pub(super) state: State,
    /// What was found, for people.
    pub(super) what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

impl Check {
    pub(super) fn good(name: &'static str, what: impl Into<String>) -> Check {
        Check { name, state: State::Good, what: what.into(), mend: None }
    }

    pub(super) fn bad(name: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Check {
        Check { name, state: State::Bad, what: what.into(), mend: Some(mend.into()) }
    }

    pub(super) fn unknown(name: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Check {
        Check { state: State::Unknown, ..Check::bad(name, what, mend) }
    }

    /// The check with `flags` added to the command that it proposes, where that is one of ours.
    pub(super) fn with_flags(mut self, flags: &Flags) -> Check {
        let is_ours = |mend: &String| {
            mend.split(' ').any(|word| ["create-backrest-pipe", "build-ignore"].contains(&word))
        };
        if let Some(mend) = self.mend.as_mut().filter(|mend| is_ours(mend)) {
            for word in flags.to_arguments() {
                let word = word.to_string_lossy().into_owned();
                mend.push(' ');
                mend.push_str(&shlex::try_quote(&word).map_or(word.clone(), |quoted| quoted.into_owned()));
            }
        }
        self
    }
}

pub(super) fn print(checks: &[Check]) {
    for check in checks {
        let (sign, style) = match check.state {
            State::Good => ("✓", text::GOOD),
            State::Bad => ("✗", text::BAD),
            State::Unknown => ("?", text::WARN),
        };
        anstream::println!("{style}{sign}{style:#} {:<10} {}", check.name, escape(check.what.as_bytes()));
        if let Some(mend) = &check.mend {
            anstream::println!("{:13}→ {}", "", escape(mend.as_bytes()));
        }
    }
    let bad = checks.iter().filter(|check| check.state == State::Bad).count();
    let unknown = checks.iter().filter(|check| check.state == State::Unknown).count();
    let unknown = match unknown {
        0 => String::new(),
        _ => format!(", {unknown} could not be looked at"),
    };
    match bad {
        0 => anstream::println!("\nNothing is wrong{unknown}."),
        _ => anstream::println!(
            "\n{} wrong{unknown}.",
            text::count(bad, "thing") + if bad == 1 { " is" } else { " are" }
        ),
    }
}

pub(super) fn print_json(checks: &[Check]) -> Result<()> {
    let is_good = checks.iter().all(|check| check.state != State::Bad);
    let report = serde_json::json!({ "ok": is_good, "checks": checks });
    anstream::println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
