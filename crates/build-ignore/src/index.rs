//! Many patterns at once against a tree: which of them match a name, given the folder that it lies in.
//!
//! In come patterns as steps; a walk asks [`Index::matches`] for each name and [`Index::enter`] for each folder. The
//! same index serves git's rules and restic's patterns: what differs is how one name is matched.
//!
//! What a reader gets wrong: only a match of the whole pattern is reported, at the path where it ends. That a pattern
//! also matches everything below (restic) or decides for everything below (git) is the caller's business.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<N> {
    /// Any number of folders, also none. A name always follows.
    AnyFolders,
    /// One name.
    Name(N),
}

/// How one name is matched.
pub trait NamePattern {
    /// Whether it matches the whole of `name`.
    fn matches(&self, name: &[u8]) -> bool;
    /// The form in which it can be looked up instead of tried.
    fn form(&self) -> Form<'_>;
}

/// Forms that a hash table can answer for.
pub enum Form<'a> {
    /// Every name.
    Any,
    /// This name.
    Literal(&'a [u8]),
    /// Every name that ends so.
    Suffix(&'a [u8]),
    /// Some names that end so: then it has to be tried.
    Ending(&'a [u8]),
    /// It has to be tried.
    Other,
}

/// A number by which the caller knows a pattern: its place in the order in which they were given.
pub type Id = u32;

/// The patterns, by the literal folders that they begin with.
#[derive(Debug)]
pub struct Index<N> {
    /// None for a pattern that is only looked up: nearly all are, and need not be kept.
    patterns: Vec<Option<Arc<[Step<N>]>>>,
    nodes: Vec<Node>,
    /// For each pattern, the one before it that is looked up at the same place by the same name.
    alike: Vec<Option<Id>>,
}

/// What is known in one folder.
#[derive(Clone, Debug)]
pub struct State {
    /// The nodes to which the names lead, by their literal names or by `*`.
    nodes: Vec<u32>,
    /// Nodes above whose patterns apply at any depth.
    floating: Vec<u32>,
    /// Patterns of which this many steps have been taken.
    threads: Vec<(Id, u32)>,
}

/// A folder that patterns lead through; their last name is in it.
#[derive(Debug, Default)]
struct Node {
    children: FxHashMap<Box<[u8]>, u32>,
    /// Where any name leads: patterns that go on behind a `*`.
    any_child: Option<u32>,
    /// Last names of a child.
    here: Last,
    /// Last names at any depth.
    below: Last,
    threads: Vec<(Id, u32)>,
    /// The last marked pattern that may match a child of this folder.
    marked_here: Option<Id>,
    /// The last marked pattern that may match at any depth below.
    marked_below: Option<Id>,
}

/// Last names of patterns.
#[derive(Debug, Default)]
struct Last {
    /// The last pattern that matches any name; [`Index::alike`] has those before it.
    any: Option<Id>,
    /// Most folders have just the one above.
    others: Option<Box<Names>>,
}

/// The last pattern of each name; [`Index::alike`] has those before it.
type ByName = FxHashMap<Box<[u8]>, Id>;

/// Patterns of one name that not every name matches.
#[derive(Debug, Default)]
struct Names {
    literals: ByName,
    suffixes: ByEnding,
    /// To be tried on names that end so.
    endings: ByEnding,
    to_try: Vec<Id>,
}

/// The last pattern of each ending, by its length.
#[derive(Debug, Default)]
struct ByEnding(Vec<(usize, ByName)>);

impl<N> Default for Index<N> {
    /// Without a pattern.
    fn default() -> Self {
        Index { patterns: Vec::new(), nodes: vec![Node::default()], alike: Vec::new() }
    }
}

impl<N: NamePattern, P: AsRef<[Step<N>]> + Into<Arc<[Step<N>]>>> FromIterator<P> for Index<N> {
    /// An index over patterns of which none is marked.
    fn from_iter<I: IntoIterator<Item = P>>(patterns: I) -> Self {
        let mut index = Index::default();
        patterns.into_iter().for_each(|pattern| index.push(pattern, false));
        index
    }
}

impl<N: NamePattern> Index<N> {
    /// Adds a pattern; its [`Id`] is the number of those before it. One that is marked can be asked for with
    /// [`Index::last_marked_for_children`].
    pub fn push(&mut self, steps: impl AsRef<[Step<N>]> + Into<Arc<[Step<N>]>>, is_marked: bool) {
        let id = self.alike.len() as Id;
        let (alike, is_tried) = insert(&mut self.nodes, id, steps.as_ref(), is_marked);
        self.alike.push(alike);
        self.patterns.push(is_tried.then(|| steps.into()));
    }

    /// The last name of a pattern that is not looked up by all of it.
    pub fn last_name_of(&self, id: Id) -> Option<&N> {
        match self.steps_of(id).last() {
            Some(Step::Name(last)) => Some(last),
            _ => None,
        }
    }

    fn steps_of(&self, id: Id) -> &[Step<N>] {
        self.patterns[id as usize].as_deref().unwrap_or_default()
    }

    /// The state in the folder in which the patterns begin.
    pub fn start(&self) -> State {
        let mut state = State { nodes: vec![0], floating: Vec::new(), threads: Vec::new() };
        self.arrive(&mut state, 0);
        state
    }

    /// Reports each pattern that matches `name` in the folder of `state`, in no particular order.
    pub fn matches(&self, state: &State, name: &[u8], mut each: impl FnMut(Id)) {
        for &node in &state.nodes {
            self.last_names(&self.nodes[node as usize].here, name, &mut each);
        }
        for &node in &state.floating {
            self.last_names(&self.nodes[node as usize].below, name, &mut each);
        }
        for &(id, taken) in &state.threads {
            if self.last_name(self.steps_of(id), taken).is_some_and(|last| last.matches(name)) {
                each(id);
            }
        }
    }

    /// The state in the sub-folder `name`.
    pub fn enter(&self, state: &State, name: &[u8]) -> State {
        let children = state.nodes.iter().flat_map(|&node| {
            let node = &self.nodes[node as usize];
            node.children.get(name).copied().into_iter().chain(node.any_child)
        });
        let mut inner =
            State { nodes: children.collect(), floating: state.floating.clone(), threads: Vec::new() };
        for &(id, taken) in &state.threads {
            let steps = self.steps_of(id);
            let next = taken as usize;
            match (&steps[next], steps.get(next + 1)) {
                (Step::Name(pattern), Some(_)) if pattern.matches(name) => {
                    inner.threads.push((id, taken + 1));
                }
                (Step::Name(_), _) => {}
                (Step::AnyFolders, after) => {
                    inner.threads.push((id, taken));
                    if let (Some(Step::Name(pattern)), true) = (after, next + 2 < steps.len()) {
                        if pattern.matches(name) {
                            inner.threads.push((id, taken + 2));
                        }
                    }
                }
            }
        }
        for position in 0..inner.nodes.len() {
            let node = inner.nodes[position];
            self.arrive(&mut inner, node);
        }
        inner.threads.sort_unstable();
        inner.threads.dedup();
        inner
    }

    /// Whether nothing can match in the folder of `state` or below it.
    pub fn is_over(&self, state: &State) -> bool {
        state.nodes.is_empty() && state.floating.is_empty() && state.threads.is_empty()
    }

    /// The last marked pattern that may match some child of the folder of `state`, without looking at names: it may be
    /// a later one than any that does, never an earlier one.
    pub fn last_marked_for_children(&self, state: &State, is_marked: impl Fn(Id) -> bool) -> Option<Id> {
        let here = state.nodes.iter().filter_map(|&node| self.nodes[node as usize].marked_here);
        let below = state.floating.iter().filter_map(|&node| self.nodes[node as usize].marked_below);
        let threads = state
            .threads
            .iter()
            .filter(|(id, taken)| is_marked(*id) && self.last_name(self.steps_of(*id), *taken).is_some());
        here.chain(below).chain(threads.map(|(id, _)| *id)).max()
    }

    /// The patterns that match every child of the folder of `state`, whatever its name.
    pub fn matches_all_children(&self, state: &State, mut each: impl FnMut(Id)) {
        for &node in &state.nodes {
            self.all_alike(self.nodes[node as usize].here.any, &mut each);
        }
        for &node in &state.floating {
            self.all_alike(self.nodes[node as usize].below.any, &mut each);
        }
        for &(id, taken) in &state.threads {
            let last = self.last_name(self.steps_of(id), taken);
            if last.is_some_and(|last| matches!(last.form(), Form::Any)) {
                each(id);
            }
        }
    }

    fn arrive(&self, state: &mut State, node: u32) {
        let here = &self.nodes[node as usize];
        if !here.below.is_empty() {
            state.floating.push(node);
        }
        state.threads.extend_from_slice(&here.threads);
    }

    /// The name with which the pattern ends, if the next name can be that one.
    fn last_name<'a>(&self, steps: &'a [Step<N>], taken: u32) -> Option<&'a N> {
        match &steps[taken as usize..] {
            [Step::Name(last)] | [Step::AnyFolders, Step::Name(last)] => Some(last),
            _ => None,
        }
    }

    fn all_alike(&self, last: Option<Id>, each: &mut impl FnMut(Id)) {
        let mut next = last;
        while let Some(id) = next {
            each(id);
            next = self.alike[id as usize];
        }
    }

    fn last_names(&self, last: &Last, name: &[u8], each: &mut impl FnMut(Id)) {
        self.all_alike(last.any, each);
        let Some(names) = &last.others else { return };
        self.all_alike(names.literals.get(name).copied(), each);
        names.suffixes.of(name).for_each(|last| self.all_alike(Some(last), each));
        let mut attempt = |id| {
            if self.last_name_of(id).is_some_and(|last| last.matches(name)) {
                each(id);
            }
        };
        names.endings.of(name).for_each(|last| self.all_alike(Some(last), &mut attempt));
        names.to_try.iter().for_each(|&id| attempt(id));
    }
}

