//! Rules that wait for the person's consent, because they would leave out what an older exclude file kept.
//!
//! The Bash script wrote each line anchored at the top of its service; git's rules match at any depth. A rule of which
//! that would cost an existing file is read as the script wrote it until `build-ignore --adopt`, or until the line is
//! changed: it is found by its file and its text.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::roots::{CONTAINERS, DATA};
use common::settings::Settings;
use common::text::escape_path;
use common::{atomic, regular_file};

use crate::git::rule;
use crate::index::Step;
use crate::rules_file::{Hold, Rules};

/// Paths and rules need not be UTF-8: here they are escaped as in a Rust byte string.
type Escaped = String;

/// The held rules: by file, and by the text of the rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held(BTreeMap<Escaped, BTreeMap<Escaped, Hold>>);

/// The state is as large as the rules files of a home at most.
const LARGEST: u64 = 64 << 20;

impl Held {
    /// Whether no rule is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many rules are held.
    pub fn count(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Where the held rules for the exclude file `output` are remembered.
    pub fn place(output: &Path) -> PathBuf {
        beside(output, ".held-back")
    }

    /// Reads them. None is held if there is no such file. Fails if it can't be read, or is damaged.
    pub fn load(output: &Path, settings: &Settings) -> Result<Held> {
        let place = Held::place(output);
        let context = || format!("read the rules that are held back: {}", escape_path(&place));
        match regular_file::read(&place, LARGEST) {
            Ok(text) => {
                let held = Held(serde_json::from_slice(&text).with_context(context)?);
                Ok(held.with_files(|file| {
                    let (root, rest) = file.split_once('/')?;
                    roots(settings)
                        .into_iter()
                        .find(|(name, _)| *name == root)
                        .map(|(_, path)| path + "/" + rest)
                }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Held::default()),
            Err(error) => Err(error).with_context(context),
        }
    }

    /// Writes them, or removes the file if none is held.
    pub fn save(&self, output: &Path, settings: &Settings) -> Result<()> {
        let place = Held::place(output);
        if self.is_empty() {
            return match fs::remove_file(&place) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("remove: {}", escape_path(&place)))
                }
                _ => Ok(()),
            };
        }
        let stored = self.clone().with_files(|file| {
            let below = |(name, path): (&str, String)| {
                let rest = file.strip_prefix(path.as_str())?.strip_prefix('/')?;
                Some((path.len(), format!("{name}/{rest}")))
            };
            // If one root lies in the other, a file belongs to the inner one.
            roots(settings).into_iter().filter_map(below).max().map(|(_, name)| name)
        });
        let text = serde_json::to_string_pretty(&stored.0).map_err(io::Error::from)?;
        atomic::write(&place, text.as_bytes(), 0o644).map(drop)
    }

    /// The same rules with other names for their files. A file keeps its name if there is no new one.
    fn with_files(self, name: impl Fn(&str) -> Option<Escaped>) -> Held {
        Held(self.0.into_iter().map(|(file, rules)| (name(&file).unwrap_or(file), rules)).collect())
    }

    /// Holds a rule. Returns whether that changes anything.
    pub fn hold(&mut self, file: &Path, rule: &[u8], hold: Hold) -> bool {
        self.0.entry(escaped_path(file)).or_default().insert(escaped(rule), hold) != Some(hold)
    }

    /// Keeps only what `is_there`: by file and text of the rule, both escaped.
    pub fn retain(&mut self, is_there: impl Fn(&str, &str) -> bool) {
        for (file, rules) in &mut self.0 {
            rules.retain(|rule, _| is_there(file, rule));
        }
        self.0.retain(|_, rules| !rules.is_empty());
    }

    /// The rules of a file of this content, if some of them are held.
    pub fn rules(&self, file: &Path, content: &[u8]) -> Option<Rules> {
        if self.is_empty() {
            return None;
        }
        let held = self.0.get(&escaped_path(file))?;
        let mut holds = Vec::new();
        let mut list = rule::parse(content);
        for (number, rule) in list.iter_mut().enumerate() {
            let Some(hold) = held.get(&escaped(&rule.text)) else { continue };
            rule.path = match (&rule.path, hold) {
                (Ok(path), Hold::Anchored) => Ok(without_depth(path).into()),
                (Ok(_), Hold::Off) => Err("it is held back"),
                (Err(why), _) => Err(why),
            };
            holds.push((number, *hold));
        }
        (!holds.is_empty()).then(|| Rules::of(list).held(holds))
    }
}

/// Both roots with the name that each has in the state, so that the rules stay held if a root moves.
fn roots(settings: &Settings) -> [(&'static str, Escaped); 2] {
    [(DATA, escaped_path(&settings.data_root)), (CONTAINERS, escaped_path(&settings.container_root))]
}

/// The path of a rule, anchored to the folder of its file.
pub fn without_depth<N>(path: &[Step<N>]) -> &[Step<N>] {
    match path {
        [Step::AnyFolders, rest @ ..] => rest,
        all => all,
    }
}

/// The path of a file beside `output`.
pub fn beside(output: &Path, ending: &str) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(ending);
    output.with_file_name(name)
}

/// Bytes as text that names only them.
pub fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A path as text that names only it.
pub fn escaped_path(path: &Path) -> String {
    escaped(path.as_os_str().as_encoded_bytes())
}
