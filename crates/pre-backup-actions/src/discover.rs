//! Which services have something to run: a look at `prepare-backup.sh` and `after-backup.sh` in every folder below
//! the data root and the container root.
//!
//! A script that exists but can't or must not be run is not passed over: it stays in the list with the reason, and its
//! service fails. A service folder that is a symlink counts like any other, as it always did. What a reader would get
//! wrong: in these folders a stranger may put anything in a script's place, so nothing here waits for a file.

mod look;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use common::problem::Problem;
use common::services::{self, Service};
use common::settings::Settings;
use common::text::escape_path;
use common::trust::Trust;

use crate::declare::Declarations;
use look::{Checks, Look};

pub(crate) use common::services::{AFTER, PREPARE};

/// The data folder of the service `name`, and the one in which its compose.yaml lies or would lie. Backrest's own two may
/// lie elsewhere.
pub(crate) fn folders_of(settings: &Settings, name: &OsStr) -> (PathBuf, PathBuf) {
    let data = settings.data_root.join(name);
    let is_backrest = data == settings.data_dir;
    let root = settings.container_root.join(name);
    (data, if is_backrest { settings.container_dir.clone() } else { root })
}

/// A service with at least one of the two scripts.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) name: OsString,
    pub(crate) data: PathBuf,
    pub(crate) container: PathBuf,
    pub(crate) prepare: Option<Script>,
    pub(crate) after: Option<Script>,
}

impl Candidate {
    /// The service's name, safe to show.
    pub(crate) fn shown_name(&self) -> String {
        escape_path(&self.name)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) path: PathBuf,
    /// The folder that it lies in, which is where it runs and where its dumps belong.
    pub(crate) folder: PathBuf,
    pub(crate) declarations: Declarations,
    /// It has no `#!` line, so /bin/sh runs it.
    pub(crate) by_shell: bool,
    /// Why it can't or must not be run.
    pub(crate) refusal: Option<Refusal>,
}

/// Why a script is not run, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
    /// It is not executable. The Bash scripts passed over that, so its service does not fail.
    pub(crate) is_skipped: bool,
}

/// A service's folder that can't be entered, in which no script is known.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) name: OsString,
    pub(crate) folder: PathBuf,
    pub(crate) why: String,
    pub(crate) hint: String,
}

/// What was found below both roots.
#[derive(Debug)]
pub(crate) struct Found {
    /// Services with a script, sorted by name.
    pub(crate) candidates: Vec<Candidate>,
    /// All services.
    pub(crate) services: usize,
    /// The folders of all, in both roots.
    pub(crate) folders: BTreeSet<PathBuf>,
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) problems: Vec<Problem>,
}