/// Returns the pattern before it that is looked up at the same place by the same name, and whether its steps are needed
/// again.
fn insert<N: NamePattern>(
    nodes: &mut Vec<Node>,
    id: Id,
    steps: &[Step<N>],
    is_marked: bool,
) -> (Option<Id>, bool) {
    let mut node = 0;
    let mut taken = 0;
    while let [Step::Name(name), _, ..] = &steps[taken..] {
        let next = nodes.len() as u32;
        let child = match name.form() {
            Form::Literal(literal) => *nodes[node].children.entry(literal.into()).or_insert(next),
            Form::Any => *nodes[node].any_child.get_or_insert(next),
            _ => break,
        };
        if child == next {
            nodes.push(Node::default());
        }
        node = child as usize;
        taken += 1;
    }
    let node = &mut nodes[node];
    let mark = is_marked.then_some(id);
    match &steps[taken..] {
        [] => (None, false),
        [Step::Name(last)] => {
            node.marked_here = node.marked_here.max(mark);
            (node.here.insert(id, last), !is_looked_up(last))
        }
        [Step::AnyFolders, Step::Name(last)] => {
            node.marked_below = node.marked_below.max(mark);
            (node.below.insert(id, last), !is_looked_up(last))
        }
        _ => {
            node.threads.push((id, taken as u32));
            (None, true)
        }
    }
}

