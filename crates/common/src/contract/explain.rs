//! `build-ignore --explain --json PATH…`: one [`Explained`] in each line, in the order of the paths.

use serde::{Deserialize, Serialize};

/// What happens to one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The path, as it was asked about and made absolute.
    pub path: String,
    /// What happens to it.
    #[serde(flatten)]
    pub outcome: PathOutcome,
}

/// What the rules decide about a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome")]
pub enum PathOutcome {
    /// It is not in the backup.
    #[serde(rename = "left out")]
    LeftOut {
        /// The rule that leaves it out.
        decided_by: Rule,
        /// The folder above it that the rule matches, if it is not the path itself.
        folder_above: Option<String>,
        /// Why the path has a line of its own in the exclude file, if it has one.
        by_path: Option<String>,
    },
    /// It is in the backup.
    #[serde(rename = "kept")]
    Kept {
        /// The last rule that matches it, if one does.
        decided_by: Option<Rule>,
        /// Why it is kept although that rule leaves it out, if it does.
        why: Option<String>,
    },
    /// The exclude file would leave it out although the rules keep it: an error of `build-ignore`.
    #[serde(rename = "left out by mistake")]
    LeftOutByMistake {
        /// The last rule that matches it, if one does.
        decided_by: Option<Rule>,
    },
    /// No rule can decide: the path does not exist, or is not below a root.
    #[serde(rename = "unknown")]
    Unknown {
        /// The reason, for a person.
        why: String,
    },
}

/// A line of a `.resticignore`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The text of the line.
    pub rule: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_documented_one() {
        let rule = Rule { file: "/d/.resticignore".into(), line: 3, rule: "*.gz".into() };
        let outcome =
            PathOutcome::LeftOut { decided_by: rule, folder_above: None, by_path: Some("no pattern".into()) };
        let left_out = Explained { path: "/d/a.gz".into(), outcome };
        let text = serde_json::to_string(&left_out).unwrap();
        assert_eq!(
            text,
            r#"{"path":"/d/a.gz","outcome":"left out","decided_by":{"file":"/d/.resticignore","line":3,"rule":"*.gz"},"folder_above":null,"by_path":"no pattern"}"#
        );
        assert_eq!(serde_json::from_str::<Explained>(&text).unwrap(), left_out);
        let unknown: Explained =
            serde_json::from_str(r#"{"path":"/d","outcome":"unknown","why":"gone"}"#).unwrap();
        assert_eq!(unknown.outcome, PathOutcome::Unknown { why: "gone".into() });
    }
}
