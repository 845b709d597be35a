//! `docs/modules.md`: every source file with the first sentence of its header, for a newcomer who looks for a place.
//!
//! `cargo xtask reference` writes it; `cargo xtask tidy` finds one that is out of date.

use std::collections::BTreeMap;
use std::path::Path;

use crate::source::Source;

pub(crate) const PAGE: &str = "docs/modules.md";

const START: &str = "# Modules

Reference for developers: every source file but tests, and its purpose from its own first sentence. [Architecture](architecture.md) explains how the crates work together. `cargo xtask reference` writes this page.
";

pub(crate) fn text(sources: &[Source]) -> String {
    let mut files: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    // What tests start with is a file that a developer looks for.
    let is_listed = |source: &&Source| !source.is_test() || source.path.ends_with("testing.rs");
    for source in sources.iter().filter(is_listed) {
        let src = source.path.ancestors().find(|path| path.ends_with("src"));
        if let (Some(file), Some(member)) = (source.below_src(), src.and_then(Path::parent)) {
            let (file, member) = (file.display().to_string(), member.display().to_string());
            files.entry(member).or_default().insert(file, first_sentence(&source.text));
        }
    }
    let mut page = START.to_string();
    for (member, files) in files {
        page.push_str(&format!("\n## {member}\n\n| file | purpose |\n| --- | --- |\n"));
        for (file, purpose) in files {
            page.push_str(&format!("| `{file}` | {} |\n", purpose.replace('|', "\\|")));
        }
    }
    page
}

/// The first sentence of a file's `//!` header, on one line.
fn first_sentence(text: &str) -> String {
    let header = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph: Vec<&str> = header.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let end = paragraph.match_indices(". ").map(|(at, _)| at + 1).find(|&at| {
        // Not behind an abbreviation, and not in front of a lower-case word.
        paragraph[at..].trim_start().starts_with(|c: char| c.is_uppercase() || c == '`')
    });
    let sentence = &paragraph[..end.unwrap_or(paragraph.len())];
    sentence.trim_end_matches(['.', ':']).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentence_of_the_header_is_taken() {
        for (text, expected) in [
            ("//! One idea, e.g. this. And more.\n//!\n//! Rest.\nfn x() {}", "One idea, e.g. this"),
            ("//! Over two\n//! lines: `a.b` and c\n\nfn x() {}", "Over two lines: `a.b` and c"),
            ("fn x() {}", ""),
        ] {
            assert_eq!(first_sentence(text), expected);
        }
    }
}
