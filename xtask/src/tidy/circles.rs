//! No import circle inside a crate: files that use each other, directly or through others, are one file in pieces.
//!
//! Imports are read from `use` lines and from paths that start with `crate`, `super` or a module below the file, tests
//! aside. A file that uses what a file above it defines (`a/b.rs` uses `a.rs`) is structure, not an import. That does
//! not hold for a crate's root file, whose parts are all modules of the crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use common::problem::Problem;

use crate::source::Source;

/// A module's path below its crate, and the file that holds it.
type Modules<'a> = BTreeMap<Vec<&'a str>, &'a Path>;

/// What is against this rule: one finding for each circle.
pub(super) fn findings(sources: &[Source]) -> Vec<Problem> {
    let mut crates: BTreeMap<PathBuf, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        if let Some(root) = source.path.ancestors().find(|path| path.ends_with("src")) {
            crates.entry(root.to_path_buf()).or_default().push(source);
        }
    }
    crates.iter().flat_map(|(root, sources)| circles(root, sources)).collect()
}

fn circles(root: &Path, sources: &[&Source]) -> Vec<Problem> {
    let modules: Modules<'_> =
        sources.iter().map(|source| (module(root, &source.path), source.path.as_path())).collect();
    let imports: BTreeMap<&Path, BTreeSet<&Path>> = sources
        .iter()
        .map(|source| (source.path.as_path(), imports(root, source, sources, &modules)))
        .collect();
    let reach: BTreeMap<&Path, BTreeSet<&Path>> =
        imports.keys().map(|&file| (file, reachable(file, &imports))).collect();
    let mut found = BTreeSet::new();
    for (file, seen) in &reach {
        let circle: Vec<&Path> = seen.iter().filter(|other| reach[*other].contains(file)).copied().collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    let problem = |circle: Vec<&Path>| {
        let names: Vec<_> = circle
            .iter()
            .filter_map(|path| path.strip_prefix(root).ok())
            .map(|p| p.display().to_string())
            .collect();
        Problem::new(circle[0], format!("an import circle: {}", names.join(", ")))
    };
    found.into_iter().map(problem).collect()
}

fn module<'a>(root: &Path, path: &'a Path) -> Vec<&'a str> {
    let below = path.strip_prefix(root).unwrap_or(path).iter().filter_map(|part| part.to_str());
    let mut parts: Vec<&str> = below.map(|part| part.trim_end_matches(".rs")).collect();
    if matches!(parts.last(), Some(&("main" | "lib" | "mod"))) {
        parts.pop();
    }
    parts
}

/// The files that `source` imports from.
fn imports<'a>(
    root: &Path,
    source: &'a Source,
    sources: &[&'a Source],
    modules: &Modules<'a>,
) -> BTreeSet<&'a Path> {
    let own = module(root, &source.path);
    let lines = source.lines().filter(|line| !line.is_test);
    let code = lines.map(|line| line.code).collect::<Vec<_>>().join("\n");
    let mut files = BTreeSet::new();
    for path in paths(&code, declared(source)) {
        let full = match path.first().map(String::as_str) {
            Some("crate") => path[1..].to_vec(),
            Some("super") => {
                let up = path.iter().take_while(|part| *part == "super").count();
                let base = own.iter().take(own.len().saturating_sub(up)).map(ToString::to_string);
                base.chain(path[up..].iter().cloned()).collect()
            }
            Some("self") => own.iter().map(ToString::to_string).chain(path[1..].iter().cloned()).collect(),
            _ => own.iter().map(ToString::to_string).chain(path).collect::<Vec<_>>(),
        };
        let file = (1..=full.len())
            .rev()
            .find_map(|length| modules.get(&full[..length].iter().map(String::as_str).collect::<Vec<_>>()))
            .copied()
            .or_else(|| root_file(own.first()?, root, sources));
        let is_above = |file: &Path| source.path.starts_with(file.with_extension(""));
        files.extend(file.filter(|file| *file != source.path && !is_above(file)));
    }
    files
}

/// The `main.rs` or `lib.rs` that declares `module`.
fn root_file<'a>(module: &str, root: &Path, sources: &[&'a Source]) -> Option<&'a Path> {
    let mut roots = sources.iter().filter(|source| self::module(root, &source.path).is_empty());
    roots.find(|source| declared(source).any(|name| name == module)).map(|source| source.path.as_path())
}

