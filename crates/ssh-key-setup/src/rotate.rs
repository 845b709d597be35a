//! `--rotate`: a set-up with a new key, and then the removal of the old one, without a moment in which none works.
//!
//! [`crate::set_up`] puts the new key on the server and proves it, [`crate::remove`] takes the old one off. What is here
//! is where both keys lie meanwhile: the new one is `NAME.new` until it is proved, the old one `NAME.retiring` from then
//! on until the server refuses it. A run that finds one of them goes on from there, and no key is forgotten on a server.
//! In the end the old pair is kept as `NAME.old-DATE`.
//!
//! A key that other hosts use too stays as it is, for them: NAME is then that of a key of the host's own.

pub(crate) mod sharing;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use common::exit::HintExt;
use common::text::escape_path;
use common::units;

use crate::run::{Host, Run};
use crate::ssh_folder::config::Entry;
use crate::ssh_folder::key::{self, Key, beside};

#[derive(Debug)]
pub(crate) struct Rotation {
    /// Where the new key ends up.
    place: PathBuf,
}

impl Rotation {
    /// The rotation of the entry's key that was interrupted.
    pub(crate) fn unfinished(run: &Run, entry: &Entry) -> Option<Rotation> {
        let rotations = [own_key(entry), entry.key.clone()].map(|name| Rotation::to(run, &name));
        rotations.into_iter().find(|rotation| rotation.incoming().exists() || rotation.retiring().exists())
    }

    /// A new one. Fails if it would shut another host out.
    pub(crate) fn start(host: &Host, entry: &Entry) -> Result<Rotation> {
        let run = host.run;
        let Some(other) = sharing::elsewhere(&host.files, entry)? else {
            return Ok(Rotation::to(run, &entry.key));
        };
        let rotation = Rotation::to(run, &own_key(entry));
        if rotation.place.exists() {
            return Err(anyhow!(
                "rotate: {}: {other} uses the same key, and a key of its own is in the way",
                entry.alias
            ))
            .hint(format!("move it away: {}", escape_path(&rotation.place)));
        }
        run.output.line(
            "key",
            &escape_path(run.folder.path().join(&entry.key)),
            "stays, for the other hosts",
        );
        Ok(rotation)
    }

    fn to(run: &Run, name: &str) -> Rotation {
        Rotation { place: run.folder.path().join(name) }
    }

    fn incoming(&self) -> PathBuf {
        beside(&self.place, ".new")
    }

    fn retiring(&self) -> PathBuf {
        beside(&self.place, ".retiring")
    }

    /// The new key is where it belongs, and the old one beside it.
    pub(crate) fn is_switched(&self) -> bool {
        let texts = (fs::read(&self.place), fs::read(self.retiring()));
        matches!(texts, (Ok(new), Ok(old)) if new != old)
    }

    /// The file name of the new key.
    pub(crate) fn new_key(&self) -> String {
        let path = if self.is_switched() { self.place.clone() } else { self.incoming() };
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Moves the new key, which is proved, to its place, and keeps the one of `old` beside it. Returns both.
    pub(crate) fn switch(&self, old: &Path) -> Result<(Key, Key)> {
        if !self.is_switched() {
            if !self.retiring().exists() {
                fs::hard_link(old, self.retiring())
                    .with_context(|| format!("keep the old key: {}", escape_path(self.retiring())))?;
            }
            // ssh offers what the public file holds, and fails if the private one is of another key. It needs none.
            let _ = fs::remove_file(beside(&self.place, ".pub"));
            fs::rename(self.incoming(), &self.place)
                .with_context(|| format!("put the new key in place: {}", escape_path(&self.place)))?;
        }
        let _ = fs::remove_file(beside(&self.incoming(), ".pub"));
        Ok((key::read(&self.place)?, key::read(&self.retiring())?))
    }

    /// The keys that may be on the server beside the entry's own.
    pub(crate) fn keys(&self) -> Result<Vec<Key>> {
        let paths = [self.incoming(), self.retiring()].into_iter().filter(|path| path.exists());
        paths.map(|path| key::read_only(&path)).collect()
    }

    /// Keeps a pair that is on no server any more under a name with the date.
    pub(crate) fn put_aside(&self, run: &Run, key: &Key) -> Result<()> {
        let date: String = units::now().chars().take(19).filter(|c| *c != ':').collect();
        let names = std::iter::once(String::new()).chain((2..).map(|number| format!("-{number}")));
        let mut names = names.map(|number| beside(&self.place, &format!(".old-{date}{number}")));
        let aside = names.find(|name| !name.exists()).unwrap_or_default();
        let _ = fs::rename(beside(&key.path, ".pub"), beside(&aside, ".pub"));
        fs::rename(&key.path, &aside)
            .with_context(|| format!("keep the old key: {}", escape_path(&aside)))?;
        run.output.line("key", &escape_path(&aside), "the old one, kept");
        Ok(())
    }
}

/// The name of a key that is the host's alone.
fn own_key(entry: &Entry) -> String {
    format!("id_ed25519_{}", entry.alias)
}
