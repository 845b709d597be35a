//! Rules that look like a mistake, judged by their text alone: in comes the list of a file, out goes what the person
//! probably meant. Whether a rule works today, and what another one would match, is for [`crate::hints`].
//!
//! What a reader gets wrong: several mistakes can be in one rule, so a corrected text is looked at again.

use common::paths;
use rustc_hash::FxHashMap;

use crate::git::rule::Rule;

/// What is odd about the rules of a file. It is worked out once for all files with the same content.
#[derive(Debug)]
pub(crate) struct Suspects {
    /// Rules whose text looks like a mistake, by their number.
    pub(crate) odd: FxHashMap<usize, Meant>,
    /// The same rule twice without a `!` rule between them: the number of the later one, and the line of the earlier one.
    pub(crate) repeated: Vec<(usize, usize)>,
}

/// What a rule was probably meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meant {
    /// What is wrong with it.
    pub(crate) why: &'static str,
    /// The rules to write; none if that is not known.
    pub(crate) rules: Vec<String>,
    /// When the rules are worth proposing.
    pub(crate) proof: Proof,
}

/// What has to hold for the corrected rules to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing.
    None,
    /// They are paths below the folder of the rule's file; otherwise only the reason is shown.
    InFolder,
    /// Each of them matches something; otherwise the rule is not suspected at all.
    AllMatch,
}

/// Looks at the text of every rule.
pub(crate) fn suspects(list: &[Rule]) -> Suspects {
    let mut seen: FxHashMap<&[u8], usize> = FxHashMap::default();
    seen.reserve(list.len());
    let mut suspects = Suspects { odd: FxHashMap::default(), repeated: Vec::new() };
    for (number, rule) in list.iter().enumerate().filter(|(_, rule)| rule.line > 0) {
        if rule.negated {
            seen.clear();
        } else if let Some(first) = seen.insert(&rule.text, rule.line) {
            suspects.repeated.push((number, first));
        }
        let text = rule.text.strip_prefix(b"!").filter(|_| rule.negated).unwrap_or(&rule.text);
        if !is_plain(text) {
            suspects.odd.extend(meant(text, rule.negated).map(|meant| (number, meant)));
        }
    }
    suspects
}

/// Whether nothing can be odd about the text. Most rules are plain, and this is asked about each.
fn is_plain(text: &[u8]) -> bool {
    let is_usual =
        |byte: u8| matches!(byte, b'!' | b'*' | b'-'..=b'9' | b'<'..=b'[' | b']' | b'_' | b'a'..=b'z');
    let is_odd_as_a_whole = matches!(text, [] | [b'/'] | [b'!', ..] | [.., b'/', b'.']);
    let mut before = 0;
    !is_odd_as_a_whole
        && text.iter().all(|&byte| {
            let is_odd_pair = matches!((before, byte), (b'/', b'/') | (b'*', b'*') | (b'.', b'/' | b'.'));
            before = byte;
            is_usual(byte) && !is_odd_pair
        })
}

/// What `text`, a rule without its `!`, was meant to be; none if it looks right.
fn meant(text: &[u8], negated: bool) -> Option<Meant> {
    let Ok(text) = std::str::from_utf8(text) else {
        let decoded: String = text.iter().map(|byte| char::from(*byte)).collect();
        return Some(corrected(
            "the file is not UTF-8, so no name looks like this: save it as UTF-8",
            &decoded,
        ));
    };
    let mut found = mistake(text, negated)?;
    if found.proof == Proof::AllMatch {
        return Some(found);
    }
    // As many as a person can make in one line.
    for _ in 0..8 {
        let [rule] = found.rules.as_slice() else { break };
        let Some(next) = mistake(rule, negated) else { break };
        if next.proof == Proof::AllMatch || next.rules.is_empty() {
            break;
        }
        let proof = if found.proof == Proof::InFolder { found.proof } else { next.proof };
        found = Meant { why: found.why, rules: next.rules, proof };
    }
    Some(found)
}

fn corrected(why: &'static str, rule: &str) -> Meant {
    Meant { why, rules: vec![rule.to_string()], proof: Proof::None }
}

fn mistake(text: &str, negated: bool) -> Option<Meant> {
    let only_why = |why| Some(Meant { why, rules: Vec::new(), proof: Proof::None });
    if text.trim_matches('/').is_empty() {
        return only_why("it names nothing");
    }
    if ["// ", "; ", "-- ", "<!--"].iter().any(|start| text.starts_with(start)) {
        return only_why("only a # at the start of a line makes a comment");
    }
    blanks_and_quotes(text)
        .or_else(|| other_syntax(text))
        .or_else(|| variable(text))
        .or_else(|| path(text))
        .or_else(|| stars(text, negated))
        .or_else(|| list(text))
}