/// The modules that `source` declares with `mod name;`.
fn declared(source: &Source) -> impl Iterator<Item = &str> {
    let code = source.lines().filter(|line| !line.is_test).map(|line| line.code.trim());
    let statements = code.filter_map(|code| code.strip_suffix(';')?.rsplit_once("mod "));
    statements.filter(|(before, _)| before.is_empty() || before.starts_with("pub")).map(|(_, name)| name)
}

/// The paths of all `use` trees, and those that start with `crate`, `super` or a module of `declared` anywhere else.
fn paths<'a>(code: &str, declared: impl Iterator<Item = &'a str>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let statements = code.split(';').filter_map(|part| {
        let at = part.rfind("use ").filter(|&at| at == 0 || part[..at].ends_with([' ', '\n', '}']))?;
        Some(&part[at + 4..])
    });
    statements.for_each(|tree| expand(&[], tree, &mut found));
    for start in declared.chain(["crate", "super"]).map(|name| format!("{name}::")) {
        for (at, _) in code.match_indices(&start) {
            let belongs = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = code[at..].find(|c| !belongs(c)).unwrap_or(code.len() - at);
            // What ends in `::` is the beginning of a `use` tree, read above.
            let path = &code[at..at + end];
            if !code[..at].ends_with(belongs) && !path.ends_with("::") {
                expand(&[], path, &mut found);
            }
        }
    }
    found
}

/// `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(before: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let mut depth = 0;
    let parts = tree.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        let (head, inner) = part.split_once('{').map_or((part, None), |(head, inner)| (head, Some(inner)));
        let name = |part: &str| part.split(" as ").next().unwrap_or(part).trim().to_string();
        let names = head.split("::").map(name).filter(|name| !name.is_empty());
        let path: Vec<String> = before.iter().cloned().chain(names).collect();
        match inner.and_then(|inner| inner.rsplit_once('}')) {
            Some((inner, _)) => expand(&path, inner, found),
            None => found.push(path),
        }
    }
}

fn reachable<'a>(from: &'a Path, imports: &BTreeMap<&'a Path, BTreeSet<&'a Path>>) -> BTreeSet<&'a Path> {
    let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
    while let Some(file) = next.pop() {
        next.extend(imports[file].iter().filter(|other| seen.insert(other)));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::sample;

    #[track_caller]
    fn assert_circles(files: &[(&str, &str)], expected: &[&str]) {
        let sources: Vec<_> =
            files.iter().map(|(path, text)| sample(&format!("crates/a/src/{path}"), text)).collect();
        let found: Vec<_> = findings(&sources).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn files_that_use_each_other_through_others_are_found_once() {
        assert_circles(
            &[
                ("main.rs", "mod x;\nuse x::run;\n"),
                ("x.rs", "use crate::{\n    y::Thing,\n    z,\n};\n"),
                ("y.rs", "fn f() { crate::z::g(); }\n"),
                ("z.rs", "use super::x::{self, Part as Other};\n"),
            ],
            &["crates/a/src/x.rs: an import circle: x.rs, y.rs, z.rs"],
        );
    }

    #[test]
    fn what_the_root_file_defines_is_imported_from_it() {
        let app = ("app.rs", "use crate::TOOL;\nfn run() {}\n");
        let main = "mod app;\nconst TOOL: &str = \"a\";\nfn main() { exit(TOOL, app::run) }\n";
        let circle = ["crates/a/src/app.rs: an import circle: app.rs, main.rs"];
        assert_circles(&[app, ("main.rs", main)], &circle);
        assert_circles(&[app, ("lib.rs", "pub mod door;\n"), ("main.rs", main)], &circle);
        let lib = ("lib.rs", "mod app;\npub const TOOL: &str = \"a\";\n");
        assert_circles(&[app, lib, ("main.rs", "fn main() { a::app::run() }\n")], &[]);
    }

    #[test]
    fn what_a_file_above_calls_is_imported_by_it() {
        assert_circles(
            &[
                ("x.rs", "mod y;\nfn f() { y::g() }\n"),
                ("x/y.rs", "use crate::z;\n"),
                ("z.rs", "use crate::x;\n"),
            ],
            &["crates/a/src/x/y.rs: an import circle: x/y.rs, x.rs, z.rs"],
        );
    }

    #[test]
    fn a_child_may_use_its_parent_and_a_test_may_use_anything() {
        assert_circles(
            &[
                ("x.rs", "mod y;\nuse y::run;\n// crate::z is not used\n"),
                ("x/y.rs", "use super::Part;\n"),
                ("z.rs", "use crate::x;\n#[cfg(test)]\nmod tests {\n    use crate::w;\n}\n"),
                ("w.rs", "use crate::z;\n"),
            ],
            &[],
        );
    }
}
