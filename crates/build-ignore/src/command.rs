//! What `build-ignore` does when it is called: builds both roots, then writes, checks, reports or explains.
//!
//! A root that can't be read does not keep the other one from being built; the exit code is 1 then. Warnings alone do not
//! change it unless `--strict` asks for that, because a backup with too much in it is better than none.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use common::atomic::{self, Change};
use common::compose;
use common::contract::picture::Picture;
use common::exit::{self, Exit, HintExt};
use common::problem::{self, Problem};
use common::roots::{CONTAINERS, DATA};
use common::settings::Settings;
use common::text::{count, escape_path};
use common::{out, paths, width};
use serde_json::json;

use crate::build::Options;
use crate::cli::{Cli, TOOL};
use crate::dumps::Declared;
use crate::held::Held;
use crate::migrate::Move;
use crate::root::{Root, build_roots};
use crate::task::{self, Format, Mode, Task};
use crate::tree::Detail;
use crate::{coverage, explain, kept, migrate, own_rules, picture, render, report, stale};

/// Runs the command line.
pub fn run(cli: &Cli) -> Result<Exit> {
    if let Err(error) = task::check_flags(cli) {
        exit::report(TOOL, &error);
        return Ok(Exit::Usage);
    }
    let task = Task::new(cli)?;
    problem::warn(TOOL, &task.settings.problems);
    let pool = rayon::ThreadPoolBuilder::new().stack_size(WALK_STACK).build().context("start threads")?;
    pool.install(|| run_task(&task))
}

/// The walk enters a folder by calling itself; this carries it deeper than any path that a program can open.
const WALK_STACK: usize = 64 << 20;

fn run_task(task: &Task) -> Result<Exit> {
    let settings = &task.settings;
    check_roots(settings)?;
    let output = target(&settings.ignore_file);
    let is_write = matches!(task.mode, Mode::Write | Mode::Adopt);
    let is_ours = settings.ignore_file.starts_with(settings.layout().container_dir());
    let old = migrate::read(&output)?;
    let mut before = None;
    let mut own_rules = Vec::new();
    if is_write && is_ours {
        before = Picture::load(&settings.layout().ignore_picture());
        own_rules =
            own_rules::add(settings, before.as_ref().map_or(&[], |before| before.own_rules.as_slice()));
    }
    let (mut held, mut moved) = migrate::plan(task, &output, old.as_deref())?;
    // What the rules say when nothing is held back.
    if matches!(task.mode, Mode::Adopt | Mode::Compare(_)) {
        held = Held::default();
        moved.iter_mut().for_each(|moved| moved.held = Held::default());
    }
    let options = Options { lean: task.lean, held };
    if let Mode::Explain(paths) = &task.mode {
        return explain::run(task, paths, &options);
    }
    let detail = match task.mode {
        Mode::Report | Mode::Coverage | Mode::Compare(_) => Detail::Sizes,
        Mode::Kept => Detail::Names,
        _ => Detail::Rules,
    };
    let (roots, errors) = build_roots(settings, detail, &options)?;
    errors.iter().for_each(|error| exit::report(TOOL, error));
    roots.iter().for_each(|root| problem::warn(TOOL, &root.built.warnings));
    let warnings: Vec<&Problem> =
        settings.problems.iter().chain(roots.iter().flat_map(|root| &root.built.warnings)).collect();
    let mut is_good = errors.is_empty() && (warnings.is_empty() || !task.strict);
    match &task.mode {
        Mode::Explain(_) => {}
        Mode::Kept => kept::print(&roots),
        Mode::Report => report::print(&roots, &coverage::coverage(&roots, settings, &options), task.format)?,
        Mode::Check => is_good &= !stale::show(&settings.ignore_file, &render::render(&roots), task.format)?,
        Mode::Coverage => is_good &= !show_coverage(&roots, settings, &options, task.format)?,
        Mode::Compare(file) => is_good &= migrate::show(&roots, file, task.format)?,
        Mode::Print => common::output::raw(|out| out.write_all(&render::render(&roots))),
        Mode::Write | Mode::Adopt => {
            if let (Mode::Write, Some(moved)) = (&task.mode, &moved) {
                moved.check_all_seen()?;
            }
            let text = render::render(&roots);
            // Before the old file is replaced: if this run is killed after that, the next one can't compare any more.
            let much = match (&before, &old) {
                (Some(before), Some(old)) => picture::compare(before, &roots, old, &text, settings, &options),
                _ => None,
            };
            let kept = moved.as_ref().map(|moved| moved.keep(&output, settings)).transpose()?;
            let change = write(settings, &output, &text)?;
            let mut held = options.held.clone();
            if task.mode == Mode::Adopt {
                held.save(&output, settings)?;
            } else if moved.is_none() {
                migrate::forget_changed(&mut held, &roots, &output, settings)?;
            }
            if is_ours {
                let declared = Declared::new(settings);
                let gaps = coverage::gaps(&roots, &declared, compose::read);
                picture::look_back(&roots, &gaps, &declared, before, much, own_rules);
            }
            summarise(task, &roots, change, &warnings, moved.as_ref())?;
            match (&moved, kept, task.format) {
                (Some(moved), Some(kept), Format::Text) => moved.print(&kept),
                _ => migrate::remind(&held, &output),
            }
        }
    }
    Ok(if is_good { Exit::Done } else { Exit::Failed })
}

