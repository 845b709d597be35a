//! Rewrites a line for the names that it matches today alone: what `--lean` writes for `*.log` and its like.
//!
//! restic compares the last name of a pattern first, with every path there is. Go tries what follows a `*` at every byte
//! of a name; that takes five to six times as long as comparing a plain name, and only twice as long if the pattern has a
//! beginning that other names do not share. Characters in fixed places, each its own or a `?`, take twice as long, too.
//! So a line becomes a pattern for each length of the names, or one with the beginning that they share, whichever
//! costs restic less.
//!
//! What a reader gets wrong: no guarantee is lost by this. What is written matches a part of what the line matches.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::translate::{component, line};
use crate::tree::Folder;

/// What a pattern costs restic for a path, by the last name of it; a plain name costs 1. `bench restic` shows the sum.
const COST_OF_FIXED: f64 = 2.0;
/// With names that begin as the pattern does, [`COST_OF_STARTED_ALIKE`] comes on top.
const COST_OF_STARTED: f64 = 2.0;
const COST_OF_STARTED_ALIKE: f64 = 3.0;
const COST_OF_SUFFIX: f64 = 6.0;

/// EndingNames of more lengths than this never cost less than what they share.
const MOST_LENGTHS: usize = 5;

/// How the names of a tree begin.
#[derive(Clone, Debug)]
pub struct Beginnings([u64; 256]);

/// The names that a line matches with a last component that is a `*` and a plain ending.
#[derive(Debug)]
pub struct EndingNames {
    length_of_ending: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// What all of them have before the ending.
    start: Option<Vec<u8>>,
    /// By length in bytes, up to one too many.
    shapes: BTreeMap<usize, Shape>,
}

/// EndingNames of the same length.
#[derive(Debug)]
struct Shape {
    /// One of them.
    name: Vec<u8>,
    /// The positions in which they differ.
    differing: Vec<bool>,
    are_ascii: bool,
}

impl Beginnings {
    /// Of all names in `folder` and below it.
    pub fn of(folder: &Folder) -> Beginnings {
        let mut beginnings = Beginnings([0; 256]);
        beginnings.count(folder);
        beginnings
    }

    fn count(&mut self, folder: &Folder) {
        for entry in folder.entries() {
            self.0[usize::from(entry.name[0])] += 1;
            entry.folder.iter().for_each(|folder| self.count(folder));
        }
    }

    /// The part of the names that begin with this byte, from 0 to 1.
    fn share(&self, byte: u8) -> f64 {
        self.0[usize::from(byte)] as f64 / self.0.iter().sum::<u64>().max(1) as f64
    }
}

impl EndingNames {
    /// None yet.
    pub fn new(length_of_ending: usize) -> EndingNames {
        EndingNames { length_of_ending, seen: Mutex::default() }
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
        if seen.shapes.len() <= MOST_LENGTHS {
            seen.shapes.entry(name.len()).or_insert_with(|| Shape::of(name)).add(name);
        }
    }

    /// The lines to write in place of `line`; none where there is nothing to gain.
    pub fn lean_lines(&self, line: &[u8], beginnings: &Beginnings) -> Option<Vec<Vec<u8>>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let start = seen.start.as_ref()?;
        let by_start = line::with_start_of_last_name(line, start).filter(|_| !start.is_empty());
        let cost_by_start = match start.first().filter(|_| by_start.is_some()) {
            Some(first) => COST_OF_STARTED + COST_OF_STARTED_ALIKE * beginnings.share(*first),
            None => COST_OF_SUFFIX,
        };
        let cost_by_length: f64 = seen.shapes.values().map(Shape::cost).sum();
        let by_length = || -> Option<Vec<Vec<u8>>> {
            let mut shapes = seen.shapes.values();
            shapes.try_fold(Vec::new(), |mut lines, shape| {
                lines.push(line::with_last_component(line, &shape.component()?)?);
                Some(lines)
            })
        };
        let is_cheaper = seen.shapes.len() <= MOST_LENGTHS && cost_by_length <= cost_by_start;
        is_cheaper.then(by_length).flatten().or_else(|| Some(vec![by_start?]))
    }
}

impl Shape {
    fn of(name: &[u8]) -> Shape {
        Shape { name: name.to_vec(), differing: vec![false; name.len()], are_ascii: true }
    }

