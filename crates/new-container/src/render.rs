//! Fills in a template: `{{name}}` becomes its value. No I/O.
//!
//! A value may have several lines; if its placeholder is alone on a line, each of them gets that line's indentation, and
//! an empty value removes the line. A word in braces that is not a placeholder is an error with its line, because a
//! misspelt one would end up in a file. Docker's and Go's own templates stay as they are: they hold a dot, a quote or an
//! argument (`{{.Names}}`, `{{json .}}`), or are one of Go's words. `\{{word}}` is written as `{{word}}`.

use std::fmt;

/// Names and their values.
pub(crate) type Values = Vec<(&'static str, String)>;

/// Words that Go's templates write in braces alone.
const WORDS_OF_GO: [&str; 4] = ["end", "else", "break", "continue"];

/// A placeholder that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// Its line, counted from 1.
    pub(crate) line: usize,
    pub(crate) name: String,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown placeholder {{{{{}}}}}", self.name)
    }
}

impl std::error::Error for Unknown {}

/// `template` with all `values` filled in. Fails at the first placeholder that `values` does not have.
pub(crate) fn fill(template: &str, values: &Values) -> Result<String, Unknown> {
    let mut out = String::with_capacity(template.len());
    for (index, line) in template.split_inclusive('\n').enumerate() {
        match alone(line, values) {
            Some((_, "")) => {}
            Some((indentation, value)) => {
                for part in value.lines() {
                    if !part.is_empty() {
                        out.push_str(indentation);
                    }
                    out.push_str(part);
                    out.push('\n');
                }
            }
            None => fill_line(line, values, &mut out)
                .map_err(|name| Unknown { line: index + 1, name: name.to_string() })?,
        }
    }
    Ok(out)
}

/// The indentation and the value, if the line is only a placeholder.
fn alone<'a>(line: &'a str, values: &'a Values) -> Option<(&'a str, &'a str)> {
    let name = line.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let (_, value) = values.iter().find(|(known, _)| *known == name)?;
    let indentation = &line[..line.len() - line.trim_start().len()];
    Some((indentation, value))
}

/// Fails with the name of a placeholder that does not exist.
fn fill_line<'l>(line: &'l str, values: &Values, out: &mut String) -> Result<(), &'l str> {
    let mut rest = line;
    while let Some(start) = rest.find("{{") {
        let (before, from) = rest.split_at(start);
        let word = from[2..].split_once("}}").filter(|(inside, _)| is_word(inside.trim()));
        match word {
            // Of three braces the first is text.
            None => {
                out.push_str(before);
                out.push('{');
                rest = &from[1..];
            }
            Some((inside, after)) => {
                let value = values.iter().find(|(name, _)| *name == inside.trim());
                match (before.strip_suffix('\\'), value) {
                    (Some(before), _) => out.extend([before, &from[..from.len() - after.len()]]),
                    (None, Some((_, value))) => out.extend([before, value]),
                    (None, None) if WORDS_OF_GO.contains(&inside.trim()) => {
                        out.extend([before, &from[..from.len() - after.len()]]);
                    }
                    (None, None) => return Err(inside.trim()),
                }
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(())
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> Values {
        vec![("name", "app".into()), ("lines", "a:\n  - b\n".into()), ("nothing", String::new())]
    }

    #[test]
    fn placeholders_become_their_values() {
        let template = "x: {{name}}/{{ name }}\n  {{lines}}\n{{nothing}}\n[{{nothing}}]\n{{.Host}} {{json .}} {{end}} \\{{name}} {{{name}}}\nend";
        let expected = "x: app/app\n  a:\n    - b\n[]\n{{.Host}} {{json .}} {{end}} {{name}} {app}\nend";
        assert_eq!(fill(template, &values()).unwrap(), expected);
    }

    #[test]
    fn a_placeholder_that_does_not_exist_is_found_with_its_line() {
        for (template, name) in [("\n\na {{nmae}} b", "nmae"), ("\n\n  {{ data-dir }}\n", "data-dir")] {
            assert_eq!(fill(template, &values()), Err(Unknown { line: 3, name: name.into() }));
        }
    }

    proptest! {
        #[test]
        fn a_text_without_placeholders_stays_as_it_is(text in "[^{]*") {
            prop_assert_eq!(fill(&text, &values()).unwrap(), text);
        }

        #[test]
        fn a_value_is_not_filled_in_again(value in "[ -~]{0,20}") {
            let filled = fill("<{{name}}>", &vec![("name", value.clone())]).unwrap();
            prop_assert_eq!(filled, format!("<{value}>"));
        }
    }
}
