//! `state/actions/trouble`: one [`Trouble`]. What `pre-backup-actions` found wrong and no run has put right yet, for
//! the pushes and for `create-backrest-pipe status`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::regular_file;
use crate::text::escape_path;

/// The file is small; one that is larger is not ours.
const LARGEST: u64 = 64 << 20;

/// What is wrong. A missing file means that nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The last preparation of each key that failed or warned. A preparation without a key has the key "".
    #[serde(default)]
    pub preparations: BTreeMap<String, Preparation>,
    /// Services whose after step has failed: they may still be stopped. Sorted by name.
    #[serde(default)]
    pub down: Vec<Down>,
}

/// A preparation that was not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// When it was over, in seconds since 1970.
    pub at: i64,
    /// It failed; otherwise it warned, and the backup may go on.
    pub is_failure: bool,
    /// Its last line, such as `5 ok, 1 failed: immich (exit code 1)`.
    pub summary: String,
}

/// A service that could not be brought back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Down {
    /// Its name, safe to show.
    pub service: String,
    /// How often its after step has failed.
    pub tries: u32,
    /// When its prepare step began, in seconds since 1970.
    pub since: i64,
    /// Why it failed last.
    pub why: String,
}

impl Trouble {
    /// Reads the file at `path`. One that is missing, or that an older version wrote, holds nothing. Fails if it can't
    /// be read or is damaged: then services may be down.
    pub fn load(path: &Path) -> anyhow::Result<Trouble> {
        let text = match regular_file::read(path, LARGEST) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Trouble::default()),
            // An older version wrote a line of text that begins with a number.
            Ok(text) if text.first().is_some_and(u8::is_ascii_digit) => return Ok(Trouble::default()),
            text => text.map_err(anyhow::Error::from),
        };
        text.and_then(|text| Ok(serde_json::from_slice(&text)?))
            .with_context(|| format!("read which services are down: {}", escape_path(path)))
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.preparations.is_empty() && self.down.is_empty()
    }

    /// `wiki still stopped, 3 tries (exit code 1)`, for a push or a line of `status`; `None` if no service is down.
    pub fn down_line(&self) -> Option<String> {
        let shown = self.down.iter().map(|down| {
            let tries = if down.tries == 1 { "1 try".to_string() } else { format!("{} tries", down.tries) };
            format!("{} still stopped, {tries} ({})", down.service, down.why)
        });
        (!self.down.is_empty()).then(|| shown.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_down_is_named_with_its_tries() {
        let down = |service: &str, tries| Down {
            service: service.into(),
            tries,
            since: 0,
            why: "exit code 1".into(),
        };
        let trouble = Trouble { down: vec![down("wiki", 1), down("zoo", 3)], ..Trouble::default() };
        let expected = "wiki still stopped, 1 try (exit code 1); zoo still stopped, 3 tries (exit code 1)";
        assert_eq!(trouble.down_line().as_deref(), Some(expected));
        assert_eq!(Trouble::default().down_line(), None);
    }

    #[test]
    fn a_missing_or_older_file_holds_nothing_and_one_that_can_not_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trouble");
        assert!(Trouble::load(&path).unwrap().is_empty());
        for (text, is_read) in [
            ("1 ok, 1 failed: app (exit code 1)", true),
            ("", false),
            ("{\"down\":[{", false),
            ("\0\0\0", false),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(Trouble::load(&path).is_ok_and(|trouble| trouble.is_empty()), is_read, "{text:?}");
        }
        assert!(Trouble::load(folder.path()).is_err(), "a folder");
    }
}
