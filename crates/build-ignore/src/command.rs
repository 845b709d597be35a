//! What `build-ignore` does when it is called: builds both roots, then writes, checks, reports or explains.
//!
//! A root that can't be read does not keep the other one from being built; the exit code tells. Warnings alone do not
//! change it unless `--strict` asks for that, because a backup with too much in it is better than none.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use common::atomic::{self, Change};
use common::exit::{self, Exit, HintExt};
use common::problem::{self, Problem};
use common::settings::Settings;
use common::text::{count, escape_path};
use serde_json::json;

use crate::build::{Built, SeenAt, build};
use crate::cli::Cli;
use crate::tree::Wanted;
use crate::{explain, relative, render, report, stale};

pub(crate) const TOOL: &str = "build-ignore";

/// A root that was built.
#[derive(Debug)]
pub struct Root {
    /// Its name below the mount.
    pub name: &'static str,
    /// Where it lies.
    pub path: PathBuf,
    /// How restic sees it.
    pub seen_at: SeenAt,
    /// What became of it.
    pub built: Built,
}

/// Runs the command line.
pub fn run(cli: &Cli) -> Result<Exit> {
    let output = cli.output.as_deref().filter(|path| *path != Path::new("-"));
    let settings = Settings::load(&cli.places, cli.mount.as_deref(), output)?;
    problem::warn(TOOL, &settings.problems);
    let pool = rayon::ThreadPoolBuilder::new().stack_size(WALK_STACK).build().context("start threads")?;
    pool.install(|| run_with(cli, &settings))
}

/// The walk goes into a folder by calling itself; this carries it deeper than any path that a program can open.
const WALK_STACK: usize = 64 << 20;

fn run_with(cli: &Cli, settings: &Settings) -> Result<Exit> {
    if cli.explain {
        return explain::run(cli, settings);
    }
    let wanted = match (cli.report, cli.relative) {
        (true, _) => Wanted::Sizes,
        (false, true) => Wanted::Names,
        (false, false) => Wanted::Rules,
    };
    let (mut roots, failed) = build_roots(cli, settings, wanted)?;
    let taken_back = if cli.relative { relative::take_back(&mut roots) } else { Vec::new() };
    let mut warnings: Vec<&Problem> = settings.problems.iter().collect();
    warnings.extend(roots.iter().flat_map(|root| &root.built.warnings));
    for root in &roots {
        problem::warn(TOOL, &root.built.warnings);
    }
    let text = text_of(&roots, &taken_back);
    let mut code = if failed || (cli.strict && !warnings.is_empty()) { Exit::Failed } else { Exit::Done };
    if cli.report {
        report::print(&roots, cli.json)?;
    } else if cli.check {
        if stale::show(&settings.ignore_file, &text, cli.json)? {
            code = Exit::Failed;
        }
    } else if cli.output.as_deref() == Some(Path::new("-")) {
        io::stdout().write_all(&text).context("write to standard output")?;
    } else {
        let change = write(settings, &text)?;
        summarise(cli, settings, &roots, change, &warnings)?;
    }
    // The process is about to end: taking a million small pieces apart first would be a tenth of the run.
    std::mem::forget(warnings);
    std::mem::forget(roots);
    Ok(code)
}

/// Builds both roots side by side; gives those that could be read, and whether one could not.
fn build_roots(cli: &Cli, settings: &Settings, wanted: Wanted) -> Result<(Vec<Root>, bool)> {
    let places = [("data", &settings.data_root), ("containers", &settings.container_root)];
    let [data, containers] = places.map(|(name, path)| {
        let seen_at = seen_at(settings, name, cli.relative);
        (name, path, seen_at)
    });
    let one = |(name, path, seen_at): (&'static str, &PathBuf, SeenAt)| -> Result<Root> {
        let built = build(path, &seen_at, wanted, is_lean(cli, settings))?;
        Ok(Root { name, path: path.clone(), seen_at, built })
    };
    let (data, containers) = rayon::join(|| one(data), || one(containers));
    let mut roots = Vec::new();
    let mut errors = Vec::new();
    for result in [data, containers] {
        match result {
            Ok(root) => roots.push(root),
            Err(error) => errors.push(error),
        }
    }
    if roots.is_empty() {
        let second = errors.pop();
        let first = errors.pop().or(second).context("no root")?;
        return Err(first.context("neither root can be read"));
    }
    for error in &errors {
        exit::report(TOOL, error);
    }
    Ok((roots, !errors.is_empty()))
}

