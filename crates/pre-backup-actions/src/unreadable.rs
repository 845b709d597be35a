//! Folders of services that the user can't enter: reported when they are new, not each night.

use std::collections::BTreeSet;

use common::problem::{self, Problem};

use crate::context::{Context, TOOL};
use crate::discover::Unreadable;
use crate::name;

/// Warns of each of `unreadable` that was not there in the run before.
pub(crate) fn report_changes(context: &Context, unreadable: &[Unreadable]) {
    let path = context.layout.actions_unreadable();
    let known: BTreeSet<String> =
        std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let now: BTreeSet<String> = unreadable.iter().map(|one| name::encode(one.folder.as_os_str())).collect();
    for one in unreadable.iter().filter(|one| !known.contains(&name::encode(one.folder.as_os_str()))) {
        problem::warn(TOOL, &[Problem::new(&one.folder, format!("{}; {}", one.why, one.hint))]);
    }
    if now == known {
        return;
    }
    let written = serde_json::to_vec(&now)
        .map_err(anyhow::Error::from)
        .and_then(|text| common::atomic::write(&path, &text, 0o600));
    if let Err(error) = written {
        context.warn(path, &error);
    }
}
