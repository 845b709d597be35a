//! Whether the ignore rules leave a dump out: `build-ignore` knows, so it is asked, once for all dumps of a run,
//! because each time it looks at the whole data root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::cancel::Cancel;
use common::paths;
use common::process::{self, End, Limits};
use common::settings::{Flags, Settings};
use common::text::escape;
use serde_json::Value;

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is backed up.
    Kept,
    /// This rule leaves it out.
    LeftOut(String),
    /// Nobody knows, because of this.
    Unknown(String),
}

/// Asks about `files`, which exist; the answers come in their order.
pub(crate) fn ask(files: &[&Path], settings: &Settings, cancel: &Cancel) -> Vec<Answer> {
    // Without a rules file on the way down to it there is nothing to ask.
    let in_question: Vec<&Path> =
        files.iter().copied().filter(|file| has_rules(file, &settings.data_root)).collect();
    if in_question.is_empty() {
        return files.iter().map(|_| Answer::Kept).collect();
    }
    let answers = explain(&in_question, settings, cancel);
    let mut answers = in_question.iter().zip(match answers {
        Ok(answers) if answers.len() == in_question.len() => answers,
        Ok(_) => in_question.iter().map(|_| Answer::Unknown("build-ignore did not answer".into())).collect(),
        Err(why) => in_question.iter().map(|_| Answer::Unknown(why.clone())).collect(),
    });
    let mut next = answers.next();
    let mut all = Vec::with_capacity(files.len());
    for file in files {
        match next.take() {
            Some((asked, answer)) if asked == file => {
                all.push(answer);
                next = answers.next();
            }
            other => {
                all.push(Answer::Kept);
                next = other;
            }
        }
    }
    all
}

fn has_rules(file: &Path, data_root: &Path) -> bool {
    let mut folders = file.ancestors().skip(1).take_while(|folder| folder.starts_with(data_root));
    folders.any(|folder| folder.join(".resticignore").symlink_metadata().is_ok())
}

fn explain(files: &[&Path], settings: &Settings, cancel: &Cancel) -> Result<Vec<Answer>, String> {
    let mut command = Command::new(paths::tool("build-ignore"));
    command.args(Flags::of(settings).to_arguments()).args(["--explain", "--json", "--"]).args(files);
    let limits = Limits::within(Duration::from_secs(1800));
    let captured = process::capture(&mut command, b"", limits, Some(cancel))
        .map_err(|error| common::exit::one_line(&error))?;
    // 0 is "one is left out", 1 "none is", or a failure that has no answers.
    if !matches!(captured.end, End::Exited(0 | 1)) || captured.stdout.is_empty() {
        let said = captured.stderr.split(|&byte| byte == b'\n').next().unwrap_or_default();
        return Err(format!("build-ignore: {}: {}", captured.end, escape(said.trim_ascii())));
    }
    let lines = captured.stdout.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    Ok(lines.map(answer).collect())
}

fn answer(line: &[u8]) -> Answer {
    let value: Value = serde_json::from_slice(line).unwrap_or_default();
    let text = |value: &Value| escape(value.as_str().unwrap_or("?").as_bytes());
    match value["outcome"].as_str() {
        Some("kept") => Answer::Kept,
        Some("left out") => {
            let rule = &value["decided_by"];
            Answer::LeftOut(format!("{}:{}: {}", text(&rule["file"]), rule["line"], text(&rule["rule"])))
        }
        Some("left out by mistake") => Answer::LeftOut("the exclude file, although no rule does".into()),
        Some("unknown") => Answer::Unknown(text(&value["why"])),
        _ => Answer::Unknown("build-ignore gave an answer that can't be read".into()),
    }
}

/// Where `path` below a service's folder really lies, with the symlinks on the way followed: that is what is backed up,
/// and which rules hold for it.
pub(super) fn real_place(service: &Path, path: &Path) -> PathBuf {
    let named = service.join(path);
    let real = || -> Option<PathBuf> {
        let folder = named.parent()?.canonicalize().ok()?;
        let below = folder.strip_prefix(service.canonicalize().ok()?).ok()?.to_path_buf();
        Some(service.join(below).join(named.file_name()?))
    };
    real().unwrap_or(named)
}

/// The file as a path below the data root, for people.
pub(crate) fn below_root(file: &Path, settings: &Settings) -> PathBuf {
    file.strip_prefix(&settings.data_root).unwrap_or(file).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_build_ignore_is_understood() {
        let left_out = r#"{"path":"/d/a.gz","outcome":"left out","decided_by":{"file":"/d/.resticignore","line":3,"rule":"*.gz"}}"#;
        assert_eq!(answer(left_out.as_bytes()), Answer::LeftOut("/d/.resticignore:3: *.gz".into()));
        assert_eq!(answer(br#"{"outcome":"kept","decided_by":null}"#), Answer::Kept);
        assert_eq!(answer(br#"{"outcome":"unknown","why":"gone"}"#), Answer::Unknown("gone".into()));
        assert!(matches!(answer(b"left out"), Answer::Unknown(_)));
    }
}