/// Quotes, comments, and characters that can't be seen.
fn blanks_and_quotes(text: &str) -> Option<Meant> {
    for (open, close) in
        [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('„', '“'), ('«', '»')]
    {
        let mut parts = text.splitn(3, [open, close]);
        if let (Some(before), Some(inner), Some(after)) = (parts.next(), parts.next(), parts.next()) {
            if text[before.len()..].starts_with(open) && (before.is_empty() || before.ends_with(['/', '='])) {
                return Some(corrected("quotes are part of the name", &format!("{before}{inner}{after}")));
            }
        }
    }
    let comment = text.char_indices().find(|&(at, c)| c == '#' && text[..at].ends_with([' ', '\t']));
    if let Some((rule, _)) =
        comment.map(|(at, _)| text.split_at(at)).filter(|(rule, _)| !rule.trim().is_empty())
    {
        return Some(corrected("a comment needs a line of its own", rule.trim_end()));
    }
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c));
    if trimmed != text && !text.ends_with("\\ ") {
        return Some(corrected(
            "the tab, blank or invisible character around it is part of the name",
            trimmed,
        ));
    }
    let usual: String = text.chars().filter(|c| !is_invisible(*c)).map(usual_form).collect();
    (usual != text)
        .then(|| corrected("a character in it only looks like the usual one, or can't be seen", &usual))
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// A blank that is not a blank, a slash that is not one, and the wide forms of ASCII.
fn usual_form(c: char) -> char {
    match c {
        '\u{2044}' | '\u{2215}' => '/',
        '\u{2217}' => '*',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c if c != ' ' && c.is_whitespace() => ' ',
        c => c,
    }
}

/// Habits from other tools: regular expressions, signs and words before the pattern, braces.
fn other_syntax(text: &str) -> Option<Meant> {
    const REGEX: &str = "there are no regular expressions";
    for (start, why) in [
        ("(?i)", "there are no regular expressions, and case always counts"),
        ("re:", REGEX),
        ("regexp:", REGEX),
        ("glob:", "every rule is a pattern; no word comes before it"),
        ("path:", "every rule is a pattern; no word comes before it"),
        ("sh:", "every rule is a pattern; no word comes before it"),
        ("fm:", "every rule is a pattern; no word comes before it"),
        ("pp:", "every rule is a pattern; no word comes before it"),
        ("--exclude=", "a line holds the pattern alone"),
        ("--exclude ", "a line holds the pattern alone"),
        ("+ ", "a rule has no sign before it; ! takes back in"),
        ("- ", "a rule has no sign before it"),
        ("* ", "a rule has no sign before it"),
        ("! ", "no blank follows the !"),
        ("!", "one ! is enough"),
    ] {
        if let Some(rest) = text.strip_prefix(start) {
            return Some(corrected(why, rest.trim_start()));
        }
    }
    let inner = text.strip_prefix('^').unwrap_or(text);
    let inner = inner.strip_suffix('$').unwrap_or(inner);
    let escapes_name =
        text.match_indices('\\').any(|(at, _)| text[at + 1..].starts_with(char::is_alphanumeric));
    let has_class = [".+", r"\d+", r"\d*", r"\w+", r"\w*"].iter().any(|part| text.contains(part));
    if inner != text || has_class || (text.contains(r"\.") && !escapes_name) {
        let plain = inner.replace(".*", "*").replace(".+", "*").replace(r"\.", ".").replace(r"\d", "[0-9]");
        return Some(corrected(REGEX, &plain));
    }
    if let Some((before, rest)) = text.split_once('{') {
        if let Some((inner, after)) = rest.split_once('}').filter(|(inner, _)| inner.contains(',')) {
            let rules = inner.split(',').map(|part| format!("{before}{part}{after}")).collect();
            return Some(Meant { why: "braces are part of the name", rules, proof: Proof::None });
        }
    }
    let group = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    if group.contains('|') {
        let rules = group.split('|').map(str::to_string).collect();
        return Some(Meant { why: REGEX, rules, proof: Proof::None });
    }
    None
}

