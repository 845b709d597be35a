//! Keeps the record of what is wrong: for the pushes and for `create-backrest-pipe status`.
//!
//! Backrest itself knows nothing about a hook that failed but that it did.

use std::fs;
use std::io::ErrorKind;

use common::contract::trouble::{Down, Preparation, Trouble};
use common::moment::unix_now;
use common::text::escape_path;

use crate::context::{Context, TOOL};
use crate::journal::Journal;
use crate::outcome::{Outcome, Verdict};
use crate::report;

/// Writes down which services `journal` shows to be down, and, if `prepared` is given, what came of the preparation of
/// this run's key. That it can't be written is printed and stops nothing.
pub(crate) fn keep(context: &Context, journal: &Journal, prepared: Option<&[Outcome]>) {
    let path = context.layout.actions_trouble();
    let mut trouble = match Trouble::load(&path) {
        Ok(trouble) => trouble,
        // A damaged record is replaced. One of another user holds what other plans reported, and stays.
        Err(error) => {
            let stays = error.chain().any(|cause| cause.is::<std::io::Error>());
            common::exit::report(TOOL, &error);
            if stays {
                return;
            }
            Trouble::default()
        }
    };
    if let Some(outcomes) = prepared {
        let key = context.options.key.clone();
        match preparation(outcomes) {
            Some(preparation) => trouble.preparations.insert(key, preparation),
            None => trouble.preparations.remove(&key),
        };
    }
    trouble.down = down(journal);
    let kept = if trouble.is_empty() {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    } else {
        serde_json::to_vec(&trouble)
            .map_err(anyhow::Error::from)
            .and_then(|text| common::atomic::write(&path, &text, 0o600).map(|_| ()))
    };
    if let Err(error) = kept {
        context.warn(path, &error);
    }
}

fn preparation(outcomes: &[Outcome]) -> Option<Preparation> {
    let is_failure = outcomes.iter().any(Outcome::is_failure);
    let is_trouble =
        is_failure || outcomes.iter().any(|outcome| matches!(outcome.verdict, Verdict::Warned(_)));
    is_trouble.then(|| Preparation { at: unix_now(), is_failure, summary: report::summary(outcomes) })
}

fn down(journal: &Journal) -> Vec<Down> {
    let failing = journal.entries().iter().filter(|entry| entry.failures > 0);
    let mut down: Vec<_> = failing
        .map(|entry| Down {
            service: escape_path(&entry.service),
            tries: entry.failures,
            since: entry.started,
            why: entry.why.clone().unwrap_or_default(),
        })
        .collect();
    down.sort();
    down
}
