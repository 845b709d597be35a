//! The lines of a shell text, as far as they can be understood without running it: simple commands joined by `;`,
//! `&&`, `||` and `|`, with redirections. Anything that a shell decides (`if`, loops, functions, here-documents) makes
//! the whole text unclear.

use bridge::message::{Message, is_name};
use bridge::{CLIENT, FIFO};

use super::{Delivery, Line, OLD_SCRIPTS, Read, template_depth};

#[derive(Debug, Default)]
struct SimpleCommand {
    words: Vec<Word>,
    outputs: Vec<Word>,
    /// It gets the output of the command before.
    is_piped: bool,
    /// The shell does not wait for it.
    is_background: bool,
}

/// A word without its quotes.
#[derive(Clone, Debug, Default)]
struct Word {
    text: String,
    /// The shell puts something in its place.
    is_expanded: bool,
    is_quoted: bool,
}

const RESERVED: [&str; 16] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "{", "}",
    "function", "eval",
];

/// Commands that change nothing about what a hook does for the bridge.
const NEUTRAL: [&str; 8] = ["true", ":", "exit", "set", "sleep", "wait", "echo", "printf"];

/// The lines of `text`; `None` if it can't be read line by line.
pub(super) fn lines(text: &str) -> Option<Vec<Read>> {
    // A line that goes on in the next one is one line.
    let joined = text.replace("\\\n", "\u{1}");
    joined.lines().map(|line| read(&line.replace('\u{1}', "\\\n"))).collect()
}

fn read(line: &str) -> Option<Read> {
    let bare = line.replace("\\\n", " ");
    if template_depth(&bare) != 0 || bare.trim_start().starts_with("{{") && bare.contains("{{ if") {
        return None;
    }
    let commands = split(&bare)?;
    let mut messages = Vec::new();
    let (mut delivery, mut is_alone, mut has_options) = (Delivery::Answered, true, false);
    for (index, command) in commands.iter().enumerate() {
        let words = without_prefixes(&command.words);
        let Some(program) = words.first() else { continue };
        if !program.is_quoted && RESERVED.contains(&program.text.as_str()) || program.text.ends_with("()") {
            return None;
        }
        let name = program.text.rsplit('/').next().unwrap_or_default();
        let to_fifo = command.outputs.iter().any(is_fifo);
        if name == CLIENT {
            let (message, options) = sent(&words[1..])?;
            if command.is_background || options.iter().any(|option| option == "--no-wait") {
                delivery = Delivery::Unanswered;
            } else if !options.is_empty() {
                has_options = true;
            }
            is_alone &= !words.iter().any(|word| word.is_expanded) && command.outputs.is_empty();
            messages.push(message);
        } else if to_fifo || name == "tee" && words.iter().any(is_fifo) {
            let source = match name {
                "tee" => index.checked_sub(1).and_then(|before| commands.get(before))?,
                _ => command,
            };
            messages.extend(echoed(without_prefixes(&source.words))?);
            delivery = Delivery::Unanswered;
        } else if OLD_SCRIPTS.contains(&name) {
            delivery = Delivery::OldScript;
            messages.push(Message { name: name.into(), text: String::new() });
        } else if !NEUTRAL.contains(&name) || ["echo", "printf"].contains(&name) && !feeds(&commands, index) {
            is_alone = false;
        }
    }
    let does = match (messages.is_empty(), is_alone) {
        (false, true) => Line::Sends(messages, delivery),
        // What goes through the FIFO beside other work is no message that anyone waits for.
        (false, false) if delivery != Delivery::Answered => Line::Else(Vec::new()),
        (_, false) => Line::Else(messages),
        (true, true) => Line::Nothing,
    };
    let names_bridge = bare.contains(CLIENT) || bare.contains(FIFO);
    if names_bridge && does == Line::Else(Vec::new()) && delivery == Delivery::Answered {
        return None;
    }
    Some(Read { text: line.into(), does, has_options })
}

/// Whether the output of the command at `index` goes to `tee`.
fn feeds(commands: &[SimpleCommand], index: usize) -> bool {
    commands.get(index + 1).is_some_and(|next| {
        next.is_piped && next.words.first().is_some_and(|program| program.text.ends_with("tee"))
    })
}

fn is_fifo(word: &Word) -> bool {
    word.text.rsplit('/').next() == Some(FIFO)
}

/// The message of a client's arguments, and its options.
fn sent(arguments: &[Word]) -> Option<(Message, Vec<String>)> {
    let (mut options, mut at) = (Vec::new(), 0);
    while let Some(word) = arguments.get(at).filter(|word| word.text.starts_with('-')) {
        let takes_value = ["--timeout", "--bridge"].contains(&word.text.as_str());
        options.push(word.text.clone());
        at += if takes_value { 2 } else { 1 };
    }
    let name = arguments.get(at).filter(|word| is_name(&word.text) && !word.is_expanded)?;
    let text: Vec<_> = arguments[at + 1..].iter().map(|word| word.text.as_str()).collect();
    Some((Message { name: name.text.clone(), text: text.join(" ").trim().into() }, options))
}

