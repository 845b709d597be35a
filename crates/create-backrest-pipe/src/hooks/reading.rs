//! What a hook of Backrest does: the messages that it sends over the bridge, in whatever form and by whose hand it was written.
//!
//! A hook is a text for `sh`, or for the program on its `#!` line, and a Go template before that. It is taken apart
//! line by line; a line is [`Line::Sends`] only if nothing else happens in it, so that it can be taken out or written
//! anew. What a reader gets wrong: a text that names the bridge and is not understood is [`Reading::Unclear`], never
//! "has nothing to do with it", since a second hook beside it could stop every service twice.

pub(crate) mod shell;

use bridge::CLIENT;
use bridge::message::{Message, is_name};
use serde_json::Value;

const BRIDGE: &str = "/bridge/";
/// The scripts of earlier days; a line that calls one of them does what our messages do.
pub(crate) const OLD_SCRIPTS: [&str; 4] =
    ["pre-backup-actions.sh", "build-ignorefile.sh", "build-ignore-file.sh", "backrest-trigger.sh"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// By the client, which waits for the answer.
    Answered,
    /// Through the FIFO or with `--no-wait`: no answer, no failure.
    Unanswered,
    /// By calling one of the old scripts.
    OldScript,
}

/// What a line of a hook does. The text of a message has its templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Nothing: a blank line, a comment, `set -e`.
    Nothing,
    /// It sends messages and does nothing else.
    Sends(Vec<Message>, Delivery),
    /// It does something else, and perhaps sends messages as well.
    Else(Vec<Message>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// The first line names the client, so each line is a message.
    pub(crate) is_client: bool,
    /// The lines but for the `#!` line.
    pub(crate) lines: Vec<Read>,
    pub(crate) first: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) text: String,
    pub(crate) does: Line,
    /// The client is called with options that a new text would lose.
    has_options: bool,
}

/// What was found out about a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It has nothing to do with the bridge.
    Unrelated,
    Script(Script),
    /// It names the bridge, but what it does can't be read from it.
    Unclear,
}

impl Script {
    /// Every message that is answered or sent beside other work, in order.
    pub(crate) fn messages(&self) -> Vec<&Message> {
        let sent = self.lines.iter().filter_map(|line| match &line.does {
            Line::Sends(messages, Delivery::Answered) | Line::Else(messages) => Some(messages),
            _ => None,
        });
        sent.flatten().collect()
    }

    /// It sends messages, waits for each, and does nothing else: it can be written anew as a `#!` hook.
    pub(crate) fn is_pure(&self) -> bool {
        let is_plain = |line: &Read| {
            !line.has_options && matches!(line.does, Line::Nothing | Line::Sends(_, Delivery::Answered))
        };
        !self.messages().is_empty() && self.lines.iter().all(is_plain)
    }

    /// A `#!` hook with nothing but messages that `is_known` accepts.
    pub(crate) fn is_only(&self, is_known: impl Fn(&Message) -> bool) -> bool {
        self.is_client && self.is_pure() && self.messages().into_iter().all(is_known)
    }

    /// The text without the lines that only do what `is_gone` accepts; `None` if nothing is left that does anything.
    pub(crate) fn without(&self, is_gone: impl Fn(&Line) -> bool) -> Option<String> {
        let kept: Vec<_> = self.lines.iter().filter(|line| !is_gone(&line.does)).collect();
        if kept.iter().all(|line| line.does == Line::Nothing) {
            return None;
        }
        let lines = self.first.iter().chain(kept.iter().map(|line| &line.text));
        Some(lines.fold(String::new(), |text, line| text + line + "\n"))
    }

    pub(crate) fn has(&self, is_such: impl Fn(&Line) -> bool) -> bool {
        self.lines.iter().any(|line| is_such(&line.does))
    }
}

pub(crate) fn command_of(hook: &Value) -> Option<&str> {
    hook.pointer("/actionCommand/command").and_then(Value::as_str)
}

