//! What a script says about itself, in comments that a shell passes over: `# dump: db.sql.gz`, `# timeout: 2h`,
//! `# weight: heavy`, `# after: other-service`, `# on-failure: continue`.
//!
//! Text in, declarations and problems out, no I/O. A comment counts anywhere in the script, if its first
//! word is one of these names and a colon follows. One that can't be read is a problem with its line, never passed
//! over: its author counts on it.

mod dump;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use common::text::escape;

pub(crate) use dump::{Dump, Kind};

use crate::cli::parse_time;

/// Everything a script says about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declarations {
    pub(crate) dumps: Vec<Dump>,
    /// Names of services whose prepare step has to be over before this one starts, with their lines.
    pub(crate) after: Vec<(usize, OsString)>,
    /// It runs while nothing else does.
    pub(crate) heavy: bool,
    pub(crate) timeout: Option<Duration>,
    /// A failure is a warning: the backup may start all the same.
    pub(crate) may_fail: bool,
    /// What can't be read: the line, counted from 1, and what was expected.
    pub(crate) problems: Vec<(usize, String)>,
}

pub(crate) fn parse(script: &[u8]) -> Declarations {
    let mut declarations = Declarations::default();
    for (index, line) in script.split(|&byte| byte == b'\n').enumerate() {
        let Some((name, value)) = declaration(line) else { continue };
        if let Err(expected) = declarations.add(index + 1, &name, value) {
            declarations.problems.push((index + 1, expected));
        }
    }
    declarations
}

/// The name, in small letters, and the value of a line that could be a declaration.
fn declaration(line: &[u8]) -> Option<(String, &[u8])> {
    let comment = line.trim_ascii().strip_prefix(b"#")?.trim_ascii_start();
    let colon = comment.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&comment[..colon]).ok()?.trim_end().to_ascii_lowercase();
    Some((name, comment[colon + 1..].trim_ascii()))
}

impl Declarations {
    fn add(&mut self, line: usize, name: &str, value: &[u8]) -> Result<(), String> {
        let given = escape(value);
        match name {
            "dump" => {
                let dump = dump::parse(line, value)?;
                if let Some(other) = self.dumps.iter().find(|other| other.text == dump.text) {
                    return Err(format!("dump: expected another path than in line {}: {given}", other.line));
                }
                self.dumps.push(dump);
            }
            "after" if value.is_empty() => return Err("after: expected the name of a service".into()),
            "after" => self.after.push((line, OsString::from_vec(value.to_vec()))),
            "weight" => match value {
                b"heavy" => self.heavy = true,
                b"normal" => self.heavy = false,
                _ => return Err(format!("weight: expected heavy or normal, not {given}")),
            },
            "timeout" => match std::str::from_utf8(value).map_err(|_| given.clone()).and_then(parse_time) {
                Ok(time) => self.timeout = Some(time),
                Err(why) => {
                    return Err(format!("timeout: expected a time such as 90s or 2h, not {given}: {why}"));
                }
            },
            "on-failure" => match value {
                b"continue" => self.may_fail = true,
                b"stop" => self.may_fail = false,
                _ => return Err(format!("on-failure: expected stop or continue, not {given}")),
            },
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_anywhere_count_and_other_lines_do_not() {
        let script =
            b"#!/bin/sh\n# Dumps the database: all of it\n  #timeout: 2h\nset -eu\n# After: postgres\n\
            # after: two words\necho '# no'\n# weight : heavy\n# on-failure: continue\ntimeout: 3h\n";
        let declarations = parse(script);
        assert_eq!(declarations.timeout, Some(Duration::from_secs(7200)));
        assert_eq!(declarations.after, [(5, "postgres".into()), (6, "two words".into())]);
        assert!(declarations.heavy && declarations.may_fail);
        assert_eq!(declarations.problems, []);
    }

    #[test]
    fn what_can_not_be_read_is_reported_with_its_line() {
        let problems =
            parse(b"# timeout: soon\n# weight: huge\n# on-failure: panic\n# after:\n# timeout: \xff\n")
                .problems;
        let lines: Vec<_> = problems.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5]);
        assert_eq!(problems[1].1, "weight: expected heavy or normal, not huge");
    }

    #[test]
    fn a_program_that_is_no_text_says_nothing() {
        let declarations = parse(b"\x7fELF\x02\x01\n\xff\xfe#: \n");
        assert!(declarations.problems.is_empty() && declarations.dumps.is_empty());
    }
}
