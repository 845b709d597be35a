//! `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?why}`, `${NAME?why}`, `${NAME:+other}`,
//! `${NAME+other}` and `$$`, as Compose's template package defines them. A default may hold further names.

use super::Flaw;

/// `text` with its names replaced. A name that is not set becomes nothing, as in Compose.
///
/// Fails if a `${` is not closed or not a name, and if a `?` requires a value that isn't there.
pub(super) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Flaw> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        out.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing_brace(after).ok_or(Flaw::OpenBrace)?;
            out.push_str(&braced(&after[..end], lookup)?);
            rest = &after[end + 1..];
        } else {
            let (name, after) = rest.split_at(name_length(rest));
            if name.is_empty() {
                out.push('$');
            } else {
                out.push_str(&lookup(name).unwrap_or_default());
            }
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn braced(inside: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Flaw> {
    let (name, after) = inside.split_at(name_length(inside));
    if name.is_empty() {
        return Err(Flaw::NotAReference);
    }
    let value = lookup(name);
    let (filled, operator) = match after.strip_prefix(':') {
        Some(operator) => (value.clone().filter(|value| !value.is_empty()), operator),
        None => (value.clone(), after),
    };
    match (operator.chars().next(), operator.get(1..)) {
        (None, _) if after.is_empty() => Ok(value.unwrap_or_default()),
        (Some('-'), Some(default)) => filled.map_or_else(|| expand(default, lookup), Ok),
        (Some('+'), Some(other)) => filled.map_or(Ok(String::new()), |_| expand(other, lookup)),
        (Some('?'), Some(_)) => filled.ok_or(Flaw::Required),
        _ => Err(Flaw::NotAReference),
    }
}

fn name_length(text: &str) -> usize {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    if starts_well { end } else { 0 }
}

/// Where the brace that was opened before `text` closes.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (index, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(index),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}