impl Reading {
    /// Whether the hook sends such a message, calls an old script, or may do so.
    pub(crate) fn may_send(&self, is_such: impl Fn(&Message) -> bool) -> bool {
        match self {
            Reading::Unrelated => false,
            Reading::Unclear => true,
            Reading::Script(script) => script.has(|line| match line {
                Line::Sends(_, Delivery::OldScript) => true,
                Line::Sends(messages, _) | Line::Else(messages) => messages.iter().any(&is_such),
                Line::Nothing => false,
            }),
        }
    }
}

/// The messages that a hook sends and waits for, as far as it can be read.
pub(crate) fn messages_of(hook: &Value) -> Vec<Message> {
    match read(hook) {
        Reading::Script(script) => script.messages().into_iter().cloned().collect(),
        Reading::Unrelated | Reading::Unclear => Vec::new(),
    }
}

fn names_bridge(text: &str) -> bool {
    [BRIDGE, CLIENT, bridge::FIFO].iter().chain(&OLD_SCRIPTS).any(|name| text.contains(name))
}

pub(crate) fn read(hook: &Value) -> Reading {
    let Some(text) = command_of(hook) else { return Reading::Unrelated };
    if !names_bridge(text) {
        return Reading::Unrelated;
    }
    let (first, rest) = match text.strip_prefix("#!") {
        Some(line) => {
            let (first, rest) = line.split_once('\n').unwrap_or((line, ""));
            (Some(first.trim()), rest)
        }
        None => (None, text),
    };
    let mut words = first.unwrap_or("sh").split_whitespace();
    let program = match words.next() {
        Some("/usr/bin/env") => words.next(),
        word => word,
    };
    let program = program.map(|word| word.rsplit('/').next().unwrap_or(word)).unwrap_or_default();
    let options: Vec<_> = words.collect();
    let is_client = program == CLIENT;
    let lines = match program {
        CLIENT if options.contains(&"--no-wait") => client_lines(rest, Delivery::Unanswered, true),
        CLIENT => client_lines(rest, Delivery::Answered, !options.is_empty()),
        "sh" | "bash" | "ash" | "dash" | "busybox" => shell::lines(rest),
        _ => None,
    };
    let Some(lines) = lines else { return Reading::Unclear };
    let script = Script { is_client, lines, first: first.map(|first| format!("#!{first}")) };
    let sends = |line: &Line| match line {
        Line::Sends(..) => true,
        Line::Else(messages) => !messages.is_empty(),
        Line::Nothing => false,
    };
    match script.has(sends) {
        true => Reading::Script(script),
        // Only in a comment, or in a way that is not known.
        false if !rest.lines().any(|line| !line.trim_start().starts_with('#') && names_bridge(line)) => {
            Reading::Unrelated
        }
        false => Reading::Unclear,
    }
}

/// The lines of a hook whose program is the client; `None` if a template decides which lines there are.
fn client_lines(text: &str, delivery: Delivery, has_options: bool) -> Option<Vec<Read>> {
    let read = |line: &str| {
        let bare = line.trim();
        let does = if bare.is_empty() || bare.starts_with('#') {
            Line::Nothing
        } else {
            let (name, text) = bare.split_once([' ', '\t']).unwrap_or((bare, ""));
            let is_whole = is_name(name) && template_depth(text) == 0;
            is_whole.then(|| {
                let message = Message { name: name.into(), text: text.trim().into() };
                Line::Sends(vec![message], delivery)
            })?
        };
        Some(Read { text: line.into(), does, has_options })
    };
    text.lines().map(read).collect()
}

/// How many template blocks (`{{ if … }}`) the line opens and does not close again.
fn template_depth(line: &str) -> i32 {
    let actions = line.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap_or_default());
    let word = |action: &str| {
        let action = action.trim_start_matches('-').trim_start();
        action.split([' ', '\t', '-', '}']).next().unwrap_or_default().to_string()
    };
    actions
        .map(|action| match word(action).as_str() {
            "if" | "range" | "with" | "block" | "define" => 1,
            "end" => -1,
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests;
