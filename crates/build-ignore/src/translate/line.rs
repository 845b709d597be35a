//! A pattern's components as one line of the exclude file, such that restic reads back just these components.
//!
//! restic trims white space at both ends of a line, expands `$`, and drops a carriage return; lines longer than 64 KiB
//! make it refuse the file.

use std::borrow::Cow;

use crate::restic::pattern::last_space;
use crate::translate::component;

/// A part of a pattern before it becomes text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out<'a> {
    /// `**`.
    AnyFolders,
    /// A component in Go's syntax.
    Name(Cow<'a, [u8]>),
}

/// Go's scanner takes lines of less than 64 KiB; what is longer is not written.
pub const LONGEST: usize = 60 << 10;

/// Where a root lies for the one who runs restic.
#[derive(Clone, Debug)]
pub struct SeenAt {
    /// The names of the mount and the root below it: `userdata`, `data`.
    pub names: Vec<Vec<u8>>,
    /// The names that lead from the root to the other one, if that is in it.
    pub inner: Vec<Vec<u8>>,
}

impl SeenAt {
    /// What lines for it begin with.
    pub fn base(&self) -> Base {
        Base::new(&self.names)
    }
}

/// Where lines begin: the names of mount, root and folder, as each line has them.
#[derive(Clone, Debug)]
pub struct Base {
    text: Vec<u8>,
}

impl Base {
    /// The base to which `names` lead.
    pub fn new(names: &[Vec<u8>]) -> Base {
        Base { text: Vec::new() }.below(names)
    }

    /// The base for the folder to which `names` lead from here.
    pub fn below(&self, names: &[Vec<u8>]) -> Base {
        let mut text = self.text.clone();
        for name in names {
            push(&mut text, &component::literal(name));
        }
        Base { text }
    }

    /// How many names lead to it.
    pub fn depth(&self) -> usize {
        self.text.iter().filter(|byte| **byte == b'/').count()
    }

    /// What every line below it begins with, but for a `!`; a `/` follows.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// A line for these parts below the base; `None` where it would be too long.
    pub fn line(&self, negated: bool, parts: &[Out]) -> Option<Vec<u8>> {
        let mut text = Vec::with_capacity(self.text.len() + 24);
        if negated {
            text.push(b'!');
        }
        text.extend_from_slice(&self.text);
        for part in parts {
            push(
                &mut text,
                match part {
                    Out::AnyFolders => b"**",
                    Out::Name(name) => name,
                },
            );
        }
        finished(text)
    }
}

fn push(text: &mut Vec<u8>, component: &[u8]) {
    text.push(b'/');
    push_component(text, component);
}

/// `line` with `component`, in Go's syntax, in place of its last one; `None` where it would be too long.
pub fn with_last_component(line: &[u8], component: &[u8]) -> Option<Vec<u8>> {
    let mut text = before_last_component(line).to_vec();
    push_component(&mut text, component);
    finished(text)
}

/// `line`, of which the last component begins with a `*`, with the plain text `start` before it; `None` where it would be
/// too long.
pub fn with_start_of_last_name(line: &[u8], start: &[u8]) -> Option<Vec<u8>> {
    let before = before_last_component(line);
    let mut text = before.to_vec();
    push_component(&mut text, &component::literal(start));
    text.extend_from_slice(&line[before.len()..]);
    (text.len() <= LONGEST).then_some(text)
}

/// A `/` stands between components only: no bracket of ours holds one.
fn before_last_component(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    &line[..end]
}

/// `$` stands for a variable, `$$` for itself.
fn push_component(text: &mut Vec<u8>, component: &[u8]) {
    if !component.contains(&b'$') {
        return text.extend_from_slice(component);
    }
    for &byte in component {
        text.push(byte);
        if byte == b'$' {
            text.push(b'$');
        }
    }
}

/// With white space at its end kept from being trimmed; `None` where it is too long.
fn finished(mut text: Vec<u8>) -> Option<Vec<u8>> {
    if let Some(length) = last_space(&text) {
        let start = text.len() - length;
        text.insert(start, b'[');
        text.push(b']');
    }
    (text.len() <= LONGEST).then_some(text)
}
