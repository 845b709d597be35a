//! The listener's line in the user's crontab, brought in, taken out, or handed over to something else.

use anyhow::Result;

use crate::cli::Supervisor;
use crate::crontab::lines::{self, EditedCrontab};
use crate::crontab::{self, Crontab};
use crate::inspect::Facts;
use crate::places::Places;
use crate::work::{Verb, Work, failure};

pub(crate) fn ensure(facts: &Facts, places: &Places, work: &mut Work) -> Result<()> {
    let text = match &facts.crontab {
        Crontab::Text(text) => text.as_str(),
        Crontab::None => "",
        Crontab::Unusable(why) => {
            work.complaints.push(failure(
                format!("start the listener after a reboot: {why}"),
                "install cron (apt install cron), or start pipe-listener at boot in your own way",
            ));
            return Ok(());
        }
    };
    match lines::with_listener(text, &places.listener, places.layout.container_dir()) {
        Ok(edited) => replace(facts, edited, work),
        Err(why) => {
            let what = format!("start the listener after a reboot: {why}");
            work.complaints.push(failure(what, "choose a path without it"));
            Ok(())
        }
    }
}

/// Takes the listener's line out because something else is to start it, and lines of Bash listeners with it.
pub(crate) fn hand_over(facts: &Facts, places: &Places, work: &mut Work) -> Result<()> {
    let Some(text) = facts.crontab.text() else { return Ok(()) };
    replace(facts, lines::without_any_listener(text, places.layout.container_dir()), work)
}

/// Makes the crontab what it was before, and takes it away if only the set-up made it.
pub(crate) fn take_away(facts: &Facts, places: &Places, work: &mut Work) -> Result<()> {
    let Some(text) = facts.crontab.text() else { return Ok(()) };
    let is_elsewhere = facts.record.supervisor.is_some_and(|supervisor| supervisor != Supervisor::Cron);
    let folder = places.layout.container_dir();
    replace(facts, lines::as_it_was(text, folder, &facts.record.replaced_lines, is_elsewhere), work)
}

/// The lines that start a Bash listener and nothing else.
pub(crate) fn bash_lines(facts: &Facts, places: &Places) -> Vec<String> {
    lines::bash_lines(facts.crontab.text().unwrap_or_default(), places.layout.container_dir())
}

fn replace(facts: &Facts, edited: EditedCrontab, work: &mut Work) -> Result<()> {
    work.complaints.extend(edited.left.iter().map(|line| {
        failure(
            format!("a line of your crontab starts the Bash listener among other things: {line}"),
            "take the Bash listener out of it: crontab -e",
        )
    }));
    if edited.changes.is_empty() {
        return Ok(());
    }
    let is_gone = edited.text.is_empty() && facts.record.made_crontab;
    let after = if is_gone { Crontab::None } else { Crontab::Text(edited.text) };
    work.step(Verb::CRONTAB, edited.changes.join("\n"), || crontab::replace(&facts.crontab, &after))
}