/// `--lean`, or `IGNORE_LEAN` in the environment or in Backrest's `.env`: the way to tell the listener.
pub(crate) fn is_lean(cli: &Cli, settings: &Settings) -> bool {
    cli.lean
        || settings
            .other("IGNORE_LEAN")
            .is_some_and(|value| matches!(value.as_str(), "1" | "true" | "yes" | "on"))
}

/// How restic sees the root `name`.
pub fn seen_at(settings: &Settings, name: &str, relative: bool) -> SeenAt {
    let mount = if relative { Path::new("") } else { settings.mount.as_path() };
    let names = mount.iter().filter(|part| *part != "/").map(|part| part.as_encoded_bytes().to_vec());
    SeenAt { names: names.chain([name.as_bytes().to_vec()]).collect(), anchored: !relative }
}

fn text_of(roots: &[Root], taken_back: &[Vec<u8>]) -> Vec<u8> {
    let roots: Vec<render::Root> = roots
        .iter()
        .map(|root| render::Root {
            name: root.name,
            path: &root.path,
            seen_at: &root.seen_at,
            sections: &root.built.sections,
        })
        .collect();
    render::render(&roots, taken_back)
}

fn write(settings: &Settings, text: &[u8]) -> Result<Change> {
    // Somebody who put a symlink there wants the file behind it replaced.
    let path = fs::canonicalize(&settings.ignore_file).unwrap_or_else(|_| settings.ignore_file.clone());
    if path.is_dir() {
        bail!("write the exclude file: {}: a folder of that name is in the way", escape_path(&path));
    }
    if path.parent() == Some(&settings.container_dir) {
        fs::create_dir_all(&settings.container_dir)
            .with_context(|| format!("make Backrest's folder: {}", escape_path(&settings.container_dir)))?;
    }
    atomic::write(&path, text, 0o644)
        .context("the exclude file is as it was before")
        .hint("free some space, or name another file with --output")
}

fn summarise(
    cli: &Cli,
    settings: &Settings,
    roots: &[Root],
    change: Change,
    warnings: &[&Problem],
) -> Result<()> {
    let sections = || roots.iter().flat_map(|root| root.built.sections.values());
    let services = sections().filter(|section| !section.rules.is_empty()).count();
    let rules: usize = sections().map(|section| section.rules.len()).sum();
    let paths: usize = sections().map(|section| section.paths.len()).sum();
    let patterns =
        sections().flat_map(|section| &section.rules).map(|rule| rule.lines.len()).sum::<usize>() + paths;
    let mut stdout = anstream::stdout();
    if cli.json {
        let summary = json!({
            "output": settings.ignore_file.to_string_lossy(),
            "changed": change == Change::Written,
            "services": services,
            "rules": rules,
            "patterns": patterns,
            "by_path": paths,
            "warnings": warnings.iter().map(|problem| report::problem_json(problem)).collect::<Vec<_>>(),
        });
        writeln!(stdout, "{summary}")?;
        return Ok(());
    }
    let what = match change {
        Change::Written => "written",
        Change::Unchanged => "unchanged",
    };
    let by_path = if paths == 0 { String::new() } else { format!(" ({paths} by path)") };
    let warned =
        if warnings.is_empty() { String::new() } else { format!(", {}", count(warnings.len(), "warning")) };
    writeln!(
        stdout,
        "{}: {what}: {} with {}, {}{by_path}{warned}",
        escape_path(&settings.ignore_file),
        count(services, "service"),
        count(rules, "rule"),
        count(patterns, "pattern"),
    )?;
    Ok(())
}
