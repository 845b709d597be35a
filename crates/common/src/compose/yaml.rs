//! YAML as far as compose files use it: every scalar is text, anchors are shared and never copied, `<<` is merged.
//!
//! The text may have been written by another user. Its size, depth, number of nodes and number of aliases are limited,
//! so that no file uses up memory, time or stack.

use std::collections::HashMap;
use std::rc::Rc;

use yaml_rust2::Event;
use yaml_rust2::parser::Parser;

/// At most this many folders in one another, nodes, aliases, and entries of one list or mapping.
const MOST_LEVELS: usize = 64;
const MOST_NODES: usize = 100_000;
const MOST_ALIASES: usize = 1_000;
const MOST_ENTRIES: usize = 1_000;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Scalar(String),
    List(Vec<Rc<Node>>),
    Map(Vec<(String, Rc<Node>)>),
}

impl Node {
    /// The value of `key`, if this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The pairs of a mapping; none of anything else.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Node)> {
        let entries = if let Node::Map(entries) = self { entries.as_slice() } else { &[] };
        entries.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> impl Iterator<Item = &Node> {
        let items = if let Node::List(items) = self { items.as_slice() } else { &[] };
        items.iter().map(Rc::as_ref)
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        if let Node::Scalar(text) = self { Some(text) } else { None }
    }
}

/// What is being built.
enum Unfinished {
    List(Vec<Rc<Node>>, usize),
    Map(Vec<(String, Rc<Node>)>, Option<String>, usize),
}

/// The first document of `text`; an empty one is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Rc<Node>, String> {
    let mut parser = Parser::new_from_str(text);
    let mut anchors: HashMap<usize, Rc<Node>> = HashMap::new();
    let mut open: Vec<Unfinished> = Vec::new();
    let (mut nodes, mut aliases) = (0, 0);
    loop {
        let (event, _) = parser.next_token().map_err(|error| error.to_string())?;
        nodes += 1;
        if nodes > MOST_NODES || open.len() > MOST_LEVELS || aliases > MOST_ALIASES {
            return Err("larger than a compose file can be".into());
        }
        let (node, anchor) = match event {
            Event::Scalar(text, _, anchor, _) => (Rc::new(Node::Scalar(text)), anchor),
            Event::Alias(anchor) => {
                aliases += 1;
                let target = anchors.get(&anchor).ok_or("an alias without an anchor")?;
                (Rc::clone(target), 0)
            }
            Event::SequenceStart(anchor, _) => {
                open.push(Unfinished::List(Vec::new(), anchor));
                continue;
            }
            Event::MappingStart(anchor, _) => {
                open.push(Unfinished::Map(Vec::new(), None, anchor));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Unfinished::List(items, anchor)) => (Rc::new(Node::List(items)), anchor),
                Some(Unfinished::Map(entries, _, anchor)) => (Rc::new(Node::Map(merged(entries)?)), anchor),
                None => return Err("an end without a start".into()),
            },
            Event::DocumentEnd | Event::StreamEnd => return Ok(Rc::new(Node::Map(Vec::new()))),
            Event::Nothing | Event::StreamStart | Event::DocumentStart => continue,
        };
        if anchor > 0 {
            anchors.insert(anchor, Rc::clone(&node));
        }
        match open.last_mut() {
            None => {
                return Ok(if *node == Node::Scalar("~".into()) { Rc::new(Node::Map(vec![])) } else { node });
            }
            Some(Unfinished::List(items, _)) => items.push(node),
            Some(Unfinished::Map(entries, key @ None, _)) => {
                *key = Some(node.text().ok_or("a key that is not a word")?.to_string());
                if entries.len() > MOST_ENTRIES {
                    return Err("more entries than a compose file can have".into());
                }
            }
            Some(Unfinished::Map(entries, key, _)) => entries.push((key.take().unwrap_or_default(), node)),
        }
        if let Some(Unfinished::List(items, _)) = open.last() {
            if items.len() > MOST_ENTRIES {
                return Err("more entries than a compose file can have".into());
            }
        }
    }
}

/// `entries` with those of each `<<` added that they don't have themselves.
fn merged(entries: Vec<(String, Rc<Node>)>) -> Result<Vec<(String, Rc<Node>)>, String> {
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key == "<<");
    for (_, merge) in merges {
        let sources: Vec<&Node> = match merge.as_ref() {
            Node::List(items) => items.iter().map(Rc::as_ref).collect(),
            other => vec![other],
        };
        for (key, value) in sources.into_iter().flat_map(|source| match source {
            Node::Map(entries) => entries.as_slice(),
            _ => &[],
        }) {
            if !own.iter().any(|(known, _)| known == key) {
                own.push((key.clone(), Rc::clone(value)));
            }
        }
        if own.len() > MOST_ENTRIES {
            return Err("more entries than a compose file can have".into());
        }
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_text_and_anchors_are_merged() {
        let text = "x: &x {a: 1, b: 08}\ny:\n  <<: *x\n  b: no\nz: [*x, 'q']\n";
        let root = parse(text).unwrap();
        let y = root.get("y").unwrap();
        assert_eq!((y.get("a").unwrap().text(), y.get("b").unwrap().text()), (Some("1"), Some("no")));
        assert_eq!(root.get("z").unwrap().items().nth(1).unwrap().text(), Some("q"));
        assert_eq!(*parse("# nothing\n").unwrap(), Node::Map(vec![]));
    }

    #[test]
    fn a_hostile_file_is_refused() {
        let levels = "[".repeat(100_000);
        let bomb: String = std::iter::once("a0: &a0 [x]\n".to_string())
            .chain((1..2_000).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)))
            .collect();
        let wide = format!("a: [{}]", "1,".repeat(50_000));
        for text in [levels.as_str(), &bomb, &wide, "a: *b", "a: [", "? [a]\n: b"] {
            assert!(parse(text).is_err(), "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn aliases_of_aliases_take_no_memory() {
        let bomb: String = std::iter::once("a0: &a0 [x]\n".to_string())
            .chain((1..100).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1)))
            .collect();
        assert!(parse(&bomb).unwrap().get("a99").is_some());
    }
}
