//! Constructs that must not occur, each with the reason that is printed.
//!
//! What clippy can refuse (`unwrap`, `panic!`, `exit`, `println!`, `#[allow]`) is in the workspace's lints and not here.

use common::problem::Problem;

use crate::source::{Line, Source};

/// Where a construct is banned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Everywhere,
    OutsideTests,
    /// In what users run; xtask may.
    InTools,
}

const BANNED: [(&str, Where, &str); 11] = [
    ("#[ignore", Where::Everywhere, "a test never passes by being skipped"),
    (".output()", Where::OutsideTests, "a child without a deadline: use common::process"),
    (".spawn()", Where::InTools, "a child without a deadline: use common::process"),
    (".status()?", Where::InTools, "a child without a deadline: use common::process"),
    (".status().with_context(", Where::InTools, "a child without a deadline: use common::process"),
    (".exec()", Where::InTools, "a child without a deadline: use common::process"),
    ("fs::write(", Where::InTools, "half a file may stay: use common::atomic"),
    ("File::create(", Where::InTools, "half a file may stay: use common::atomic"),
    ("Command::new(\"sh\")", Where::InTools, "no shell in between"),
    ("Command::new(\"bash\")", Where::InTools, "no shell in between"),
    ("/bin/sh\", \"-c\"", Where::InTools, "no shell in between"),
];

/// What is against these rules. This file, which has to name them, is left out.
pub(super) fn findings(sources: &[Source]) -> Vec<Problem> {
    let others = sources.iter().filter(|source| !source.path.ends_with("tidy/banned.rs"));
    others.flat_map(|source| source.lines().flat_map(|line| of_line(source, line))).collect()
}

fn of_line(source: &Source, line: Line<'_>) -> Vec<Problem> {
    let applies = |place: Where| match place {
        Where::Everywhere => true,
        Where::OutsideTests => !line.is_test,
        Where::InTools => !line.is_test && source.member != "xtask",
    };
    let broken = BANNED.iter().filter(|(word, place, _)| {
        !line.is_excused
            && applies(*place)
            && line.code.contains(word)
            && !line.code.contains(&format!("\"{word}"))
    });
    broken
        .map(|(word, _, why)| Problem::at_line(&source.path, line.number, format!("{word}: {why}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::sample;

    #[test]
    fn a_construct_is_found_where_it_is_banned_and_not_where_it_is_excused() {
        let text = "//! X.\nlet a = b.output();\n// tidy: it has a deadline of its own\nlet c = d.output();\n\
                    fs::write(p, t)?; // tidy: a lock file\n#[cfg(test)]\nmod tests {\nlet e = f.output();\n#[ignore]\n";
        let found: Vec<_> = findings(&[sample("crates/a/src/b.rs", text)]).iter().map(|f| f.line).collect();
        assert_eq!(found, [Some(2), Some(9)]);
    }

    #[test]
    fn xtask_may_do_what_tools_may_not() {
        let text = "//! X.\nfs::write(path, text)?;\n";
        assert!(findings(&[sample("crates/xtask/src/b.rs", text)]).is_empty());
        assert_eq!(findings(&[sample("crates/tool/src/b.rs", text)]).len(), 1);
    }
}
