//! The plan that takes away what the set-up has put in place, and nothing else: the record says what was made.

use std::path::PathBuf;

use super::{Plan, Step, crontab, unit};
use crate::inspect::Facts;
use crate::inspect::entry::Kind;
use crate::inspect::listener::Listener;
use crate::places::{OLD_PIPE_TARGET, Places};

/// What has to be done so that nothing of ours is left.
pub(crate) fn plan(facts: &Facts, places: &Places) -> Plan {
    let mut plan = Plan::default();
    // First what would start it again, then the listener, then what it listens on.
    let has_ended = unit::take_away(facts, places, &mut plan) && facts.unit.runs_listener;
    let steps = &mut plan.steps;
    steps.extend(crontab::take_away(facts, places));
    if facts.listener != Listener::Stopped && !has_ended {
        let (lock, listener) = (places.listener_lock.clone(), facts.listener.clone());
        steps.push(Step::StopListener { lock, listener });
    }
    let is_linked =
        matches!(&facts.old_pipe.kind, Kind::Link { target } if target.as_os_str() == OLD_PIPE_TARGET);
    let is_pipe = facts.pipe.kind == Kind::Fifo;
    if is_linked && is_pipe && facts.record.adopted_pipe {
        // Its mode first: where a removal is interrupted between the two, the next one still finds it here.
        let mode = facts.record.adopted_mode.filter(|&mode| mode != facts.pipe.mode);
        steps.extend(mode.map(|mode| Step::SetMode { path: places.pipe.clone(), mode }));
        steps.push(Step::PutBackFifo { from: places.pipe.clone(), to: places.old_pipe.clone() });
    } else {
        steps.extend(is_linked.then(|| Step::RemoveFile { path: places.old_pipe.clone() }));
        steps.extend(is_pipe.then(|| Step::RemoveFile { path: places.pipe.clone() }));
    }
    steps.extend(left_by_the_tools(facts, places));
    plan
}

/// Files first, then the folders that were made, and the state folder with the record of all this last: it goes under
/// another name in one step, so that a removal that is interrupted still knows what was made.
fn left_by_the_tools(facts: &Facts, places: &Places) -> Vec<Step> {
    let retires = facts.record.made_state && facts.state.is_folder() && facts.is_state_ours;
    let stays = |path: &PathBuf| retires && path.starts_with(&places.state);
    let remove = |path: PathBuf| Step::Remove { path };
    let (record, others): (Vec<_>, Vec<_>) =
        facts.leftovers.iter().filter(|path| !stays(path)).cloned().partition(|path| *path == places.record);
    let mut steps: Vec<_> = others.into_iter().map(remove).collect();
    let folder = |path: &PathBuf| Step::RemoveFolder { path: path.clone() };
    steps.extend(facts.record.made_unit_folders.iter().rev().map(folder));
    steps.extend(facts.bridge.is_folder().then(|| folder(&places.bridge)));
    steps.extend((facts.record.made_logs && facts.logs.is_folder()).then(|| folder(&places.logs)));
    if retires {
        steps.push(Step::RetireState { from: places.state.clone(), to: places.retired_state.clone() });
    } else if facts.record.made_state && facts.state.is_folder() {
        steps.extend(record.into_iter().map(remove));
        steps.push(folder(&places.state));
    } else {
        steps.extend(record.into_iter().map(remove));
    }
    if retires || !facts.retired_state.is_missing() {
        steps.push(Step::Remove { path: places.retired_state.clone() });
    }
    let made_container_dir = facts.record.made_container_dir && facts.container_dir.is_folder();
    steps.extend(made_container_dir.then(|| folder(&places.container_dir)));
    steps
}
