//! A line said for the names that it matches today alone: what `--lean` writes for `*.log` and its like.
//!
//! Go tries what follows a `*` at every byte of a name, so that restic takes five times as long over `…/*.log` as over
//! `…/app.log`, and a quarter less over `…/app-*.log`. Up to three names are written out; of more, what they all begin
//! with.
//!
//! What a reader gets wrong: this gives no guarantee away. What is written matches a part of what the line matches.

use std::sync::{Mutex, PoisonError};

use crate::translate::line;

/// More names than this are not written out.
const MOST_NAMES: usize = 3;

/// The names that a line matches with a last component that is a `*` and a plain ending.
#[derive(Debug)]
pub struct Names {
    length_of_ending: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Different ones, up to one too many.
    names: Vec<Vec<u8>>,
    /// What all of them have before the ending.
    start: Option<Vec<u8>>,
}

impl Names {
    /// None yet.
    pub fn new(length_of_ending: usize) -> Names {
        Names { length_of_ending, seen: Mutex::default() }
    }

    /// One that the line matches.
    pub fn add(&self, name: &[u8]) {
        let start = &name[..name.len().saturating_sub(self.length_of_ending)];
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut seen.start {
            Some(common) => {
                let agreeing = common.iter().zip(start).take_while(|(a, b)| a == b).count();
                common.truncate(agreeing);
            }
            none => *none = Some(start.to_vec()),
        }
        if seen.names.len() <= MOST_NAMES && !seen.names.iter().any(|known| known == name) {
            seen.names.push(name.to_vec());
        }
    }

    /// The lines to write in place of `line`; none where there is nothing to gain.
    pub fn narrowed(&self, line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if (1..=MOST_NAMES).contains(&seen.names.len()) {
            let mut names: Vec<&Vec<u8>> = seen.names.iter().collect();
            names.sort();
            return names.into_iter().map(|name| line::with_last_name(line, name)).collect();
        }
        let start = seen.start.as_ref().filter(|start| !start.is_empty())?;
        line::with_start_of_last_name(line, start).map(|line| vec![line])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(line: &str, ending: &str, seen: &[&str]) -> Option<Vec<String>> {
        let names = Names::new(ending.len());
        seen.iter().for_each(|name| names.add(name.as_bytes()));
        let lines = names.narrowed(line.as_bytes())?;
        Some(lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect())
    }

    #[test]
    fn few_names_are_written_out_and_many_by_what_they_begin_with() {
        let lines = narrowed("/s/*/*.log", ".log", &["b$.log", "a*.log", "b$.log"]);
        assert_eq!(lines.unwrap(), ["/s/*/a\\*.log", "/s/*/b$$.log"]);
        let lines = narrowed("/s/*.log", ".log", &["app-1.log", "app-2.log", "app-30.log", "app.log"]);
        assert_eq!(lines.unwrap(), ["/s/app*.log"]);
        assert_eq!(narrowed("/s/*.log", ".log", &["a.log", "b.log", "c.log", "d.log"]), None);
        assert_eq!(narrowed("/s/*.log", ".log", &[]), None, "never no line at all");
    }

    #[test]
    fn the_ending_is_no_part_of_what_names_begin_with() {
        let lines = narrowed("/s/*aa", "aa", &["aaa", "aaaa", "aaaaa", "aa"]);
        assert_eq!(lines, None, "aa itself begins with nothing before its ending");
        let lines = narrowed("/s/*aa", "aa", &["aaa", "aaaa", "aaaaa", "aaaaaa"]);
        assert_eq!(lines.unwrap(), ["/s/a*aa"]);
    }
}
