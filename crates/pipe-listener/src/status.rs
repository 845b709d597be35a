//! What `status` answers: `key: value` lines, or one JSON object for `status json`.
//!
//! The loop gives what it knows; what has to be asked (tailscale) is asked on a thread of its own, because nobody
//! else may wait for it. The keys are documented in docs/bridge.md; programs read them.

use crate::run::{Runner, tailscale};

/// Keys and values in the order in which they are shown.
pub(crate) type Facts = Vec<(&'static str, String)>;

/// Adds what takes time to find out.
pub(crate) fn complete(runner: &Runner, mut facts: Facts) -> Facts {
    let tailscale = tailscale::describe(runner);
    let installed = !tailscale.starts_with("start: ");
    facts.push(("tailscale", if installed { tailscale } else { "not installed".into() }));
    if installed {
        facts.push(("tailscale-rights", tailscale::rights(runner)));
    }
    facts
}

/// The answer's lines.
pub(crate) fn render(facts: &Facts, json: bool) -> Vec<String> {
    if json {
        let object: serde_json::Map<_, _> =
            facts.iter().map(|(key, value)| (key.to_string(), value.clone().into())).collect();
        return vec![serde_json::Value::Object(object).to_string()];
    }
    facts.iter().map(|(key, value)| format!("{key}: {value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let facts: Facts = vec![("version", "1".into()), ("running", "none".into())];
        assert_eq!(render(&facts, false), ["version: 1", "running: none"]);
        assert_eq!(render(&facts, true), [r#"{"version":"1","running":"none"}"#]);
    }
}
