//! Backrest's `.env`, read as Docker Compose v2 reads it (compose-go's `dotenv` and `template` packages): comments,
//! `export`, single and double quotes over several lines, and `${NAME}` with its defaults.
//!
//! What a reader gets wrong: the process's environment wins over an earlier line of the file when a name is
//! expanded, but not for the value that a line sets. A line that can't be read is a problem, and the others count.
//! A problem names the variable and the column and never repeats anything of the value, which may be a password.

mod expand;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::problem::Problem;

/// `text` with its variables replaced by what `lookup` returns; `None` if that can't be done.
pub(crate) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    expand::expand(text, lookup).ok()
}

/// A value and the line that set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The values of the `.env` whose text is `text`, and what could not be read in it. `path` is for the problems;
/// `environment` is asked first when a name is expanded.
pub(crate) fn parse(
    text: &str,
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (BTreeMap<String, Value>, Vec<Problem>) {
    let mut reader = Parser { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    let mut problems = Vec::new();
    // Past a quote that is not closed a line may be the rest of its value, so not even its name is repeated.
    let mut names_are_safe = true;
    while let Some((line, statement)) = reader.next_statement() {
        let result = statement.and_then(|Statement { key, value, column }| {
            let lookup =
                |name: &str| environment(name).or_else(|| values.get(name).map(|value| value.text.clone()));
            let text = match value {
                Written::Literal(text) => Some(text),
                Written::Expanded(text) => match expand::expand(&text, &lookup) {
                    Ok(text) => Some(text),
                    Err(why) => return Err(BadStatement { key: Some(key), column, why }),
                },
                // A name alone takes its value from the environment.
                Written::Nothing => environment(&key),
            };
            if let Some(text) = text {
                values.insert(key, Value { text, line });
            }
            Ok(())
        });
        if let Err(BadStatement { key, column, why }) = result {
            let name = key.filter(|_| names_are_safe).map(|key| format!("{key}, ")).unwrap_or_default();
            problems.push(Problem::at_line(
                path,
                line,
                format!("{name}column {column}: {why}; the line is not used"),
            ));
            names_are_safe &= why != Flaw::OpenQuote;
        }
    }
    (values, problems)
}

struct Statement {
    key: String,
    value: Written,
    /// Where the value starts, in characters from 1.
    column: usize,
}

/// Flaw a statement can't be used, without a word of its value.
struct BadStatement {
    key: Option<String>,
    column: usize,
    why: Flaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    NoName,
    NoEquals,
    OpenQuote,
    AfterQuote,
    OpenBrace,
    NotAReference,
    Required,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::NoName => "there is no name before the value",
            Flaw::NoEquals => "there is no = after the name",
            Flaw::OpenQuote => "the quote is not closed",
            Flaw::AfterQuote => "there is something after the closing quote",
            Flaw::OpenBrace => "the brace of a ${…} is not closed",
            Flaw::NotAReference => "a ${…} is not understood",
            Flaw::Required => "a variable that a ${…} requires is not set",
        })
    }
}

enum Written {
    Literal(String),
    Expanded(String),
    Nothing,
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Parser<'a> {
    /// The next statement with its line, or why it can't be read.
    fn next_statement(&mut self) -> Option<(usize, Result<Statement, BadStatement>)> {
        loop {
            self.skip(self.rest.len() - self.rest.trim_start().len());
            if self.rest.is_empty() {
                return None;
            }
            if !self.rest.starts_with('#') {
                let line = self.line;
                return Some((line, self.statement()));
            }
            self.take_line();
        }
    }

    fn statement(&mut self) -> Result<Statement, BadStatement> {
        let first = self.rest.split('\n').next().unwrap_or("");
        let body = match first.strip_prefix("export") {
            Some(after) if after.starts_with([' ', '\t']) => after.trim_start_matches([' ', '\t']),
            _ => first,
        };
        let key_length = body.find(|c: char| !is_key_character(c)).unwrap_or(body.len());
        let (key, after) = body.split_at(key_length);
        let after = after.trim_start_matches([' ', '\t']);
        if key.is_empty() {
            self.take_line();
            return Err(BadStatement { key: None, column: column_of(first, body), why: Flaw::NoName });
        }
        let key = key.to_string();
        let Some(value) = after.strip_prefix(['=', ':']) else {
            self.take_line();
            let column = column_of(first, after);
            let is_empty = after.trim_end().is_empty() || after.starts_with('#');
            // What looks like a name may be a value that lost its name.
            let fault = BadStatement { key: None, column, why: Flaw::NoEquals };
            return if is_empty {
                Ok(Statement { key, value: Written::Nothing, column })
            } else {
                Err(fault)
            };
        };
        let value = value.trim_start_matches([' ', '\t']);
        let column = column_of(first, value);
        self.skip(first.len() - value.len());
        match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => match self.quoted(quote) {
                Ok(value) => Ok(Statement { key, value, column }),
                Err((offset, why)) => Err(BadStatement { key: Some(key), column: column + offset, why }),
            },
            _ => {
                let value = without_comment(self.take_line()).trim().to_string();
                Ok(Statement { key, value: Written::Expanded(value), column })
            }
        }
    }

    /// The value in quotes, or how many characters after its start what is wrong.
    fn quoted(&mut self, quote: char) -> Result<Written, (usize, Flaw)> {
        let inside = &self.rest[1..];
        let mut escaped = false;
        let end = inside.char_indices().find(|&(_, c)| {
            let is_end = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        });
        let Some((end, _)) = end else {
            self.take_line();
            return Err((0, Flaw::OpenQuote));
        };
        let value = &inside[..end];
        self.skip(end + 2);
        let after = self.take_line().trim();
        if !after.is_empty() && !after.starts_with('#') {
            let on_one_line = !value.contains('\n');
            return Err((if on_one_line { value.chars().count() + 2 } else { 0 }, Flaw::AfterQuote));
        }
        Ok(match quote {
            '\'' => Written::Literal(value.replace("\\'", "'")),
            _ => Written::Expanded(unescape(value)),
        })
    }

    fn take_line(&mut self) -> &'a str {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.skip((end + 1).min(self.rest.len()));
        line
    }

    fn skip(&mut self, length: usize) {
        let (gone, rest) = self.rest.split_at(length);
        self.line += gone.matches('\n').count();
        self.rest = rest;
    }
}

