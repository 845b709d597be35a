//! What lies in `common` is used by at least two crates; else it belongs to the one that uses it.
//!
//! Every public function, method, type, trait and constant of `common` is looked for, by name, in the other crates. A
//! type also counts as used where another public item of `common` has it in its signature, and anything that one crate
//! and another module of `common` use counts as shared. Names that are common words may pass unseen.

use std::collections::BTreeSet;

use common::problem::Problem;

use super::source::{Source, has_word};

/// One public item.
#[derive(Debug)]
struct Item<'a> {
    source: &'a Source,
    line: usize,
    name: &'a str,
    kind: Kind<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind<'a> {
    Type,
    /// A function or constant of this module.
    Free(&'a str),
    /// A method or constant of this type.
    Of(&'a str),
}

/// What is against this rule.
pub(super) fn findings(sources: &[Source]) -> Vec<Problem> {
    let (common, others): (Vec<_>, Vec<_>) = sources.iter().partition(|source| source.member == "common");
    let items =
        common.iter().filter(|source| source.path.starts_with("crates/common/src")).flat_map(|s| items(s));
    items.filter_map(|item| finding(&item, &common, &others)).collect()
}

fn finding(item: &Item<'_>, common: &[&Source], others: &[&Source]) -> Option<Problem> {
    let mut users: BTreeSet<&str> =
        others.iter().filter(|source| uses(source, item)).map(|source| source.member.as_str()).collect();
    let is_unit_test = |source: &Source| source.path.ends_with("tests.rs");
    let elsewhere = |source: &&&Source| source.path != item.source.path && !is_unit_test(source);
    if common.iter().filter(elsewhere).any(|source| uses(source, item)) {
        users.insert("common");
    }
    let in_signature = |source: &&Source| {
        source.lines().any(|line| {
            let code = line.code.trim_start();
            let declares =
                code.starts_with("pub ") && !code.starts_with("pub use") && line.number != item.line;
            let continues = code.starts_with(')') || code.contains(": ");
            (declares || continues) && has_word(code, item.name)
        })
    };
    if item.kind == Kind::Type && (users.len() == 1 || users.is_empty()) && common.iter().any(in_signature) {
        return None;
    }
    let what = match users.len() {
        0 => format!("{}: nobody uses it: make it private or remove it", item.name),
        1 => format!("{}: only {} uses it: move it there", item.name, users.first()?),
        _ => return None,
    };
    Some(Problem::at_line(&item.source.path, item.line, what))
}

fn uses(source: &Source, item: &Item<'_>) -> bool {
    match item.kind {
        Kind::Type => source.mentions(item.name),
        Kind::Free(module) => source.mentions(module) && source.mentions(item.name),
        Kind::Of(owner) => {
            let called = format!(".{}", item.name);
            let named = format!("{owner}::{}", item.name);
            let own = format!("Self::{}", item.name);
            let calls = |code: &str| [&called, &named, &own].iter().any(|form| ends_there(code, form));
            source.lines().any(|line| calls(line.code))
        }
    }
}

/// Whether `form` occurs in `code` and the name ends with it.
fn ends_there(code: &str, form: &str) -> bool {
    code.match_indices(form)
        .any(|(at, _)| !code[at + form.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

fn items(source: &Source) -> Vec<Item<'_>> {
    let module = source.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    let mut owner = "";
    let mut items = Vec::new();
    for line in source.lines().filter(|line| !line.is_test || source.path.ends_with("testing.rs")) {
        if line.code.starts_with("impl") {
            owner = owner_of(line.code);
        }
        let Some(rest) = line.code.trim_start().strip_prefix("pub ").filter(|_| !line.is_excused) else {
            continue;
        };
        let indented = line.code.starts_with(' ');
        let words: Vec<&str> =
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
        let (kind, name) = match words.as_slice() {
            ["const", "fn", name, ..] | ["fn" | "const" | "static", name, ..] if indented => {
                (Kind::Of(owner), *name)
            }
            ["const", "fn", name, ..] | ["fn" | "const" | "static", name, ..] => (Kind::Free(module), *name),
            ["struct" | "enum" | "trait" | "type", name, ..] => (Kind::Type, *name),
            _ => continue,
        };
        items.push(Item { source, line: line.number, name, kind });
    }
    items
}

/// `Lock` of `impl Lock {`, `impl<'a> Lock<'a> {` and `impl Drop for Lock {`.
fn owner_of(code: &str) -> &str {
    let code = code.rsplit(" for ").next().unwrap_or(code).trim_start();
    let code = code.strip_prefix("impl").unwrap_or(code);
    let code =
        if code.starts_with('<') { code.split_once("> ").map_or(code, |(_, after)| after) } else { code };
    code.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::super::source::sample;
    use super::*;

    fn said(common: &str, others: &[(&str, &str)]) -> Vec<String> {
        let mut sources = vec![sample("crates/common/src/units.rs", common)];
        sources
            .extend(others.iter().map(|(member, text)| sample(&format!("crates/{member}/src/x.rs"), text)));
        findings(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_item_that_one_crate_uses_is_found_and_one_that_two_use_is_not() {
        let common = "//! U.\npub fn bytes() {}\npub fn lonely() {}\npub fn dead() {}\n";
        let uses = "use common::units;\nunits::bytes();\n";
        let found = said(common, &[("a", &format!("{uses}units::lonely();\n")), ("b", uses)]);
        assert_eq!(
            found,
            [
                "crates/common/src/units.rs:3: lonely: only a uses it: move it there",
                "crates/common/src/units.rs:4: dead: nobody uses it: make it private or remove it",
            ]
        );
    }

    #[test]
    fn a_type_in_a_shared_signature_is_shared_and_methods_are_looked_for_by_their_call() {
        let common = "//! U.\npub struct End;\npub fn run() -> End {\n}\nimpl End {\n    pub fn ok(self) {}\n    pub fn no(self) {}\n}\n";
        let uses = "common::units::run().ok();\nok_no();\n";
        let found = said(common, &[("a", uses), ("b", uses)]);
        assert_eq!(found, ["crates/common/src/units.rs:7: no: nobody uses it: make it private or remove it"]);
    }

    #[test]
    fn the_owner_of_an_implementation_is_read() {
        let cases = [
            ("impl Lock {", "Lock"),
            ("impl Drop for Lock {", "Lock"),
            ("impl<'a> Reader<'a> {", "Reader"),
            ("impl<T> HintExt<T> for Result<T> {", "Result"),
        ];
        for (code, owner) in cases {
            assert_eq!(owner_of(code), owner, "{code}");
        }
    }
}