/// Whether nothing but the whole name is looked up.
fn is_looked_up(last: &impl NamePattern) -> bool {
    matches!(last.form(), Form::Any | Form::Literal(_))
}

impl Last {
    fn is_empty(&self) -> bool {
        self.any.is_none() && self.others.is_none()
    }

    /// Returns the pattern before it that is looked up by the same name.
    fn insert(&mut self, id: Id, name: &impl NamePattern) -> Option<Id> {
        let form = name.form();
        if matches!(form, Form::Any) {
            return self.any.replace(id);
        }
        let names = self.others.get_or_insert_default();
        match form {
            Form::Literal(literal) => names.literals.insert(literal.into(), id),
            Form::Suffix(suffix) => names.suffixes.insert(suffix, id),
            Form::Ending(ending) => names.endings.insert(ending, id),
            Form::Any | Form::Other => {
                names.to_try.push(id);
                None
            }
        }
    }
}

impl ByEnding {
    /// The last pattern of each ending that `name` has.
    fn of(&self, name: &[u8]) -> impl Iterator<Item = Id> {
        self.0.iter().filter_map(move |(length, by_name)| {
            let start = name.len().checked_sub(*length)?;
            by_name.get(&name[start..]).copied()
        })
    }

    /// Returns the pattern before it that has the same ending.
    fn insert(&mut self, ending: &[u8], id: Id) -> Option<Id> {
        let known = self.0.iter().position(|(length, _)| *length == ending.len());
        let position = known.unwrap_or_else(|| {
            self.0.push((ending.len(), FxHashMap::default()));
            self.0.len() - 1
        });
        self.0[position].1.insert(ending.into(), id)
    }
}
