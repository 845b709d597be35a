//! The command line of an `ssh`, read as ssh reads it: options before and after the host, glued or apart.
//!
//! Options become keywords of ssh_config(5). What would make the call do more than pass a connection on is not read.

#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) destination: String,
    pub(super) forward: Option<String>,
    pub(super) options: Vec<(String, String)>,
    pub(super) config: Option<String>,
    pub(super) command: Vec<String>,
}

impl Call {
    /// Reads the words after `ssh`; `None` if one of them is not understood.
    pub(super) fn parse(words: &[String]) -> Option<Call> {
        let mut call = Call::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match word.strip_prefix('-').filter(|flags| !flags.is_empty() && *flags != "-") {
                Some(flags) => call.flags(flags, &mut rest)?,
                None if word == "--" => {}
                None if call.destination.is_empty() => call.destination.clone_from(word),
                None => {
                    call.command = std::iter::once(word).chain(rest.by_ref()).cloned().collect();
                }
            }
        }
        (!call.destination.is_empty()).then_some(call)
    }

    /// One word of flags: several without a value may be glued, and the value to the last.
    fn flags<'a>(&mut self, flags: &str, rest: &mut impl Iterator<Item = &'a String>) -> Option<()> {
        for (at, flag) in flags.char_indices() {
            let fixed = match flag {
                '4' => Some(("AddressFamily", "inet")),
                '6' => Some(("AddressFamily", "inet6")),
                'C' => Some(("Compression", "yes")),
                // Of no use to a connection that is passed on.
                'q' | 'a' | 'x' | 'X' | 'Y' | 'T' | 't' | 'A' | 'N' | 'n' | 'v' | 'k' | 'K' | 'M' => None,
                _ => {
                    let glued = &flags[at + flag.len_utf8()..];
                    let value = if glued.is_empty() { rest.next()?.clone() } else { glued.to_owned() };
                    return self.valued(flag, value);
                }
            };
            self.options.extend(fixed.map(|(keyword, value)| (keyword.to_owned(), value.to_owned())));
        }
        Some(())
    }

    fn valued(&mut self, flag: char, value: String) -> Option<()> {
        match flag {
            'W' => self.forward = Some(value),
            'F' => self.config = Some(value),
            'o' => {
                let (keyword, value) = value.split_once(['=', ' ', '\t'])?;
                let value = value.trim_start_matches(['=', ' ', '\t']);
                self.options.push((keyword.trim().to_owned(), value.to_owned()));
            }
            'e' | 'S' | 'E' => {}
            _ => {
                let (_, keyword) = KEYWORDS.iter().find(|(known, _)| *known == flag)?;
                self.options.push(((*keyword).to_owned(), value));
            }
        }
        Some(())
    }
}

/// Flags with a value, and the keywords that they are short for.
const KEYWORDS: [(char, &str); 8] = [
    ('l', "User"),
    ('p', "Port"),
    ('i', "IdentityFile"),
    ('J', "ProxyJump"),
    ('b', "BindAddress"),
    ('B', "BindInterface"),
    ('c', "Ciphers"),
    ('m', "MACs"),
];
