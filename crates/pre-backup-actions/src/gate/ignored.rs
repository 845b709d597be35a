//! Whether the ignore rules leave a dump out: `build-ignore` knows, so it is asked, once for all dumps of a run,
//! because each time it looks at the whole data root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::cancel::Cancel;
use common::contract::explain::{Explained, PathOutcome, Rule};
use common::paths;
use common::process::{self, End, Limits};
use common::services::RULES;
use common::settings::{Flags, Settings};
use common::text::{escape, escape_path};

use super::report::{Report, fault};

/// The rule that leaves a file out, if one does; an error is why it is not known.
type RuleAnswer = Result<Option<String>, String>;

/// What is wrong with the dumps of a run, of each service: a rule leaves one out, or whether one does is not known.
pub(crate) fn left_out(services: &[&[PathBuf]], settings: &Settings, cancel: &Cancel) -> Vec<Report> {
    let roots = [settings.data_root.as_path(), settings.container_root.as_path()];
    let files = services.iter().copied().flatten().map(PathBuf::as_path);
    // Without a rules file on the way down to it there is nothing to ask.
    let asked: Vec<&Path> = files.filter(|file| has_rules(file, roots)).collect();
    let answers = if asked.is_empty() { Ok(Vec::new()) } else { explain(&asked, settings, cancel) };
    let answers = match answers {
        Ok(answers) if answers.len() == asked.len() => answers,
        other => vec![Err(other.err().unwrap_or_else(|| "build-ignore did not answer".into())); asked.len()],
    };
    let answers: BTreeMap<&Path, RuleAnswer> = asked.into_iter().zip(answers).collect();
    let of_service = |files: &&[PathBuf]| {
        let mut report = Report::default();
        for (file, answer) in files.iter().filter_map(|file| Some((file, answers.get(file.as_path())?))) {
            let path = below_root(file, settings);
            match answer {
                Ok(None) => {}
                Ok(Some(rule)) => {
                    let saw = format!("a rule leaves it out: {rule}");
                    let short = "dump is left out by the ignore rules";
                    report.faults.push(fault(short, path, "to be backed up", &saw));
                }
                Err(why) => report.warnings.push(format!(
                    "{}: whether the ignore rules leave it out could not be checked: {why}",
                    escape_path(path)
                )),
            }
        }
        report
    };
    services.iter().map(of_service).collect()
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
    let explained: Explained =
        serde_json::from_slice(line).map_err(|_| "build-ignore's answer can't be read")?;
    match explained.outcome {
        PathOutcome::Kept { .. } => Ok(None),
        PathOutcome::LeftOut { decided_by: Rule { file, line, rule }, .. } => {
            Ok(Some(format!("{}:{line}: {}", escape(file.as_bytes()), escape(rule.as_bytes()))))
        }
        PathOutcome::LeftOutByMistake { .. } => Ok(Some("the exclude file, although no rule does".into())),
        PathOutcome::Unknown { why } => Err(escape(why.as_bytes())),
    }
}

/// The file as a path below its root, for people.
fn below_root<'a>(file: &'a Path, settings: &Settings) -> &'a Path {
    let below =
        file.strip_prefix(&settings.data_root).or_else(|_| file.strip_prefix(&settings.container_root));
    below.unwrap_or(file)
}
