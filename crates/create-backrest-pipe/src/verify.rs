//! `verify`: proves the last backup through Backrest's own API: what it lists, what it holds of the dumps, and a sample
//! of its files, compared with this host.
//!
//! Nothing here needs restic, a password of a repository, or root, and nothing is written but a temporary folder and,
//! at the end, the result for `status`. The work is done in a thread of its own, so that Ctrl-C and the deadline act at
//! once although the work may wait for Backrest: whatever is on its way then is dropped, and Backrest keeps no state.

mod compare;
mod dumps;
mod entry;
mod excludes;
mod expected;
mod findings;
mod host;
mod listing;
mod remote;
mod report;
pub(crate) mod sample;
mod streams;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use common::atomic;
use common::cancel::Cancel;
use common::contract::verification::{Fault, FaultKind, Outcome, SnapshotInfo, Verification};
use common::exit::{Exit, HintExt};
use common::leftover::{self, Scratch};
use common::moment::unix_now;
use common::private;
use common::settings::Settings;
use common::text::{escape, escape_path};
use common::units;
use jiff::Timestamp;

use crate::hooks::config::list;
use crate::hooks::page::Page;
use compare::Comparison;
use dumps::Declared;
use excludes::excludes_of;
use expected::{Expected, is_below};
use host::Host;
use listing::{FITTING, Lister};
use remote::Remote;
use sample::{Restore, Sample};

pub(crate) use report::summary;

const SCRATCH: &str = "backrest-verify";

/// How many paths of the snapshot were compared, and how many bytes were read back: for the person at the terminal.
static COMPARED: AtomicU64 = AtomicU64::new(0);
static READ: AtomicU64 = AtomicU64::new(0);

/// A moment, in seconds since 1970, for a person.
fn local_time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or("?".into(), units::local)
}

/// An error of this host in the middle of a download. It has no cause that [`remote`] could take for a connection that
/// failed: repeating the download does not help.
fn local(error: io::Error) -> anyhow::Error {
    anyhow::Error::msg(error)
}

pub(crate) struct Request {
    /// An address that can't be used is a failed verification: kept and pushed as every other.
    pub(crate) page: Result<Page>,
    /// The plan that was named.
    pub(crate) plan: Option<String>,
    pub(crate) sample: Sample,
    /// How long a busy Backrest is waited for.
    pub(crate) patience: Duration,
    pub(crate) deadline: Duration,
    pub(crate) notify: bool,
    pub(crate) json: bool,
}

/// Verifies the last backup. Exit code 1 if anything is not explained.
pub(crate) fn run(request: Request, settings: &Settings) -> Result<Exit> {
    let cancel = Cancel::on_signals().context("watch for signals")?;
    let temporary = std::env::temp_dir();
    leftover::clear(&temporary, SCRATCH);
    let scratch = Scratch::new(&temporary, OsStr::new(SCRATCH))
        .with_context(|| format!("make a temporary folder: {}", escape_path(&temporary)))
        .hint("name a folder with room for the largest dump in TMPDIR")?;
    let started = Instant::now();
    let Request { page, plan, sample, patience, deadline, notify, json } = request;
    let seed = sample.seed;
    let (sender, receiver) = mpsc::channel();
    let (own_settings, flag) = (settings.clone(), cancel.clone());
    let folder = scratch.path().to_path_buf();
    std::thread::Builder::new()
        .name("verify".into())
        // No one waits any more after Ctrl-C.
        .spawn(move || {
            let worked = page
                .and_then(|page| Remote::open(page, patience))
                .and_then(|remote| work(remote, sample, &own_settings, &folder, &flag));
            drop(sender.send(worked));
        })
        .context("start a thread")?;
    let progress = || {
        let (compared, read) = (COMPARED.load(Ordering::Relaxed), READ.load(Ordering::Relaxed));
        format!("{compared} paths compared, {} read back", units::bytes(read))
    };
    let worked = common::progress::during(progress, || wait(&receiver, &cancel, started + deadline));
    let Some(worked) = worked else { return Ok(Exit::Interrupted) };
    drop(scratch);
    let (mut verification, error) = match worked {
        Ok(verification) => (verification, None),
        Err(error) => {
            let at = unix_now();
            let why = Some(common::exit::one_line(&error));
            (Verification { plan, at, error: why, seed, ..Verification::default() }, Some(error))
        }
    };
    verification.seconds = started.elapsed().as_secs();
    save(&verification, settings)?;
    if json {
        common::out!("{}", serde_json::to_string(&verification)?);
    } else if error.is_none() {
        report::print(&verification);
    }
    let sent = if notify { report::notify(&verification, settings) } else { Ok(()) };
    match (error, verification.outcome) {
        (Some(error), _) => {
            if let Err(unsent) = sent {
                common::exit::report("create-backrest-pipe", &unsent);
            }
            Err(error)
        }
        (None, Outcome::Proved) => sent.map(|()| Exit::Done),
        (None, _) => sent.map(|()| Exit::Failed),
    }
}

