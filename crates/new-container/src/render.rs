//! Fills a template in: `{{name}}` becomes its value. No I/O.
//!
//! A value may have several lines; where its placeholder stands alone on a line, each of them gets that line's
//! indentation, and an empty value takes the line away. That is all there is: what is to be decided is decided in
//! [`crate::plan`]. Names that nobody knows stay as they are, because Docker and Go have templates of that look.

/// Names and what they stand for.
pub(crate) type Values = Vec<(&'static str, String)>;

/// `template` with all `values` filled in.
pub(crate) fn fill(template: &str, values: &Values) -> String {
    let mut out = String::with_capacity(template.len());
    for line in template.split_inclusive('\n') {
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
            None => fill_line(line, values, &mut out),
        }
    }
    out
}

/// The indentation and the value, where the line is a placeholder and nothing else.
fn alone<'a>(line: &'a str, values: &'a Values) -> Option<(&'a str, &'a str)> {
    let name = line.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let (_, value) = values.iter().find(|(known, _)| *known == name)?;
    let indentation = &line[..line.len() - line.trim_start().len()];
    Some((indentation, value))
}

fn fill_line(line: &str, values: &Values, out: &mut String) {
    let mut rest = line;
    while let Some(start) = rest.find("{{") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let known = values.iter().find_map(|(name, value)| {
            let after = from[2..].strip_prefix(name)?.strip_prefix("}}")?;
            Some((value, after))
        });
        match known {
            Some((value, after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push('{');
                rest = &from[1..];
            }
        }
    }
    out.push_str(rest);
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
        let template = "x: {{name}}/{{name}}\n  {{lines}}\n{{nothing}}\n[{{nothing}}]\n{{.Host}} {{unknown}} {{{name}}}\nend";
        let expected = "x: app/app\n  a:\n    - b\n[]\n{{.Host}} {{unknown}} {app}\nend";
        assert_eq!(fill(template, &values()), expected);
    }

    proptest! {
        #[test]
        fn a_text_without_placeholders_stays_as_it_is(text in "[^{]*") {
            prop_assert_eq!(fill(&text, &values()), text);
        }

        #[test]
        fn a_value_is_not_filled_in_again(value in "[ -~]{0,20}") {
            let filled = fill("<{{name}}>", &vec![("name", value.clone())]);
            prop_assert_eq!(filled, format!("<{value}>"));
        }
    }
}
