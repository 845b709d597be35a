//! One type name means one thing in a crate, so that a name alone leads a reader to its definition.

use std::collections::BTreeMap;

use common::problem::Problem;

use crate::source::Source;

/// Types of one crate that share a name. Tests may reuse names.
pub(super) fn findings(sources: &[Source]) -> Vec<Problem> {
    let mut first: BTreeMap<(&str, &str), &Source> = BTreeMap::new();
    let mut found = Vec::new();
    for source in sources {
        for line in source.lines().filter(|line| !line.is_test) {
            let Some(name) = defined_type(line.code) else { continue };
            match first.get(&(source.member.as_str(), name)) {
                Some(other) => found.push(Problem::at_line(
                    &source.path,
                    line.number,
                    format!("type {name}: {} has one of this name too", other.path.display()),
                )),
                None => {
                    first.insert((&source.member, name), source);
                }
            }
        }
    }
    found
}

/// The name of the type that a line of code starts to define.
fn defined_type(code: &str) -> Option<&str> {
    let mut words = code.split_whitespace().skip_while(|word| word.starts_with("pub"));
    match words.next() {
        Some("struct" | "enum" | "trait") => {}
        // One that is indented belongs to a trait.
        Some("type") if !code.starts_with(' ') => {}
        _ => return None,
    }
    let name = words.next()?;
    let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
    (end > 0).then(|| &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::sample;

    #[test]
    fn a_second_type_of_a_name_is_found_outside_tests_and_other_crates() {
        let sources = [
            sample("crates/a/src/one.rs", "//! X.\npub(crate) struct Line<'a> {\nenum Kind {\n"),
            sample(
                "crates/a/src/two.rs",
                "//! X.\ntype Line = u8;\n#[cfg(test)]\nmod tests { }\nstruct Kind;\n",
            ),
            sample("crates/b/src/one.rs", "//! X.\npub struct Line(u8);\nlet structure = 1;\n"),
        ];
        let found: Vec<String> = findings(&sources).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["crates/a/src/two.rs:2: type Line: crates/a/src/one.rs has one of this name too"]);
    }
}
