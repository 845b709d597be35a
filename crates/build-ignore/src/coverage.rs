//! What no backup holds, or holds in a form that may not be restored: links, mounts and volumes that lead elsewhere,
//! disks that are missing, live databases without a dump.
//!
//! In come the built roots; out come gaps, each with what to do. Nothing is written.
//!
//! What a reader gets wrong: nothing here opens what a link or a mount leads to. A sleeping disk or a dead server would
//! be waited for. Sizes are measured apart, by a child process with a deadline.

mod databases;
mod measure;
mod mounts;
mod services;

use std::path::Path;

use common::compose;
use common::contract::coverage::{Coverage, Gap, GapKind, HeldBack, Scan};
use common::roots::service_depth;
use common::settings::Settings;
use common::text::{DIM, WARN, escape, escape_path, word};
use common::{out, units, width};

use crate::build::Options;
use crate::decide;
use crate::dumps::Declared;
use crate::restic::cost::Depths;
use crate::root::{Root, build_roots};
use crate::rules_file::Hold;
use crate::section::Section;
use crate::tree::{Detail, Link};

/// How the compose files of a folder are read: quickly by ourselves, or as Docker Compose resolves them.
pub(crate) type ReadProject = fn(&Path) -> compose::Project;

/// Every gap, sorted.
pub(crate) fn gaps(roots: &[Root], declared: &Declared, read: ReadProject) -> Vec<Gap> {
    let settings = declared.settings;
    let mut gaps = mounts::gaps(roots);
    for root in roots {
        gaps.extend(links(root, roots, settings));
        gaps.extend(databases::live_files(root, settings, declared));
    }
    gaps.extend(services::gaps(roots, settings, declared, read));
    gaps.sort();
    gaps.dedup_by(|a, b| a.kind == b.kind && a.path == b.path);
    gaps
}

/// All that `status` shows; the sizes of what is missing are measured.
pub(crate) fn coverage(roots: &[Root], settings: &Settings, options: &Options) -> Coverage {
    let mut gaps = gaps(roots, &Declared::new(settings), compose::resolve);
    measure::sizes(&mut gaps);
    Coverage { gaps, held_back: held_back(roots), scan: scan(roots, settings, options) }
}

/// Microseconds of processor time that restic takes for a path without an exclude file: measured between 23 and 40.
const BARE: f64 = 30.0;

/// What the patterns cost restic, and what they would cost with `--lean`.
fn scan(roots: &[Root], settings: &Settings, options: &Options) -> Option<Scan> {
    let lean = Options { lean: true, held: options.held.clone() };
    let (lean, _) = build_roots(settings, Detail::Rules, &lean).ok()?;
    let depths = roots.iter().fold(Depths::default(), |depths, root| {
        depths.with(&Depths::new(&root.built.tree.depths, root.seen_at.names.len() + 1))
    });
    let seconds = |roots: &[Root]| -> f64 {
        let lines = roots.iter().flat_map(|root| root.built.sections.values()).flat_map(Section::lines);
        lines.map(|line| depths.cost_of_line(line)).sum::<f64>() / 1e9
    };
    Some(Scan {
        paths: depths.paths(),
        bare: depths.paths() as f64 * BARE / 1e6,
        patterns: seconds(roots),
        lean: seconds(&lean),
    })
}

fn held_back(roots: &[Root]) -> Vec<HeldBack> {
    let mut held = Vec::new();
    for root in roots {
        for file in &root.built.tree.files {
            for (number, rule) in file.rules.list.iter().enumerate() {
                let Some(hold) = file.rules.hold_of(number) else { continue };
                held.push(HeldBack {
                    service: root.place.service(&file.folder),
                    file: file.path.to_string_lossy().into_owned(),
                    line: rule.line,
                    rule: rule.excerpt().into_owned(),
                    instead: (hold == Hold::Anchored).then(|| format!("/{}", rule.excerpt())),
                });
            }
        }
    }
    held
}

/// The symlinks of a root that lead out of all roots: a service each, and those inside services by their service.
fn links(root: &Root, roots: &[Root], settings: &Settings) -> Vec<Gap> {
    let is_out =
        |link: &&Link| !roots.iter().any(|root| root.holds(&link.target)) && !is_of_system(&link.target);
    let mut gaps: Vec<Gap> = Vec::new();
    for link in root.built.tree.links.iter().filter(is_out) {
        let service = root.place.service(&link.names);
        let is_service = root.is_service(&link.names);
        let kind = if is_service { GapKind::LinkedService } else { GapKind::LinkOut };
        // One line a service: a tree of links is a flood.
        let known =
            gaps.iter_mut().find(|gap| kind == GapKind::LinkOut && gap.service.as_ref() == Some(&service));
        if let Some(known) = known {
            known.more += 1;
            continue;
        }
        let what = match is_service {
            true => "a symlink: the backup has the link, not its target, and rules there are not read",
            false => "a symlink out of the backup: its target is in no backup",
        };
        let path = decide::host_path(&root.place.path, &link.names);
        let hint = Some(mount_line(&link.target, settings));
        gaps.push(Gap {
            leads_to: Some(link.target.to_string_lossy().into_owned()),
            ..gap(kind, Some(service), &path, what, hint)
        });
    }
    gaps
}