/// Where `rest`, a tail of `line`, starts in it: in characters from 1.
fn column_of(line: &str, rest: &str) -> usize {
    line[..line.len() - rest.len()].chars().count() + 1
}

fn is_key_character(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']')
}

/// An unquoted value ends where white space and a `#` begin a comment.
fn without_comment(value: &str) -> &str {
    let mut before = ' ';
    for (index, c) in value.char_indices() {
        if c == '#' && before.is_whitespace() {
            return &value[..index];
        }
        before = c;
    }
    value
}

/// The escapes of a double-quoted value. `\$` becomes `$$`, which the expansion turns into a dollar sign.
fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('$') => out.push_str("$$"),
            Some(c @ ('"' | '\\' | '\'')) => out.push(c),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn value_of(text: &str) -> Option<String> {
        let environment = |name: &str| (name == "HOST_HOME").then(|| "/home/me".to_string());
        let (values, problems) = parse(text, Path::new(".env"), &environment);
        assert_eq!(problems, []);
        values.get("V").map(|value| value.text.clone())
    }

    #[test]
    fn values_are_read_as_compose_reads_them() {
        let cases = [
            ("V=plain", "plain"),
            ("export V=plain", "plain"),
            ("V = spaced out  ", "spaced out"),
            ("V: yaml", "yaml"),
            ("V=value # comment", "value"),
            ("V=a#b", "a#b"),
            ("V=# comment", ""),
            ("V=", ""),
            ("V='single $HOST_HOME # kept'", "single $HOST_HOME # kept"),
            ("V='it\\'s'", "it's"),
            ("V=\"double ${HOST_HOME}\\n\" # comment", "double /home/me\n"),
            ("V=\"two\nlines\"", "two\nlines"),
            ("V=\"\\$HOST_HOME $$x\"", "$HOST_HOME $x"),
            ("V=$HOST_HOME/data", "/home/me/data"),
            ("A=/a\nV=${A}/b", "/a/b"),
            ("HOST_HOME=/file\nV=${HOST_HOME}", "/home/me"),
            ("V=${MISSING:-/default}", "/default"),
            ("V=${MISSING-/default}", "/default"),
            ("E=\nV=${E:-/default}", "/default"),
            ("E=\nV=[${E-/default}]", "[]"),
            ("V=${MISSING:-${HOST_HOME}/x}", "/home/me/x"),
            ("V=${HOST_HOME:+set}${MISSING:+unset}", "set"),
            ("V=${MISSING}x", "x"),
            ("\u{feff}V=after a byte order mark\r\n", "after a byte order mark"),
            ("# V=comment\n\n  V=indented", "indented"),
            ("V=first\nV=last", "last"),
        ];
        for (text, expected) in cases {
            assert_eq!(value_of(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn a_bad_line_is_named_and_the_others_count() {
        let text = "A=1\n=nothing\nB=\"x\" y\nC=${MISSING:?say so}\nD='open\nE=5\n";
        let (values, problems) = parse(text, Path::new("/c/.env"), &|_| None);
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "/c/.env:2: column 1: there is no name before the value; the line is not used",
                "/c/.env:3: B, column 6: there is something after the closing quote; the line is not used",
                "/c/.env:4: C, column 3: a variable that a ${…} requires is not set; the line is not used",
                "/c/.env:5: D, column 3: the quote is not closed; the line is not used",
            ]
        );
        assert_eq!(values.keys().collect::<Vec<_>>(), ["A", "E"]);
        assert_eq!(values["E"].line, 6);
    }

    #[test]
    fn no_problem_repeats_anything_of_a_value() {
        let lines = [
            "U='https://k/s3cr'3ttoken'",
            "U=\"s3cr\" 3ttoken",
            "U='s3cr3ttoken",
            "U=\"s3cr\n3ttoken",
            "U='open\ns3cr3ttoken\n s3cr3t token\ns3cr3t=${3ttoken\n",
            "U=${s3cr3t:?3ttoken}",
            "U=${X:?s3cr3ttoken}",
            "U=${X:-${s3cr3t:?3ttoken}}",
            "U=${s3cr!3ttoken}",
            "U=${!s3cr3ttoken}",
            "U=s3cr${3ttoken",
            "U=${X:+}${s3cr3ttoken",
            "=s3cr3ttoken",
            "s3cr3t token",
            "export s3cr3t token",
            "s3cr3t+token=1",
        ];
        for line in lines {
            let (_, problems) = parse(line, Path::new(".env"), &|_| None);
            assert!(!problems.is_empty(), "{line:?}");
            let shown: String = problems.iter().map(ToString::to_string).collect();
            assert!(!shown.contains("s3cr") && !shown.contains("3ttoken"), "{line:?}: {shown}");
        }
    }
}
