//! `build-ignore --coverage --json`: one [`Coverage`]. What no backup holds, what is there but unsafe, and what still
//! waits for the person's consent.

use serde::{Deserialize, Serialize};

/// Everything that `create-backrest-pipe status` shows about what is backed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// What no backup holds, or what it holds in a form that may not be restored. Sorted by kind and path.
    pub gaps: Vec<Gap>,
    /// Rules that are held back until the person agrees with `build-ignore --adopt`: what an older exclude file kept.
    pub held_back: Vec<HeldBack>,
    /// What the exclude file costs restic.
    #[serde(default)]
    pub scan: Option<Scan>,
}

/// Estimates of restic's processor time for looking at every path once, in seconds; right within a factor of two or
/// three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scan {
    /// How many paths restic looks at.
    pub paths: u64,
    /// Without an exclude file.
    pub bare: f64,
    /// What the patterns add.
    pub patterns: f64,
    /// What they would add with `IGNORE_LEAN=yes`.
    pub lean: f64,
}

impl Scan {
    /// Whether the patterns cost so much that something should be done: over half of what the paths themselves cost.
    fn is_heavy(&self) -> bool {
        self.patterns > self.bare / 2.0
    }

    /// One line for a person, with what helps if that pays.
    pub fn text(&self) -> String {
        let base = format!(
            "restic: about {} of processor time for {} paths, and {} more for the patterns",
            seconds(self.bare),
            self.paths,
            seconds(self.patterns)
        );
        // Without --no-scan restic looks at every path twice.
        if !self.is_heavy() {
            return base;
        }
        let lean = if self.lean < self.patterns / 2.0 {
            format!("; IGNORE_LEAN=yes in Backrest's .env brings that down to {}", seconds(self.lean))
        } else {
            String::new()
        };
        format!("{base}{lean}; the backup flag --no-scan (restic 0.15 on) saves doing it all twice")
    }
}

fn seconds(seconds: f64) -> String {
    // A sum of nothing is -0.0.
    let seconds = seconds.abs();
    if seconds >= 10.0 { format!("{seconds:.0} s") } else { format!("{seconds:.1} s") }
}

/// One thing that is not, or not safely, in the backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// What kind of thing it is.
    pub kind: GapKind,
    /// The service it belongs to, such as `data/immich`; none for a root itself.
    pub service: Option<String>,
    /// The path on the host, or the name of a volume.
    pub path: String,
    /// Where a link, a bind mount or a volume leads.
    pub leads_to: Option<String>,
    /// What is wrong, for a person: one line without the path.
    pub what: String,
    /// The command or change that helps, if there is one.
    pub hint: Option<String>,
    /// How many more of this kind the service has that are not listed.
    #[serde(default)]
    pub more: u64,
    /// The size of what is missing, in bytes; none if it was not or could not be measured.
    #[serde(default)]
    pub bytes: Option<u64>,
}

/// The kinds of gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapKind {
    /// A root's disk is listed in /etc/fstab and is not mounted.
    UnmountedDisk,
    /// The service's folder is a symlink; restic stores the link alone.
    LinkedService,
    /// A symlink in a service leads out of both roots.
    LinkOut,
    /// A compose file mounts a folder of the host that lies in neither root.
    BindMount,
    /// A compose file uses a named volume.
    NamedVolume,
    /// Another file system is mounted below a root.
    OtherFileSystem,
    /// A compose file can't be read, so its mounts are not known.
    UnreadableCompose,
    /// A live database that is backed up without a dump.
    LiveDatabase,
}

impl GapKind {
    /// Whether data is missing from every backup, so that `status` counts it as a fault and not as a remark.
    pub fn is_fault(self) -> bool {
        !matches!(self, GapKind::OtherFileSystem | GapKind::LinkOut | GapKind::UnreadableCompose)
    }

    /// Whether it leads to something of the host whose size can be measured.
    pub fn is_measured(self) -> bool {
        matches!(self, GapKind::LinkedService | GapKind::LinkOut | GapKind::BindMount)
    }
}

/// A rule that is written anchored, as the exclude file before it had it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldBack {
    /// The service, such as `data/immich`.
    pub service: String,
    /// The `.resticignore`.
    pub file: String,
    /// Its line, counted from 1.
    pub line: usize,
    /// The rule.
    pub rule: String,
    /// The rule to write if what it keeps is to stay in the backup; none if only removing the rule keeps that.
    pub instead: Option<String>,
}
