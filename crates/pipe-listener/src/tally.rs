//! `logs/messages.txt`: how many messages of each name ended on each day, and how.
//!
//! The log leaves lines out when there are too many, and forgets the oldest. The counts stay, so that a flood can be
//! seen afterwards. They are written a minute after they changed, and when the listener stops.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::layout::kept_aside;
use common::regular_file;
use common::text::escape_path;
use common::units;

const DAYS: usize = 60;
/// Changes are written after this time.
const PAUSE: Duration = Duration::from_secs(60);
/// A longer file is not one of ours.
const LONGEST: u64 = 1 << 20;

/// How a message ended, in the order of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    Failed,
    Refused,
}

#[derive(Debug)]
pub(crate) struct Tally {
    path: PathBuf,
    /// By day and name; how many ended in each way.
    days: BTreeMap<String, BTreeMap<String, [u64; 3]>>,
    changed: Option<Instant>,
    /// The last try to write them failed.
    is_failing: bool,
}

impl Tally {
    /// The counts at `path`; lines that can't be read are left out. A file that can't be read at all is kept as
    /// `messages.txt.old`, and the text for the log names it.
    pub(crate) fn open(path: &Path) -> (Tally, Option<String>) {
        let (text, problem) = match regular_file::read(path, LONGEST) {
            Ok(text) => (text, None),
            Err(error) if error.kind() == ErrorKind::NotFound => (Vec::new(), None),
            Err(error) => {
                let aside = kept_aside(path);
                let moved = std::fs::rename(path, &aside).map_or_else(
                    |error| format!("it can't be kept: {error}"),
                    |()| format!("it is kept as {}", escape_path(&aside)),
                );
                (Vec::new(), Some(format!("the counts can't be read: {error}; {moved}")))
            }
        };
        let mut days: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [day, name, done, "done", failed, "failed", refused, "refused"] = words[..] else { continue };
            let counts = [done, failed, refused].map(str::parse);
            let [Ok(done), Ok(failed), Ok(refused)] = counts else { continue };
            days.entry(day.into()).or_default().insert(name.into(), [done, failed, refused]);
        }
        (Tally { path: path.to_path_buf(), days, changed: None, is_failing: false }, problem)
    }

    /// Counts a message. `name` is an action's, or what is wrong with the message.
    pub(crate) fn count(&mut self, name: &str, ending: Ending) {
        let now = units::now();
        let day = now.split('T').next().unwrap_or_default();
        let names = self.days.entry(day.to_string()).or_default();
        names.entry(name.to_string()).or_default()[ending as usize] += 1;
        while self.days.len() > DAYS {
            self.days.pop_first();
        }
        self.changed.get_or_insert_with(Instant::now);
    }

    /// When [`Tally::save`] has something to write.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.changed.map(|at| at + PAUSE)
    }

    /// Writes the counts, if it is time. Fails once if that fails, and tries again after a while.
    pub(crate) fn save(&mut self, now: Instant) -> anyhow::Result<()> {
        if self.due().is_none_or(|due| due > now) {
            return Ok(());
        }
        let written = self.write();
        if written.is_err() {
            self.changed = Some(now);
        }
        let was_failing = std::mem::replace(&mut self.is_failing, written.is_err());
        if was_failing { Ok(()) } else { written }
    }

    fn write(&mut self) -> anyhow::Result<()> {
        if self.changed.take().is_none() {
            return Ok(());
        }
        let mut text = String::new();
        for (day, names) in &self.days {
            for (name, [done, failed, refused]) in names {
                text += &format!("{day} {name} {done} done {failed} failed {refused} refused\n");
            }
        }
        common::atomic::write(&self.path, text.as_bytes(), 0o600).map(drop)
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // The log is closed by now.
        let _ = self.write();
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
            let (mut tally, problem) = Tally::open(&path);
            assert_eq!(problem, None);
            tally.count("notify-up", Ending::Done);
            tally.count("notify-up", Ending::Failed);
            tally.count("not-a-message", Ending::Refused);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), DAYS - 1 + 2, "{text}");
        assert!(text.contains(" not-a-message 0 done 0 failed 2 refused\n"), "{text}");
        assert!(text.ends_with(" notify-up 2 done 2 failed 0 refused\n"), "{text}");
    }

    #[test]
    fn counts_that_cannot_be_read_are_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("messages.txt");
        let long = "2026-01-01 ping 5 done 1 failed 0 refused\n".repeat(30_000);
        std::fs::write(&path, &long).unwrap();
        let (mut tally, problem) = Tally::open(&path);
        assert!(problem.unwrap().ends_with("messages.txt.old"));
        tally.count("ping", Ending::Done);
        drop(tally);
        assert_eq!(std::fs::read_to_string(folder.path().join("messages.txt.old")).unwrap(), long);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    #[test]
    fn counts_that_cannot_be_written_are_reported_once_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/messages.txt");
        let (mut tally, _) = Tally::open(&path);
        std::fs::write(folder.path().join("logs"), "in the way").unwrap();
        tally.count("ping", Ending::Done);
        let mut now = Instant::now() + PAUSE;
        assert!(tally.save(now).is_err());
        now += PAUSE;
        assert!(tally.save(now).is_ok());
        std::fs::remove_file(folder.path().join("logs")).unwrap();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        tally.save(now + PAUSE).unwrap();
        assert!(path.exists());
    }
}
