//! `logs/messages.txt`: how many messages of each name ended on each day, and how.
//!
//! The log leaves lines out when there are too many, and forgets the oldest. The counts stay, so that a flood can be
//! seen afterwards. They are written a minute after they changed, and when the listener stops.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::regular_file;
use common::units;

/// How many days are kept.
const DAYS: usize = 60;
/// Changes are written after this time.
const PAUSE: Duration = Duration::from_secs(60);
/// A longer file is not one of ours.
const LONGEST: u64 = 1 << 20;

/// How a message ended, for its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    Failed,
    /// It was not accepted.
    Refused,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    done: u64,
    failed: u64,
    refused: u64,
}

#[derive(Debug)]
pub(crate) struct Tally {
    path: PathBuf,
    /// By day and name.
    days: BTreeMap<String, BTreeMap<String, Counts>>,
    changed: Option<Instant>,
}

impl Tally {
    /// The counts at `path`; lines that can't be read are left out.
    pub(crate) fn open(path: &Path) -> Tally {
        let text = regular_file::read(path, LONGEST).unwrap_or_default();
        let mut days: BTreeMap<String, BTreeMap<String, Counts>> = BTreeMap::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [day, name, done, "done", failed, "failed", refused, "refused"] = words[..] else { continue };
            let (Ok(done), Ok(failed), Ok(refused)) = (done.parse(), failed.parse(), refused.parse()) else {
                continue;
            };
            days.entry(day.into()).or_default().insert(name.into(), Counts { done, failed, refused });
        }
        Tally { path: path.to_path_buf(), days, changed: None }
    }

    /// Counts a message. `name` is an action's, or what is wrong with the message.
    pub(crate) fn count(&mut self, name: &str, ending: Ending) {
        let now = units::now();
        let day = now.split('T').next().unwrap_or_default();
        if !self.days.contains_key(day) {
            self.days.insert(day.to_string(), BTreeMap::new());
            while self.days.len() > DAYS {
                self.days.pop_first();
            }
        }
        let Some(names) = self.days.get_mut(day) else { return };
        if !names.contains_key(name) {
            names.insert(name.to_string(), Counts::default());
        }
        let Some(counts) = names.get_mut(name) else { return };
        match ending {
            Ending::Done => counts.done += 1,
            Ending::Failed => counts.failed += 1,
            Ending::Refused => counts.refused += 1,
        }
        self.changed.get_or_insert_with(Instant::now);
    }

    /// When [`Tally::save`] has something to write.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.changed.map(|at| at + PAUSE)
    }

    /// Writes the counts, if it is time.
    pub(crate) fn save(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            self.write();
        }
    }

    fn write(&mut self) {
        if self.changed.take().is_none() {
            return;
        }
        let mut text = String::new();
        for (day, names) in &self.days {
            for (name, Counts { done, failed, refused }) in names {
                text += &format!("{day} {name} {done} done {failed} failed {refused} refused\n");
            }
        }
        // A disk that is full now is tried again with the next change.
        let _ = common::atomic::write(&self.path, text.as_bytes(), 0o600);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.write();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_survive_a_restart_and_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("messages.txt");
        let old: String = (0..200)
            .map(|day| format!("20{:02}-01-{:02} ping 5 done 1 failed 0 refused\n", day / 28, day % 28 + 1))
            .collect();
        std::fs::write(&path, old + "not a line of ours\n").unwrap();
        for _ in 0..2 {
            let mut tally = Tally::open(&path);
            tally.count("notify-up", Ending::Done);
            tally.count("notify-up", Ending::Failed);
            tally.count("not-a-message", Ending::Refused);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), DAYS - 1 + 2, "{text}");
        assert!(text.contains(" not-a-message 0 done 0 failed 2 refused\n"), "{text}");
        assert!(text.ends_with(" notify-up 2 done 2 failed 0 refused\n"), "{text}");
    }
}
