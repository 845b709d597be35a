//! A file of `common` has at least two users, otherwise it belongs to the one that uses it; and what is public in it is
//! used at all.
//!
//! Every public function, type, trait and constant of `common` is looked for, by name, in the other crates and in the
//! other files of `common`. A type in the signature of another public item counts as used, and so does what a macro of
//! the file calls. A name that is a common word may pass unseen.

use std::collections::BTreeSet;

use common::problem::Problem;

use crate::source::{Source, has_word};

pub(super) fn findings(sources: &[Source]) -> Vec<Problem> {
    let is_common = |source: &&Source| source.path.starts_with("crates/common/src");
    sources.iter().filter(is_common).flat_map(|source| of_file(source, sources)).collect()
}

fn of_file(source: &Source, all: &[Source]) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut users_of_file: BTreeSet<String> = BTreeSet::new();
    let items = items(source);
    let Some(&(first, ..)) = items.first() else { return found };
    for (line, is_type, name) in items {
        // Each file of `common` counts by itself, its unit tests apart.
        let others =
            all.iter().filter(|other| other.path != source.path && !other.path.ends_with("tests.rs"));
        let users = others.filter(|other| other.mentions(name)).map(|other| match other.member.as_str() {
            "common" => other.path.display().to_string(),
            member => member.to_string(),
        });
        let mut users = users.peekable();
        let is_used = users.peek().is_some();
        users_of_file.extend(users);
        let in_signature = || {
            source.lines().any(|other| {
                let code = other.code.trim_start();
                let declares = code.starts_with("pub ") || code.starts_with(')') || code.contains(": ");
                other.number != line && declares && has_word(code, name)
            })
        };
        let in_macro = || source.text.contains("$crate::") && source.text.contains(&format!("::{name}("));
        if !(is_used || in_macro() || is_type && in_signature()) {
            let what = format!("{name}: nothing uses it: make it private or remove it");
            found.push(Problem::at_line(&source.path, line, what));
        }
    }
    if let (1, Some(user)) = (users_of_file.len(), users_of_file.first()) {
        found.push(Problem::at_line(
            &source.path,
            first,
            format!("only {user} uses this file: move it there"),
        ));
    }
    found
}

/// The public items of a file: line, whether it is a type, and name.
fn items(source: &Source) -> Vec<(usize, bool, &str)> {
    // What only tests see is public all the same.
    let lines = source.lines().filter(|line| !line.is_test || source.path.ends_with("testing.rs"));
    let declared = lines.filter(|line| !line.is_excused).filter_map(|line| {
        let words =
            line.code.trim_start().strip_prefix("pub ")?.split(|c: char| !c.is_alphanumeric() && c != '_');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            ["const", "fn", name, ..] | ["fn" | "const" | "static", name, ..] => {
                Some((line.number, false, *name))
            }
            ["struct" | "enum" | "trait" | "type", name, ..] => Some((line.number, true, *name)),
            _ => None,
        }
    });
    declared.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::sample;

    #[track_caller]
    fn printed(common: &str, others: &[(&str, &str)]) -> Vec<String> {
        let mut sources = vec![sample("crates/common/src/units.rs", common)];
        sources
            .extend(others.iter().map(|(member, text)| sample(&format!("crates/{member}/src/x.rs"), text)));
        findings(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_that_one_crate_uses_is_found_and_so_is_a_dead_item() {
        let common = "//! U.\npub fn bytes() {}\npub fn lonely() {}\npub fn dead() {}\npub fn inner() {}\n";
        let uses = "use common::units;\nunits::bytes();\n";
        let found = printed(
            common,
            &[
                ("a", &format!("{uses}units::lonely();\nunits::inner();\n")),
                ("b", uses),
                ("common", "inner();\n"),
            ],
        );
        assert_eq!(
            found,
            ["crates/common/src/units.rs:4: dead: nothing uses it: make it private or remove it"]
        );
        let found = printed("//! U.\npub fn lonely() {}\n", &[("a", "units::lonely();\n")]);
        assert_eq!(found, ["crates/common/src/units.rs:2: only a uses this file: move it there"]);
    }

    #[test]
    fn a_type_in_a_shared_signature_is_used_and_a_method_needs_a_user() {
        let common = "//! U.\npub struct End;\npub fn run() -> End {\n}\nimpl End {\n    pub fn ok(self) {}\n    pub fn no(self) {}\n}\n";
        let uses = "common::units::run().ok();\nok_no();\n";
        let found = printed(common, &[("a", uses), ("b", uses)]);
        assert_eq!(
            found,
            ["crates/common/src/units.rs:7: no: nothing uses it: make it private or remove it"]
        );
    }
}