/// `~`, `~me`, `$HOME`, `${DATA_DIR}` and `%USERPROFILE%` at the beginning.
fn variable(text: &str) -> Option<Meant> {
    const WHY: &str = "no variable and no ~ is expanded in a rule";
    let text = text.strip_prefix('/').filter(|text| text.starts_with(['~', '$', '%'])).unwrap_or(text);
    let (first, rest) = text.split_once(['/', '\\']).unwrap_or((text, ""));
    let is_name = |name: &str| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        name.chars().all(is_word)
    };
    let in_braces =
        |name: &str| name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).map(str::to_string);
    let name = match first.chars().next()? {
        '~' => Some(first[1..].to_string()).filter(|name| is_name(name)).map(|_| "HOME".to_string()),
        '$' => in_braces(&first[1..]).or_else(|| {
            Some(first[1..].to_string()).filter(|name| text.len() > first.len() && !name.contains('.'))
        }),
        '%' => first[1..].strip_suffix('%').map(str::to_string),
        _ => None,
    }
    .filter(|name| !name.is_empty() && is_name(name))?;
    let folder = match name.as_str() {
        // The folders of the service itself, in its `.env`.
        "DATA_DIR" | "CONTAINER_DIR" | "PWD" => String::new(),
        "HOME" | "USERPROFILE" => paths::home().ok()?.to_string_lossy().into_owned(),
        _ => return Some(Meant { why: WHY, rules: Vec::new(), proof: Proof::None }),
    };
    let proof = if folder.is_empty() { Proof::None } else { Proof::InFolder };
    Some(Meant { why: WHY, rules: vec![format!("{folder}/{}", rest.replace('\\', "/"))], proof })
}

/// Separators and names that no path has.
fn path(text: &str) -> Option<Meant> {
    // A backslash before a letter escapes nothing that needs it, so it was meant to separate names.
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let separates = |at: usize| text[at + 1..].chars().next().is_none_or(is_letter);
    if text.match_indices('\\').any(|(at, _)| separates(at)) {
        let path = text.replace('\\', "/");
        let path = path
            .split_once(":/")
            .filter(|(drive, _)| drive.len() == 1)
            .map_or(path.as_str(), |(_, path)| path);
        return Some(corrected("a / separates names; a backslash escapes the next character", path));
    }
    if let Some(rest) = text.strip_prefix("./") {
        return Some(corrected("no path begins with ./", &format!("/{rest}")));
    }
    if text == ".." || text.starts_with("../") || text.starts_with("/../") {
        let why = "a rule never reaches above the folder of its file; write it in the file there";
        return Some(Meant { why, rules: Vec::new(), proof: Proof::None });
    }
    if text.contains("/./") || text.contains("/../") || text.ends_with("/.") || text.ends_with("/..") {
        let mut names: Vec<&str> = Vec::new();
        for name in text.split('/').filter(|name| !matches!(*name, "." | "")) {
            if name == ".." { names.pop().map_or((), drop) } else { names.push(name) }
        }
        return Some(corrected("no name in a path is . or ..", &format!("/{}", names.join("/"))));
    }
    if text.contains("//") {
        let mut single = text.to_string();
        while single.contains("//") {
            single = single.replace("//", "/");
        }
        return Some(corrected("two slashes in a row match nothing", &single));
    }
    None
}

/// `**` that is not a whole name, and `**` that leaves out only what lies one folder deeper. In a whitelist,
/// `!/**/` reopens all folders, and `/**` alone leaves out everything.
fn stars(text: &str, negated: bool) -> Option<Meant> {
    let names_folder = |folder: &&str| !negated && !folder.is_empty() && !folder.contains(['*', '?', '[']);
    if let Some(folder) = text.strip_suffix("/**/").filter(names_folder) {
        return Some(corrected("a / at the end: only folders in it are left out", &format!("{folder}/**")));
    }
    let path = text.strip_suffix('/').unwrap_or(text);
    if !path.contains('/') {
        return None;
    }
    let is_split = |name: &&str| name.len() > 2 && name.contains("**");
    let name = path.split('/').find(is_split)?;
    let (before, after) = name.split_once("**")?;
    let before = if before.is_empty() { String::new() } else { format!("{before}*/") };
    let after = if after.is_empty() { String::new() } else { format!("/*{after}") };
    let rule = text.replacen(name, &format!("{before}**{after}"), 1);
    Some(corrected("** means folders only if it is a whole name", &rule))
}

/// Several rules in one line. A comma or a blank may well be part of a name.
fn list(text: &str) -> Option<Meant> {
    const WORDS: [&str; 8] = ["exclude", "exclude:", "ignore", "ignore:", "include", "include:", "not", "-e"];
    if text.contains("\\ ") {
        return None;
    }
    let whole = text.len();
    let (first, rest) = text.split_once(' ').unwrap_or(("", text));
    let text = if WORDS.contains(&first) { rest } else { text };
    let parts = text.split([',', ';', ' ']).filter(|part| !part.is_empty());
    let rules: Vec<String> = parts.map(str::to_string).collect();
    let is_list = !rules.is_empty() && rules.iter().map(String::len).sum::<usize>() < whole;
    is_list.then_some(Meant { why: "a line holds one rule", rules, proof: Proof::AllMatch })
}

#[cfg(test)]
mod tests;