/// Looks at all services. `had_script` holds for those of which an earlier run knows a script.
///
/// Fails if the data root can't be listed.
pub(crate) fn candidates(
    settings: &Settings,
    trust: &Trust,
    had_script: &dyn Fn(&OsStr) -> bool,
) -> Result<Found> {
    let (mut services, mut problems) = services::below(&settings.data_root)?;
    let data_services = services.len();
    let known: BTreeSet<_> = services.iter().map(|service| service.name.clone()).collect();
    // The container root may be missing: it is Backrest's own folder alone that has to be there.
    if let Ok((others, more)) = services::below(&settings.container_root) {
        let is_new =
            |service: &Service| service.folder != settings.container_dir && !known.contains(&service.name);
        services.extend(others.into_iter().filter(is_new));
        // What can't be looked at in the same folder is known already.
        problems.extend(more.into_iter().filter(|_| settings.container_root != settings.data_root));
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<OsString> = services.iter().map(|service| service.name.clone()).collect();
    let folders = names.iter().flat_map(|name| <[PathBuf; 2]>::from(folders_of(settings, name))).collect();
    let (candidates, unreadable) = (Vec::new(), Vec::new());
    let mut found = Found { candidates, services: data_services, folders, unreadable, problems };
    for (name, looked) in names.iter().zip(look_at_all(&names, settings, trust, [PREPARE, AFTER])) {
        found.add(name, settings, looked, had_script);
    }
    Ok(found)
}

/// The after scripts of the services `names`, in their order.
pub(crate) fn after_scripts(settings: &Settings, trust: &Trust, names: &[OsString]) -> Vec<Option<Script>> {
    let looked = look_at_all(names, settings, trust, [AFTER]);
    looked.into_iter().map(|[after]| after.script).collect()
}

/// A file system that does not answer (a dead mount, another user's FUSE) holds up one service, not all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at `scripts` of the services `names`, in a thread that is left behind if a file does not answer.
fn look_at_all<const N: usize>(
    names: &[OsString],
    settings: &Settings,
    trust: &Trust,
    scripts: [&'static str; N],
) -> Vec<[Look; N]> {
    let mut all = Vec::with_capacity(names.len());
    while all.len() < names.len() {
        let looked = Arc::new(Mutex::new(Vec::new()));
        let (shared, own_settings, own_trust) = (Arc::clone(&looked), settings.clone(), trust.clone());
        let rest = names[all.len()..].to_vec();
        // It is closed when the thread ends: a message for each service would cost more than the look.
        let (sender, receiver) = mpsc::channel::<()>();
        let look = move || {
            let _sender = sender;
            let checks = Checks::new(&own_trust);
            for name in rest {
                let folders = folders_of(&own_settings, &name);
                let looks = scripts.map(|script| look::at(script, &folders, &checks));
                lock(&shared).push(looks);
            }
        };
        // At the limit of processes it is done here.
        if thread::Builder::new().spawn(look.clone()).is_err() {
            look();
        } else {
            drop(look);
        }
        let mut seen = 0;
        while receiver.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let now = lock(&looked).len();
            if now == seen {
                break;
            }
            seen = now;
        }
        let answered = std::mem::take(&mut *lock(&looked));
        let has_gone_on = answered.len() > seen;
        all.extend(answered);
        if let Some(name) = names.get(all.len()).filter(|_| !has_gone_on) {
            let folder = folders_of(settings, name).0;
            all.push(scripts.map(|script| match script == scripts[0] {
                true => look::without_an_answer(&folder.join(script), PATIENCE),
                false => Look::default(),
            }));
        }
    }
    all
}

fn lock<T>(looked: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    looked.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Found {
    fn add(
        &mut self,
        name: &OsStr,
        settings: &Settings,
        looked: [Look; 2],
        had_script: &dyn Fn(&OsStr) -> bool,
    ) {
        let (data, container) = folders_of(settings, name);
        let [prepare, after] = looked;
        let closed = prepare.closed.or(after.closed);
        let (prepare, after) = (prepare.script, after.script);
        let mut candidate = Candidate { name: name.to_os_string(), data, container, prepare, after };
        if let Some((folder, why)) = closed {
            let hint = format!(
                "if it has a script: setfacl -m u:{}:rx '{}', or move the script to '{}'",
                nix::unistd::geteuid(),
                escape_path(&folder),
                escape_path(&candidate.container)
            );
            let is_known = candidate.prepare.is_some() || candidate.after.is_some();
            if !is_known && had_script(name) {
                let what = format!("can't be looked at: {why}");
                candidate.prepare = Some(look::refused(&folder.join(PREPARE), what, Some(hint)));
            } else if !is_known {
                let name = name.to_os_string();
                let why = format!("can't be looked into: {why}");
                self.unreadable.push(Unreadable { name, folder, why, hint });
            }
        }
        if candidate.prepare.is_some() || candidate.after.is_some() {
            self.candidates.push(candidate);
        }
    }
}

/// Whether two paths lead to one file, as they do if both roots are the same folder.
fn is_one_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((inode(a), inode(b)), (Ok(a), Ok(b)) if a == b)
}
