//! The `@reboot` line of the listener in the text of a crontab: put in once, taken out again, every other byte kept.
//!
//! What a reader gets wrong: in a crontab `%` means a newline unless it is escaped (crontab(5)), and the rest goes to
//! `sh`, so a path is quoted twice. The listener of another Backrest folder on the same host is not ours.

use std::ffi::OsString;
use std::path::Path;

use common::text::escape;

use crate::hooks::reading::shell::is_prefix;
use crate::places::OLD_LISTENER as SCRIPT;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EditedCrontab {
    pub(crate) text: String,
    /// The lines that it loses or gains, safe to show.
    pub(crate) changes: Vec<String>,
    /// Lines that start the Bash listener and do something else as well, so they were left alone.
    pub(crate) left: Vec<String>,
}

impl EditedCrontab {
    fn add(&mut self, line: &str) {
        // crontab(1) refuses a text whose last line is not ended.
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.text.push_str(line);
        self.text.push('\n');
        self.changes.push(format!("+ {}", escape(line.as_bytes())));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CrontabLine {
    Other,
    Listener,
    Bash,
    BashAmongOthers,
}

/// What takes the place of the lines that start the listener.
struct Replacement {
    lines: Vec<String>,
    /// It takes the place of Bash listeners, too.
    ends_bash: bool,
    /// It goes to the end if there is no such place.
    is_needed: bool,
}

/// `text` with exactly one line that starts `command`, the listener of `container_dir`. It takes the place of a line
/// that did that in another way or started the Bash listener. Fails if the command can't be written in a crontab.
pub(crate) fn with_listener(
    text: &str,
    command: &[OsString],
    container_dir: &Path,
) -> Result<EditedCrontab, &'static str> {
    let lines = vec![reboot_line(command)?];
    Ok(edit(text, container_dir, Replacement { lines, ends_bash: true, is_needed: true }))
}

/// `text` without the listener of `container_dir` and without Bash listeners, because something else starts it now.
pub(crate) fn without_any_listener(text: &str, container_dir: &Path) -> EditedCrontab {
    edit(text, container_dir, Replacement { lines: Vec::new(), ends_bash: true, is_needed: false })
}

/// `text` with `replaced`, the lines that ours took the place of, where ours is. Where ours is not, because something
/// else started the listener (`is_elsewhere`), they go to the end.
pub(crate) fn as_it_was(
    text: &str,
    container_dir: &Path,
    replaced: &[String],
    is_elsewhere: bool,
) -> EditedCrontab {
    let is_missing = |line: &&String| !text.lines().any(|there| there == line.as_str());
    let lines = replaced.iter().filter(is_missing).cloned().collect();
    edit(text, container_dir, Replacement { lines, ends_bash: false, is_needed: is_elsewhere })
}

fn edit(text: &str, container_dir: &Path, mut new: Replacement) -> EditedCrontab {
    let mut edited = EditedCrontab::default();
    for line in text.split_inclusive('\n') {
        let bare = line.strip_suffix('\n').unwrap_or(line);
        match kind_of(bare, container_dir) {
            CrontabLine::Listener if new.lines.iter().any(|new| new == bare) => new.lines.clear(),
            kind if kind == CrontabLine::Listener || kind == CrontabLine::Bash && new.ends_bash => {
                edited.changes.push(format!("- {}", escape(bare.as_bytes())));
                new.lines.drain(..).for_each(|line| edited.add(&line));
                continue;
            }
            CrontabLine::BashAmongOthers if new.ends_bash => edited.left.push(escape(bare.as_bytes())),
            _ => {}
        }
        edited.text.push_str(line);
    }
    if new.is_needed {
        new.lines.iter().for_each(|line| edited.add(line));
    }
    edited
}

/// The lines that start a Bash listener and nothing else.
pub(crate) fn bash_lines(text: &str, container_dir: &Path) -> Vec<String> {
    text.lines().filter(|line| kind_of(line, container_dir) == CrontabLine::Bash).map(String::from).collect()
}

fn reboot_line(command: &[OsString]) -> Result<String, &'static str> {
    let mut line = String::from("@reboot");
    for word in command {
        let word = word.to_str().ok_or("a path is not UTF-8, so it can't be written in a crontab")?;
        if word.contains(['\n', '\r']) {
            return Err("a path holds a line break, so it can't be written in a crontab");
        }
        let word = shlex::try_quote(word).map_err(|_| "a path holds a NUL byte")?;
        line.push(' ');
        line.push_str(&word.replace('%', "\\%"));
    }
    // The listener keeps its own log, and what it prints besides would be held in cron's memory.
    line.push_str(" >/dev/null 2>&1");
    Ok(line)
}

fn kind_of(line: &str, container_dir: &Path) -> CrontabLine {
    let Some(command) = line.trim_start().strip_prefix("@reboot") else { return CrontabLine::Other };
    if !command.starts_with([' ', '\t']) {
        return CrontabLine::Other;
    }
    let Some(words) = shlex::split(&command.replace("\\%", "%")) else { return CrontabLine::Other };
    let is_separator = |word: &String| ["&&", "||", ";", "|", "&"].contains(&word.as_str());
    let commands: Vec<Vec<&str>> = words
        .split(is_separator)
        .map(|words| words.iter().map(String::as_str).skip_while(|word| is_prefix(word)).collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
        .collect();
    let program = |words: &[&str]| {
        let name = Path::new(words[0].trim_end_matches(['&', ';'])).file_name();
        name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    if let [words] = commands.as_slice() {
        if program(words) == "pipe-listener" && is_of(words, container_dir) {
            return CrontabLine::Listener;
        }
    }
    if !commands.iter().any(|words| program(words) == SCRIPT) {
        return CrontabLine::Other;
    }
    let is_harmless = |words: &Vec<&str>| [SCRIPT, "sleep", "cd", "true"].contains(&program(words).as_str());
    if commands.iter().all(is_harmless) { CrontabLine::Bash } else { CrontabLine::BashAmongOthers }
}

/// Whether the listener that `words` start is that of `container_dir`; one that names no folder is taken for ours.
fn is_of(words: &[&str], container_dir: &Path) -> bool {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let named = match word.strip_prefix("--container-dir") {
            Some("") => words.next().copied(),
            Some(value) => value.strip_prefix('='),
            None => continue,
        };
        return named.is_some_and(|named| Path::new(named) == container_dir);
    }
    true
}

#[cfg(test)]
mod tests;
