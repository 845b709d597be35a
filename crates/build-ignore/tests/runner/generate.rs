//! Random services in which rules meet what they are about: names and rules come from the same small stock.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::case::{Case, Names, Node};

const NAMES: &[&[u8]] = &[
    b"a",
    b"b",
    b"foo",
    b"bar",
    b"keep",
    b"cache",
    b"x.log",
    b"y.log",
    b"keep.log",
    b"y.txt",
    b"a.b",
    b".hidden",
    b"foo.d",
    b"Foo",
    b"a b",
    b" lead",
    b"trail ",
    b"tab\t",
    b"nl\nx",
    b"end\n",
    b"$HOME",
    b"do$lar",
    b"#hash",
    b"!bang",
    b"[x]",
    b"a*b",
    b"q?",
    b"back\\slash",
    b"**",
    b"*",
    b"-dash",
    b"a]b",
    b"c\r",
    b"x^y",
    b"x-y",
    b"\xff\xfe",
    b"\xe9t\xe9",
    b"a\xc3",
    "é".as_bytes(),
    "aé".as_bytes(),
    "日本".as_bytes(),
    "𝄞x".as_bytes(),
    "x\u{3000}".as_bytes(),
    "n\u{a0}".as_bytes(),
    "\u{fffd}".as_bytes(),
    b"~",
    b"{a,b}",
    b"0",
    b"9z",
    b"log",
];

const PIECES: &[&[u8]] = &[
    b"*",
    b"*",
    b"?",
    b"??",
    b"*.",
    b".log",
    b"*.log",
    b"foo",
    b"a",
    b"b",
    b"x",
    b"keep",
    b"[a-c]",
    b"[!a]",
    b"[^x]",
    b"[]a]",
    b"[a-]",
    b"[[:alpha:]]",
    b"[[:digit:][:space:]]",
    b"[![:upper:]]",
    b"[[:punct:]]",
    b"[+-0]",
    b"[\\]x]",
    b"[x/y]",
    "[é]".as_bytes(),
    "[!é]".as_bytes(),
    b"[\x80-\xff]",
    b"[",
    b"[a",
    b"[[:nope:]]",
    b"\\",
    b"\\a",
    b"\\*",
    b"\\[",
    b"$",
    b"#",
    b"!",
    b" ",
    b"\\ ",
    b"\t",
    "é".as_bytes(),
    b"\xe9",
    b"\xc3",
    b"\xa9",
    "日".as_bytes(),
    "\u{3000}".as_bytes(),
    b".",
    b"-",
    b"]",
    b"\x0b",
    b"\r",
    b"***",
    b"[a-z]*",
    b"*[0-9]",
];

/// Lines that are nothing, or no rule.
const ODD_LINES: &[&[u8]] = &[b"", b"# comment", b"   ", b"!", b"/", b"//", b"!/", b"\\"];

/// A name from the stock, or two of them in one.
#[track_caller]
pub(crate) fn name(random: &mut StdRng) -> Vec<u8> {
    let first = NAMES.choose(random).unwrap().to_vec();
    if random.random_bool(0.7) { first } else { [first, NAMES.choose(random).unwrap().to_vec()].concat() }
}

/// A service with a tree of up to `size` entries and rules about it.
#[track_caller]
pub(crate) fn service(random: &mut StdRng, size: usize) -> Case {
    let mut case = Case::default();
    let mut folders: Vec<Names> = vec![Vec::new()];
    for _ in 0..random.random_range(3..=size) {
        let mut names = folders.choose(random).unwrap().clone();
        names.push(NAMES.choose(random).unwrap().to_vec());
        if names.len() > 5 {
            continue;
        }
        match random.random_range(0..10) {
            0..4 => {
                if case.add(&names, Node::Folder) {
                    folders.push(names);
                }
            }
            4..9 => {
                case.add(&names, Node::File);
            }
            _ => {
                let target = NAMES.choose(random).unwrap().to_vec();
                case.add(&names, Node::Symlink(target));
            }
        }
    }
    let files = random.random_range(1..=3);
    for number in 0..files {
        let mut names = if number == 0 { Vec::new() } else { folders.choose(random).unwrap().clone() };
        names.push(b".resticignore".to_vec());
        let lines = rules(random, &case);
        case.add(&names, Node::Rules(lines));
    }
    case
}

