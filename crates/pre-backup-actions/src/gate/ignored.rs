//! Whether the ignore rules leave a dump out: `build-ignore` knows, so it is asked, once for all dumps of a run,
//! because each time it looks at the whole data root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::cancel::Cancel;
use common::contract::explain::{Explained, PathOutcome};
use common::paths;
use common::process::{self, End, Limits};
use common::services::RULES;
use common::settings::{Flags, Settings};
use common::text::escape;

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RuleAnswer {
    /// It is backed up.
    Kept,
    /// This rule leaves it out.
    LeftOut(String),
    /// It is not known, because of this.
    Unknown(String),
}

/// Asks about `files`, which exist; the answers come in their order.
pub(crate) fn ask(files: &[&Path], settings: &Settings, cancel: &Cancel) -> Vec<RuleAnswer> {
    let roots = [settings.data_root.as_path(), settings.container_root.as_path()];
    // Without a rules file on the way down to it there is nothing to ask.
    let is_asked: Vec<bool> = files.iter().map(|file| has_rules(file, roots)).collect();
    let asked: Vec<&Path> =
        files.iter().zip(&is_asked).filter(|(_, is_asked)| **is_asked).map(|(file, _)| *file).collect();
    if asked.is_empty() {
        return vec![RuleAnswer::Kept; files.len()];
    }
    let answers = match explain(&asked, settings, cancel) {
        Ok(answers) if answers.len() == asked.len() => answers,
        other => {
            let why = other.err().unwrap_or_else(|| "build-ignore did not answer".into());
            vec![RuleAnswer::Unknown(why); asked.len()]
        }
    };
    let mut answers = answers.into_iter();
    let of_file = |is_asked| Some(is_asked).filter(|asked| *asked).and_then(|_| answers.next());
    is_asked.into_iter().map(of_file).map(|answer| answer.unwrap_or(RuleAnswer::Kept)).collect()
}

fn has_rules(file: &Path, roots: [&Path; 2]) -> bool {
    let mut folders =
        file.ancestors().skip(1).take_while(|folder| roots.iter().any(|root| folder.starts_with(root)));
    folders.any(|folder| folder.join(RULES).symlink_metadata().is_ok())
}

fn explain(files: &[&Path], settings: &Settings, cancel: &Cancel) -> Result<Vec<RuleAnswer>, String> {
    let mut command = Command::new(paths::tool("build-ignore"));
    command.args(Flags::of(settings).to_arguments()).args(["--explain", "--json", "--"]).args(files);
    let limits = Limits::within(Duration::from_secs(1800));
    let captured = process::capture(&mut command, b"", limits, Some(cancel))
        .map_err(|error| common::exit::one_line(&error))?;
    // 0 is "one is left out", 1 "none is", or a failure that has no answers.
    if !matches!(captured.end, End::Exited(0 | 1)) || captured.stdout.is_empty() {
        let line = captured.stderr.split(|&byte| byte == b'\n').next().unwrap_or_default();
        return Err(format!("build-ignore: {}: {}", captured.end, escape(line.trim_ascii())));
    }
    let lines = captured.stdout.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    Ok(lines.map(answer).collect())
}

fn answer(line: &[u8]) -> RuleAnswer {
    let Ok(explained) = serde_json::from_slice::<Explained>(line) else {
        return RuleAnswer::Unknown("build-ignore's answer can't be read".into());
    };
    match explained.outcome {
        PathOutcome::Kept { .. } => RuleAnswer::Kept,
        PathOutcome::LeftOut { decided_by: rule, .. } => RuleAnswer::LeftOut(format!(
            "{}:{}: {}",
            escape(rule.file.as_bytes()),
            rule.line,
            escape(rule.rule.as_bytes())
        )),
        PathOutcome::LeftOutByMistake { .. } => {
            RuleAnswer::LeftOut("the exclude file, although no rule does".into())
        }
        PathOutcome::Unknown { why } => RuleAnswer::Unknown(escape(why.as_bytes())),
    }
}

/// The file as a path below its root, for people.
pub(crate) fn below_root(file: &Path, settings: &Settings) -> PathBuf {
    let below =
        file.strip_prefix(&settings.data_root).or_else(|_| file.strip_prefix(&settings.container_root));
    below.unwrap_or(file).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_build_ignore_is_understood() {
        let left_out = r#"{"path":"/d/a.gz","outcome":"left out","decided_by":{"file":"/d/.resticignore","line":3,"rule":"*.gz"},"folder_above":null,"by_path":null}"#;
        assert_eq!(answer(left_out.as_bytes()), RuleAnswer::LeftOut("/d/.resticignore:3: *.gz".into()));
        assert_eq!(
            answer(br#"{"path":"/d/a","outcome":"kept","decided_by":null,"why":null}"#),
            RuleAnswer::Kept
        );
        assert_eq!(
            answer(br#"{"path":"/d/a","outcome":"unknown","why":"gone"}"#),
            RuleAnswer::Unknown("gone".into())
        );
        assert!(matches!(answer(b"left out"), RuleAnswer::Unknown(_)));
    }
}
