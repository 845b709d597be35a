//! The plan that puts everything in place. Anything that stands where something of ours belongs and is neither ours
//! nor an accident of Docker's is refused before a single step, so that nothing is half done.

use common::text::escape_path;

use super::{Complaint, Plan, Step, crontab, unit};
use crate::cli::Supervisor;
use crate::inspect::Facts;
use crate::inspect::client::Client;
use crate::inspect::crontab::Crontab;
use crate::inspect::entry::{Entry, Kind};
use crate::inspect::listener::Listener;
use crate::places::{OLD_PIPE_TARGET, Places};
use crate::record::Record;

const PRIVATE_FOLDER: u32 = 0o700;
const PRIVATE_FIFO: u32 = 0o600;

/// What has to be done so that everything is in place; an `Err` is everything that stands in the way.
///
/// `asked` is what the person wants to start the listener after a reboot; else it stays as it was.
pub(crate) fn plan(
    facts: &Facts,
    places: &Places,
    asked: Option<Supervisor>,
) -> Result<Plan, Vec<Complaint>> {
    let supervisor = asked.or(facts.record.supervisor).unwrap_or(Supervisor::Cron);
    let mut in_the_way = refuse(facts);
    in_the_way.extend(unit::refuse(facts, places).filter(|_| supervisor == Supervisor::Systemd));
    if !in_the_way.is_empty() {
        return Err(in_the_way);
    }
    let mut plan = Plan::default();
    folders(facts, places, supervisor, &mut plan);
    let is_replaced = pipe(facts, places, &mut plan);
    client(facts, places, &mut plan);
    plan.steps.extend(facts.bash_listeners.iter().cloned().map(Step::EndBashListener));
    match supervisor {
        Supervisor::Cron => {
            let was_systemd = unit::take_away(facts, places, &mut plan);
            listener(facts, places, is_replaced, was_systemd, &mut plan);
            crontab_line(facts, places, &mut plan);
        }
        Supervisor::Systemd => {
            unit::bring_in(facts, places, &mut plan);
            crontab::hand_over(facts, places, &mut plan);
        }
        Supervisor::None => {
            unit::take_away(facts, places, &mut plan);
            crontab::hand_over(facts, places, &mut plan);
        }
    }
    Ok(plan)
}

fn refuse(facts: &Facts) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    if !facts.container_root.is_folder() && facts.container_dir.is_missing() {
        complaints.push(Complaint::failure(
            format!("put the bridge in place: {}: no such folder", escape_path(&facts.container_root.path)),
            "make the folder that holds your services' compose.yaml files, or name it with --container-root",
        ));
    }
    let folders = [&facts.container_dir, &facts.bridge, &facts.state, &facts.logs];
    for folder in folders.into_iter().filter(|folder| !folder.is_missing()) {
        match folder.kind {
            // An empty folder of root's is what Docker makes where a mount's source is missing; it is replaced.
            Kind::Folder { empty } if folder.owner == facts.user || (empty && folder.owner == 0) => {}
            Kind::Folder { .. } => complaints.push(not_yours(folder, facts.user, "-R ")),
            // Backrest's own folder may lie behind a symlink, as may what the host alone uses.
            Kind::Link { .. } if folder.path != facts.bridge.path => {}
            _ => complaints.push(not_ours(folder, "a folder")),
        }
    }
    for pipe in [&facts.pipe, &facts.old_pipe].into_iter().filter(|pipe| !pipe.is_missing()) {
        match &pipe.kind {
            Kind::Fifo if pipe.owner == facts.user => {}
            Kind::Fifo => complaints.push(not_yours(pipe, facts.user, "")),
            Kind::Folder { empty: true } => {}
            Kind::Link { target }
                if pipe.path == facts.old_pipe.path && target.as_os_str() == OLD_PIPE_TARGET => {}
            _ => complaints.push(not_ours(pipe, "the FIFO")),
        }
    }
    if facts.client == Client::Blocked {
        complaints.push(Complaint::failure(
            "install backrest-send: a folder stands in its place in the bridge",
            "look what is in it and remove it",
        ));
    }
    complaints
}

fn not_ours(entry: &Entry, belongs: &str) -> Complaint {
    let path = escape_path(&entry.path);
    Complaint::failure(
        format!("put the bridge in place: {path}: {} stands where {belongs} belongs", entry.in_words()),
        format!("look at it, then move it away: mv {path} {path}.old"),
    )
}

fn not_yours(entry: &Entry, user: u32, option: &str) -> Complaint {
    let path = escape_path(&entry.path);
    let hint = match user {
        0 => "run create-backrest-pipe as that user, without sudo".into(),
        user => format!("make it yours: sudo chown {option}{user} {path}"),
    };
    Complaint::failure(
        format!("put the bridge in place: {path}: it belongs to user {}, not to you", entry.owner),
        hint,
    )
}