fn wait(
    receiver: &mpsc::Receiver<Result<Verification>>,
    cancel: &Cancel,
    deadline: Instant,
) -> Option<Result<Verification>> {
    loop {
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(worked) => return (!cancel.is_cancelled()).then_some(worked),
            Err(RecvTimeoutError::Disconnected) => return Some(Err(anyhow!("verify: the work broke off"))),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let is_over = Instant::now() >= deadline;
        if !cancel.is_cancelled() && !is_over {
            continue;
        }
        cancel.cancel();
        // A child that runs is stopped by the flag; that takes a moment.
        let _ = receiver.recv_timeout(Duration::from_secs(3));
        let late = || Err(anyhow!("verify: timed out")).hint("allow more with --deadline TIME");
        return is_over.then(late);
    }
}

fn save(verification: &Verification, settings: &Settings) -> Result<()> {
    let path = settings.layout().verification();
    let folder = path.parent().unwrap_or(Path::new("/"));
    // Not the first thing in a home in which nothing was set up.
    if !settings.container_dir.is_dir() {
        return Ok(());
    }
    let naming = || format!("keep the result: {}", escape_path(&path));
    private::folder(folder).with_context(naming)?;
    atomic::write(&path, &serde_json::to_vec(verification)?, 0o600).with_context(naming)?;
    Ok(())
}

fn work(
    mut remote: Remote,
    sample: Sample,
    settings: &Settings,
    scratch: &Path,
    cancel: &Cancel,
) -> Result<Verification> {
    let seed = sample.seed;
    let snapshot = remote.newest_snapshot()?;
    let expected = Expected::make(settings, scratch, FITTING, cancel)?;
    let excludes = excludes_of(&remote.plan);
    let host = Host::new(&expected.roots, snapshot.began, &excludes);
    let (tops, uncovered) = tops(&remote, &expected);

    let declared = Declared::load(settings, &host, &remote.config, &remote.plan, cancel)?;
    let mut comparison = Comparison::new(&host, &tops, expected.paths()?, sample, declared);
    let mut lister = Lister::new(&mut remote, &snapshot, &expected.weights, &tops, scratch)?;
    lister.list(&mut |entry| {
        COMPARED.fetch_add(1, Ordering::Relaxed);
        comparison.take(entry)
    })?;
    let not_listed = std::mem::take(&mut lister.not_listed);
    let (mut findings, sample, declared) = comparison.finish()?;
    for folder in not_listed {
        let service = host.service(folder.as_bytes());
        let what = "its name is not UTF-8, and its parent folder is too large to be listed with it";
        findings.add(&service, FaultKind::NotListed, folder.as_bytes(), what.into());
    }
    let mut restore = Restore {
        remote: &mut remote,
        snapshot: &snapshot,
        host: &host,
        findings: &mut findings,
        scratch,
        settings,
        cancel,
    };
    declared.prove(&mut restore)?;
    sample.prove(&mut restore)?;

    let mut faults = uncovered;
    if snapshot.is_outdated {
        let what = "the last backup of the plan failed; this is about the one before".into();
        faults.push(Fault { service: None, kind: FaultKind::LastBackupFailed, path: None, what });
    }
    faults.extend(findings.faults);
    let outcome = if faults.is_empty() { Outcome::Proved } else { Outcome::Wrong };
    Ok(Verification {
        plan: Some(remote.plan_id().into()),
        at: unix_now(),
        seconds: 0,
        outcome,
        error: None,
        snapshot: Some(SnapshotInfo { id: snapshot.id.clone(), at: snapshot.at.div_euclid(1000) }),
        services: findings.services,
        explained: findings.explained,
        faults,
        seed,
        operations: remote.operations,
    })
}

/// The roots, or the parts of them that the plan backs up, and a fault for each root that it does not back up in full.
fn tops(remote: &Remote, expected: &Expected) -> (Vec<String>, Vec<Fault>) {
    let paths = list(&remote.plan, "paths").iter().filter_map(serde_json::Value::as_str);
    let paths: Vec<String> =
        paths.map(|path| common::paths::normal(Path::new(path)).to_string_lossy().into_owned()).collect();
    let holds =
        |path: &str, inner: &str| path == "/" || path == inner || is_below(inner.as_bytes(), path.as_bytes());
    let (mut tops, mut faults) = (Vec::new(), Vec::new());
    for root in &expected.roots {
        if paths.iter().any(|path| holds(path, &root.seen_at)) {
            tops.push(root.seen_at.clone());
            continue;
        }
        let what = format!("the plan does not back up all of {}", escape(root.seen_at.as_bytes()));
        faults.push(Fault {
            service: None,
            kind: FaultKind::RootNotCovered,
            path: Some(root.seen_at.clone()),
            what,
        });
        let mut parts: Vec<_> = paths.iter().filter(|path| holds(&root.seen_at, path)).cloned().collect();
        parts.sort_by(|a, b| entry::order(a.as_bytes(), b.as_bytes()));
        parts.dedup_by(|inner, outer| holds(outer, inner));
        tops.extend(parts);
    }
    (tops, faults)
}