/// The messages that `echo` or `printf` writes.
fn echoed(words: &[Word]) -> Option<Vec<Message>> {
    let program = words.first()?.text.rsplit('/').next()?;
    if !["echo", "printf"].contains(&program) {
        return None;
    }
    let texts: Vec<_> =
        words[1..].iter().filter(|word| !["-n", "-e", "%s\\n"].contains(&word.text.as_str())).collect();
    let joined = texts.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    let lines = joined.replace("\\n", "\n");
    let messages: Option<Vec<_>> = lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, text) = line.split_once(' ').unwrap_or((line, ""));
            is_name(name).then(|| Message { name: name.into(), text: text.trim().into() })
        })
        .collect();
    messages.filter(|messages| !messages.is_empty())
}

/// Whether a word only prepares the program that follows: `FOO=bar nohup /bin/bash /x/backrest-trigger.sh`.
pub(crate) fn is_prefix(word: &str) -> bool {
    let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    let program = word.rsplit('/').next().unwrap_or(word);
    is_assignment
        || ["exec", "nohup", "setsid", "env", "command", "!", "sh", "bash", "nice"].contains(&program)
}

/// A command without what only prepares its program.
fn without_prefixes(words: &[Word]) -> &[Word] {
    let start = words.iter().position(|word| !is_prefix(&word.text)).unwrap_or(words.len());
    &words[start..]
}

/// The commands of a line; `None` where a quote stays open, or for what goes over several lines.
fn split(line: &str) -> Option<Vec<SimpleCommand>> {
    let mut commands = vec![SimpleCommand::default()];
    let (mut word, mut is_output, mut is_input): (Option<Word>, bool, bool) = (None, false, false);
    // A line ends as a word does.
    let ended = format!("{line}\n");
    let mut rest = ended.as_str();
    while let Some(c) = rest.chars().next() {
        if let Some(end) = rest.strip_prefix("{{").and_then(|inside| inside.find("}}")) {
            // A template is text that is not known yet.
            word.get_or_insert_default().text.push_str(&rest[..end + 4]);
            rest = &rest[end + 4..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                word.is_quoted = true;
                let end = closing(rest, c)?;
                let inside = &rest[..end];
                word.is_expanded |= c == '"' && inside.contains(['$', '`']);
                word.text.push_str(&if c == '"' { unescaped(inside) } else { inside.to_string() });
                rest = &rest[end + 1..];
            }
            '\\' => {
                let next = rest.chars().next().filter(|next| *next != '\n')?;
                word.get_or_insert_default().text.push(next);
                rest = &rest[next.len_utf8()..];
            }
            '$' | '`' => {
                let word = word.get_or_insert_default();
                word.text.push(c);
                word.is_expanded = true;
                if c == '`' || rest.starts_with('(') {
                    return (!line.contains(CLIENT) && !line.contains(FIFO)).then(|| vec![foreign()]);
                }
            }
            '#' if word.is_none() => break,
            ' ' | '\t' | '\n' | ';' | '&' | '|' | '>' | '<' | '(' | ')' => {
                let number = word.as_ref().is_some_and(|word| c == '>' && word.text.parse::<u8>().is_ok());
                if let Some(done) = word.take().filter(|_| !number) {
                    let command = commands.last_mut()?;
                    match (is_output, is_input) {
                        (true, _) => command.outputs.push(done),
                        (_, true) => {}
                        _ => command.words.push(done),
                    }
                    (is_output, is_input) = (false, false);
                }
                match c {
                    '>' => {
                        is_output = true;
                        rest = rest.trim_start_matches(['>', '&', '|']);
                    }
                    '<' if rest.starts_with('<') => return None,
                    '<' => is_input = true,
                    '(' | ')' => {
                        return (!line.contains(CLIENT) && !line.contains(FIFO)).then(|| vec![foreign()]);
                    }
                    ';' | '&' | '|' => {
                        let is_piped = c == '|' && !rest.starts_with('|');
                        commands.last_mut()?.is_background = c == '&' && !rest.starts_with('&');
                        rest = rest.trim_start_matches(c);
                        commands.push(SimpleCommand { is_piped, ..SimpleCommand::default() });
                    }
                    _ => {}
                }
            }
            _ => word.get_or_insert_default().text.push(c),
        }
    }
    Some(commands)
}

/// A command that has nothing to do with the bridge.
fn foreign() -> SimpleCommand {
    SimpleCommand { words: vec![Word { text: "?".into(), ..Word::default() }], ..SimpleCommand::default() }
}

/// Where the quotation that began ends; a template in it may hold quotes of its own.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if let Some(end) = text[at..].strip_prefix("{{").and_then(|inside| inside.find("}}")) {
            at += end + 4;
            continue;
        }
        if c == quote {
            return Some(at);
        }
        at += c.len_utf8();
        if c == '\\' && quote == '"' {
            at += text[at..].chars().next()?.len_utf8();
        }
    }
    None
}

/// What double quotes hold, without the backslashes that mean something there.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some('"' | '\\' | '$' | '`') if c == '\\' => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out
}