fn folders(facts: &Facts, places: &Places, supervisor: Supervisor, plan: &mut Plan) {
    let make = |folder: &Entry, mode: u32, plan: &mut Plan| {
        if !folder.is_missing() && folder.owner != facts.user && folder.is_folder() {
            plan.steps.push(Step::RemoveEmptyFolder { path: folder.path.clone() });
        } else if !folder.is_missing() {
            return;
        }
        plan.steps.push(Step::MakeFolder { path: folder.path.clone(), mode });
    };
    make(&facts.container_dir, 0o755, plan);
    make(&facts.state, PRIVATE_FOLDER, plan);
    let record = facts.record.and(&Record {
        made_container_dir: facts.container_dir.is_missing(),
        made_logs: facts.logs.is_missing(),
        made_state: facts.state.is_missing(),
        adopted_pipe: facts.old_pipe.kind == Kind::Fifo,
        adopted_mode: (facts.old_pipe.kind == Kind::Fifo).then_some(facts.old_pipe.mode),
        replaced_lines: crontab::bash_lines(&facts.crontab, &places.container_dir),
        made_crontab: facts.crontab == Crontab::None && supervisor == Supervisor::Cron,
        supervisor: Some(supervisor),
        made_unit_folders: match supervisor {
            Supervisor::Systemd => facts.unit.missing_folders.clone(),
            _ => Vec::new(),
        },
    });
    if record != facts.record {
        plan.steps.push(Step::WriteRecord { path: places.record.clone(), record });
    }
    make(&facts.logs, PRIVATE_FOLDER, plan);
    make(&facts.bridge, PRIVATE_FOLDER, plan);
    let is_open =
        facts.bridge.is_folder() && facts.bridge.owner == facts.user && facts.bridge.mode != PRIVATE_FOLDER;
    if is_open {
        plan.steps.push(Step::SetMode { path: places.bridge.clone(), mode: PRIVATE_FOLDER });
    }
}

/// The FIFO and its old name. Says whether a FIFO that a running listener may have open gives way to another.
fn pipe(facts: &Facts, places: &Places, plan: &mut Plan) -> bool {
    if let Kind::Folder { .. } = facts.pipe.kind {
        plan.steps.push(Step::RemoveEmptyFolder { path: places.pipe.clone() });
    }
    let is_old_fifo = facts.old_pipe.kind == Kind::Fifo;
    let is_same = facts.pipe.kind == Kind::Fifo && facts.pipe.id == facts.old_pipe.id;
    let kept = if is_old_fifo && !is_same {
        plan.steps.push(Step::AdoptFifo { from: places.old_pipe.clone(), to: places.pipe.clone() });
        Some(&facts.old_pipe)
    } else if facts.pipe.kind == Kind::Fifo {
        Some(&facts.pipe)
    } else {
        plan.steps.push(Step::MakeFifo { path: places.pipe.clone() });
        None
    };
    if kept.is_some_and(|kept| kept.mode != PRIVATE_FIFO) {
        plan.steps.push(Step::SetMode { path: places.pipe.clone(), mode: PRIVATE_FIFO });
    }
    if let Kind::Folder { .. } = facts.old_pipe.kind {
        plan.steps.push(Step::RemoveEmptyFolder { path: places.old_pipe.clone() });
        plan.complaints.push(Complaint::warning(
            "a container that runs may have mounted the empty folder that stood where the FIFO belongs",
            "make Backrest's container again: docker compose up --detach --force-recreate",
        ));
    }
    if !matches!(facts.old_pipe.kind, Kind::Link { .. }) {
        plan.steps.push(Step::Link { path: places.old_pipe.clone(), target: OLD_PIPE_TARGET.into() });
    }
    kept.is_none_or(|kept| kept.id != facts.pipe.id)
}

fn client(facts: &Facts, places: &Places, plan: &mut Plan) {
    let (from, to) = (places.client_source.clone(), places.client.clone());
    match &facts.client {
        Client::Current => {}
        Client::Outdated | Client::Blocked => plan.steps.push(Step::InstallClient { from, to }),
        Client::NoSource => plan.complaints.push(Complaint::warning(
            "backrest-send is not installed beside create-backrest-pipe: hooks can send, but not wait for an answer",
            "install all the tools: cargo xtask install",
        )),
        Client::Unusable(why) => plan.complaints.push(Complaint::failure(
            format!("install backrest-send: {}: {why}, it would not run in the container", escape_path(from)),
            "install it as cargo xtask install builds it, linked statically",
        )),
    }
}

fn listener(facts: &Facts, places: &Places, is_replaced: bool, was_systemd: bool, plan: &mut Plan) {
    // With its unit the listener ends as well.
    let is_running = facts.listener != Listener::Stopped && !was_systemd;
    let has_to_go = is_replaced || facts.has_to_restart();
    if is_running && has_to_go {
        let (lock, listener) = (places.listener_lock.clone(), facts.listener.clone());
        plan.steps.push(Step::StopListener { lock, listener });
    }
    if !is_running || has_to_go {
        plan.steps.push(Step::StartListener);
    }
}

fn crontab_line(facts: &Facts, places: &Places, plan: &mut Plan) {
    let text = match &facts.crontab {
        Crontab::Text(text) => text.as_str(),
        Crontab::None => "",
        Crontab::Unusable(why) => {
            plan.complaints.push(Complaint::failure(
                format!("start the listener after a reboot: {why}"),
                "install cron (apt install cron), or start pipe-listener at boot in your own way",
            ));
            return;
        }
    };
    let edited = match crontab::with_listener(text, &places.listener, &places.container_dir) {
        Ok(edited) => edited,
        Err(why) => {
            plan.complaints.push(Complaint::failure(
                format!("start the listener after a reboot: {why}"),
                "choose a path without it",
            ));
            return;
        }
    };
    plan.complaints.extend(edited.left.iter().map(|line| crontab::left_alone(line)));
    if !edited.changes.is_empty() {
        let after = Crontab::Text(edited.text);
        plan.steps.push(Step::Crontab { before: facts.crontab.clone(), after, changes: edited.changes });
    }
}