/// `--coverage`. Returns whether something is in no backup.
fn show_coverage(roots: &[Root], settings: &Settings, options: &Options, format: Format) -> Result<bool> {
    let coverage = coverage::coverage(roots, settings, options);
    match format {
        Format::Json => out!("{}", serde_json::to_string(&coverage)?),
        Format::Text if coverage.gaps.is_empty() => out!("Nothing is known to be missing from the backup."),
        Format::Text => coverage::print(&coverage.gaps, width::of_terminal(io::stdout())),
    }
    Ok(coverage.gaps.iter().any(|gap| gap.kind.is_fault()))
}

/// Where the exclude file is really written: if a symlink is in its place, the file behind it is replaced.
fn target(ignore_file: &Path) -> PathBuf {
    fs::canonicalize(ignore_file).unwrap_or_else(|_| ignore_file.to_path_buf())
}

fn write(settings: &Settings, path: &Path, text: &[u8]) -> Result<Change> {
    if path.is_dir() {
        bail!("write the exclude file: {}: a folder of that name is in the way", escape_path(path));
    }
    let folder = path.parent().filter(|folder| !folder.is_dir());
    if let Some(folder) = folder.filter(|folder| *folder != settings.container_dir) {
        let folder = escape_path(folder);
        return Err(anyhow!("write the exclude file: {}: there is no folder {folder}", escape_path(path)))
            .hint(format!("mkdir -p {folder}, or name another file with --output"));
    }
    if path.parent() == Some(&settings.container_dir) {
        fs::create_dir_all(&settings.container_dir)
            .with_context(|| format!("make Backrest's folder: {}", escape_path(&settings.container_dir)))?;
    }
    let written = atomic::write(path, text, 0o644);
    let cause = written.as_ref().err().and_then(|error| error.root_cause().downcast_ref::<io::Error>());
    let hint = match cause.map(io::Error::kind) {
        Some(io::ErrorKind::PermissionDenied) => {
            format!("{}, or name another file with --output", exit::own(path))
        }
        Some(io::ErrorKind::ReadOnlyFilesystem) => "name a file on another file system with --output".into(),
        _ => "free some space, or name another file with --output".into(),
    };
    written.context("the exclude file was not changed").hint(hint)
}

/// A root that was named and does not exist is a typing error. Without its rules everything in it would be backed up.
fn check_roots(settings: &Settings) -> Result<()> {
    let home = paths::home()?;
    for (name, path) in [(DATA, &settings.data_root), (CONTAINERS, &settings.container_root)] {
        let is_missing =
            fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if is_missing && *path != home.join(name) {
            return Err(anyhow!("read the root: {}: there is no such folder", escape_path(path)))
                .hint("name the right folder with --data-root, --container-root or in Backrest's .env");
        }
    }
    Ok(())
}

fn summarise(
    task: &Task,
    roots: &[Root],
    change: Change,
    warnings: &[&Problem],
    moved: Option<&Move>,
) -> Result<()> {
    let settings = &task.settings;
    let sections = || roots.iter().flat_map(|root| root.built.sections.values());
    let services = sections().filter(|section| !section.rules.is_empty()).count();
    let rules: usize = sections().map(|section| section.rules.len()).sum();
    let paths: usize = sections().map(|section| section.paths.len()).sum();
    let patterns =
        sections().flat_map(|section| &section.rules).map(|rule| rule.lines.len()).sum::<usize>() + paths;
    if task.format == Format::Json {
        let summary = json!({
            "output": settings.ignore_file.to_string_lossy(),
            "changed": change == Change::Written,
            "services": services,
            "rules": rules,
            "patterns": patterns,
            "by_path": paths,
            "moved": moved.map(|moved| &moved.comparison),
            "warnings": warnings.iter().map(|problem| report::problem_json(problem)).collect::<Vec<_>>(),
        });
        out!("{summary}");
        return Ok(());
    }
    let what = match change {
        Change::Written => "written",
        Change::Unchanged => "unchanged",
    };
    let by_path = if paths == 0 { String::new() } else { format!(" ({paths} by path)") };
    let warned =
        if warnings.is_empty() { String::new() } else { format!(", {}", count(warnings.len(), "warning")) };
    out!(
        "{}: {what}: {} with {}, {}{by_path}{warned}",
        escape_path(&settings.ignore_file),
        count(services, "service"),
        count(rules, "rule"),
        count(patterns, "pattern"),
    );
    Ok(())
}