/// Lines of a `.resticignore`, with everything that can be in one.
#[track_caller]
pub(crate) fn rules(random: &mut StdRng, case: &Case) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = (0..random.random_range(1..=7)).map(|_| line(random, case)).collect();
    if random.random_bool(0.05) {
        lines[0].splice(0..0, *b"\xef\xbb\xbf");
    }
    if random.random_bool(0.1) {
        let last = lines.last_mut().unwrap();
        last.pop();
    }
    lines
}

#[track_caller]
fn line(random: &mut StdRng, case: &Case) -> Vec<u8> {
    let mut text = match random.random_range(0..20) {
        0 => return [*ODD_LINES.choose(random).unwrap(), b"\n"].concat(),
        1..7 => of_the_tree(random, case),
        _ => made_up(random),
    };
    text = without_unspecified_stars(&text);
    if random.random_bool(0.25) {
        text.insert(0, b'/');
    }
    if random.random_bool(0.25) {
        text.push(b'/');
    }
    if random.random_bool(0.35) {
        text.insert(0, b'!');
    }
    match random.random_range(0..12) {
        0 => text.extend_from_slice(b"  "),
        1 => text.extend_from_slice(b"\r"),
        2 => text.extend_from_slice(b" \r"),
        3 if random.random_bool(0.2) => text.extend_from_slice(b"\0tail"),
        _ => {}
    }
    text.push(b'\n');
    text
}

/// A path of the tree or the end of one, some of it replaced by stars, some of it escaped.
fn of_the_tree(random: &mut StdRng, case: &Case) -> Vec<u8> {
    let paths: Vec<&Names> = case.nodes.keys().collect();
    let Some(path) = paths.choose(random) else { return b"a".to_vec() };
    let start = random.random_range(0..path.len());
    let names: Vec<Vec<u8>> = path[start..]
        .iter()
        .map(|name| match random.random_range(0..8) {
            0 => b"*".to_vec(),
            1 => b"**".to_vec(),
            2 => [name.as_slice(), b"*"].concat(),
            3..6 => escaped(name),
            _ => name.clone(),
        })
        .collect();
    names.join(&b'/').into_iter().filter(|&byte| byte != b'\n').collect()
}

fn escaped(name: &[u8]) -> Vec<u8> {
    name.iter()
        .flat_map(
            |&byte| if byte.is_ascii_punctuation() || byte == b' ' { vec![b'\\', byte] } else { vec![byte] },
        )
        .collect()
}

fn made_up(random: &mut StdRng) -> Vec<u8> {
    let components: Vec<Vec<u8>> = (0..random.random_range(1..=3))
        .map(|_| match random.random_range(0..6) {
            0 => b"**".to_vec(),
            1 | 2 => NAMES.choose(random).unwrap().iter().copied().filter(|&byte| byte != b'\n').collect(),
            _ => (0..random.random_range(1..=3))
                .flat_map(|_| PIECES.choose(random).unwrap().to_vec())
                .collect(),
        })
        .collect();
    components.join(if random.random_bool(0.03) { b"\\/".as_slice() } else { b"/".as_slice() })
}

/// git before 2.52 reads `foo**/bar` as if `**` stood alone; gitignore(5) says that such stars are ordinary ones. So
/// that any git can be the oracle, they are written as one.
fn without_unspecified_stars(text: &[u8]) -> Vec<u8> {
    let mut components: Vec<Vec<u8>> = text.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect();
    for component in &mut components {
        if component.iter().any(|&byte| byte != b'*') {
            component.dedup_by(|a, b| *a == b'*' && *b == b'*');
        }
    }
    components.join(&b'/')
}