    fn add(&mut self, name: &[u8]) {
        for (differs, (a, b)) in self.differing.iter_mut().zip(self.name.iter().zip(name)) {
            *differs |= a != b;
        }
        self.are_ascii &= name.is_ascii();
    }

    fn is_one_name(&self) -> bool {
        !self.differing.contains(&true)
    }

    fn cost(&self) -> f64 {
        if self.is_one_name() { 1.0 } else { COST_OF_FIXED }
    }

    /// A pattern for them; none where they differ and some hold characters of several bytes: a `?` takes all of one.
    fn component(&self) -> Option<Vec<u8>> {
        if self.is_one_name() {
            return Some(component::literal(&self.name).into_owned());
        }
        let of_byte = |(byte, differs): (&u8, &bool)| {
            if *differs { b"?".to_vec() } else { component::literal(&[*byte]).into_owned() }
        };
        self.are_ascii.then(|| self.name.iter().zip(&self.differing).flat_map(of_byte).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if so much of all names began with `a`.
    #[track_caller]
    fn lean_lines_among(share: u64, line: &str, ending: &str, seen: &[&str]) -> Option<Vec<String>> {
        let names = EndingNames::new(ending.len());
        seen.iter().for_each(|name| names.add(name.as_bytes()));
        let mut beginnings = Beginnings([0; 256]);
        beginnings.0[usize::from(b'a')] = share;
        beginnings.0[usize::from(b'z')] = 100 - share;
        let lines = names.lean_lines(line.as_bytes(), &beginnings)?;
        Some(lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect())
    }

    #[track_caller]
    fn lean_lines(line: &str, ending: &str, seen: &[&str]) -> Option<Vec<String>> {
        lean_lines_among(100, line, ending, seen)
    }

    #[test]
    fn names_are_written_out_and_those_of_one_length_are_one_pattern() {
        let lines = lean_lines("/s/*/*.log", ".log", &["b$.log", "a*.log", "bcd.log", "b$.log"]);
        assert_eq!(lines.unwrap(), ["/s/*/??.log", "/s/*/bcd.log"]);
        assert_eq!(lean_lines("/s/*/*.log", ".log", &["a*$.log"]).unwrap(), ["/s/*/a\\*$$.log"]);
        let lines = lean_lines("/s/*.log", ".log", &["app-1.log", "app-2.log", "app-30.log", "app.log"]);
        assert_eq!(lines.unwrap(), ["/s/app.log", "/s/app-?.log", "/s/app-30.log"]);
        assert_eq!(lean_lines("/s/*.log", ".log", &[]), None, "never no line at all");
    }

    #[test]
    fn a_beginning_that_few_names_share_is_cheaper_than_many_patterns() {
        let seen = ["app-1.log", "app-2.log", "app-30.log", "app.log"];
        assert_eq!(lean_lines_among(1, "/s/*.log", ".log", &seen).unwrap(), ["/s/app*.log"]);
        let many: Vec<String> = (1..9).map(|length| "a".repeat(length) + ".log").collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(lean_lines("/s/*.log", ".log", &many).unwrap(), ["/s/a*.log"]);
        let many: Vec<String> = many.iter().map(|name| name.replacen('a', "b", name.len() % 2)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(lean_lines("/s/*.log", ".log", &many), None, "nothing in common: the line stays");
    }

    #[test]
    fn a_question_mark_never_stands_for_a_part_of_a_character() {
        assert_eq!(lean_lines("/s/*.log", ".log", &["aé.log", "aaü.log", "aaa.log"]).unwrap(), ["/s/a*.log"]);
        assert_eq!(lean_lines("/s/*.log", ".log", &["ä.log"]).unwrap(), ["/s/ä.log"]);
    }

    #[test]
    fn the_ending_is_no_part_of_what_names_begin_with() {
        let many = ["aa", "aaa", "aaaa", "aaaaa", "aaaaaa", "aaaaaaa"];
        assert_eq!(
            lean_lines("/s/*aa", "aa", &many),
            None,
            "aa itself begins with nothing before its ending"
        );
        assert_eq!(
            lean_lines("/s/*aa", "aa", &many.map(|name| ["a", name].concat()).each_ref().map(String::as_str))
                .unwrap(),
            ["/s/a*aa"]
        );
    }
}