/// The line that brings a folder of the host into the backup.
fn mount_line(path: &Path, settings: &Settings) -> String {
    let name = path.file_name().unwrap_or_default();
    let inside = settings.mount.join("more").join(name);
    format!(
        "in Backrest's compose.yaml mount {0}:{1}:ro and add {1} to the plan, or move it below {2}",
        escape_path(path),
        escape_path(&inside),
        escape_path(&settings.data_root)
    )
}

/// Whether a path of the host belongs to the system, and not to a service's data.
fn is_of_system(path: &Path) -> bool {
    const FOLDERS: &[&str] = &[
        "/bin",
        "/boot",
        "/dev",
        "/etc/alternatives",
        "/etc/ca-certificates",
        "/etc/group",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/localtime",
        "/etc/machine-id",
        "/etc/mtab",
        "/etc/os-release",
        "/etc/passwd",
        "/etc/pki",
        "/etc/resolv.conf",
        "/etc/ssl",
        "/etc/timezone",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/proc",
        "/run",
        "/sbin",
        "/sys",
        "/usr",
        "/var/lib/docker",
        "/var/log",
        "/var/run",
    ];
    // What an administrator put there is data, and so is a volume.
    let is_data = path.starts_with("/usr/local")
        || path.strip_prefix("/var/lib/docker/volumes").is_ok_and(|volume| volume != Path::new(""));
    path == Path::new("/")
        || path == Path::new("/etc")
        || path == Path::new("/tmp")
        || FOLDERS.iter().any(|folder| path.starts_with(folder)) && !is_data
}

/// Whose gap it is, if the path does not show it.
pub(crate) fn owner(gap: &Gap) -> String {
    match &gap.service {
        Some(service) if matches!(gap.kind, GapKind::BindMount | GapKind::NamedVolume) => {
            format!(" of {service}")
        }
        _ => String::new(),
    }
}

/// Prints the gaps, most serious first, folded to the width of the terminal.
pub(crate) fn print(gaps: &[Gap], columns: Option<usize>) {
    for gap in gaps {
        let leads_to =
            gap.leads_to.as_ref().map_or(String::new(), |to| format!(" -> {}", escape(to.as_bytes())));
        let size = match gap.bytes {
            Some(bytes) => format!(" ({})", units::bytes(bytes)),
            None if gap.kind.is_measured() => " (not measured)".to_string(),
            None => String::new(),
        };
        let more = if gap.more > 0 { format!(", and {} more like it", gap.more) } else { String::new() };
        let path = escape(gap.path.as_bytes());
        let text = format!("{}{leads_to}{size}: {}{more}", owner(gap), gap.what);
        // A path is never broken, not even at a blank.
        let text = width::folded(&text, width::of(&path), 4, columns);
        out!("{WARN}{path}{WARN:#}{text}");
        if let Some(hint) = &gap.hint {
            out!("    {DIM}{}{DIM:#}", width::folded(&escape(hint.as_bytes()), 4, 4, columns));
        }
    }
}

impl Root {
    /// Whether `names` lead to the folder of a service.
    pub(crate) fn is_service(&self, names: &[Vec<u8>]) -> bool {
        !names.is_empty() && service_depth(&self.place.inner, names) == names.len()
    }

    /// Whether a path of the host lies in this root, or is it.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        path.starts_with(&self.place.path) || path.starts_with(&self.real_path)
    }

    /// The names that lead to a path of the host from this root.
    pub(crate) fn names_of(&self, path: &Path) -> Option<Vec<Vec<u8>>> {
        let below =
            path.strip_prefix(&self.place.path).or_else(|_| path.strip_prefix(&self.real_path)).ok()?;
        Some(below.iter().map(|name| name.as_encoded_bytes().to_vec()).collect())
    }

    /// Whether a rule leaves out the folder `path` of the host.
    pub(crate) fn leaves_out_folder(&self, path: &Path) -> bool {
        self.names_of(path).is_some_and(|names| {
            decide::decide(&self.built.tree.files, &names, true)
                .is_some_and(|decision| !decision.rule().negated)
        })
    }
}

/// The command that adds to a service what it lacks, with its name as a word of a shell.
fn adopt(service: &str) -> String {
    format!("new-container {} --adopt", word(service))
}

/// A gap that leads nowhere.
fn gap(
    kind: GapKind,
    service: Option<String>,
    path: &Path,
    what: impl Into<String>,
    hint: Option<String>,
) -> Gap {
    let path = path.to_string_lossy().into_owned();
    Gap { kind, service, path, leads_to: None, what: what.into(), hint, more: 0, bytes: None }
}
