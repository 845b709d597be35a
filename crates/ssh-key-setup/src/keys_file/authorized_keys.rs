//! The server's `authorized_keys` as text: which line is ours, and the same file with it put in or taken out.
//!
//! Nothing but our own line changes: not order, comments, CR or a missing last newline, so taking the line out again
//! brings the old bytes back. A line is ours if the key itself (its base64) is, whatever options and comment stand around
//! it, so a key is never there twice.

/// What is to be allowed with the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedLine {
    /// `ssh-ed25519 AAAA… comment`.
    pub(crate) public_key: String,
    /// What is before it; `None` for a key that may do everything.
    pub(crate) options: Option<String>,
}

impl WantedLine {
    pub(crate) fn line(&self) -> String {
        match &self.options {
            Some(options) => format!("{options} {}", self.public_key),
            None => self.public_key.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    Present,
    /// It is there with options of another origin, which are kept.
    PresentWithOptions(String),
    Write(Vec<u8>),
}

/// Only SFTP, and nothing else; it starts in `path` if sshd can be given that path.
///
/// sshd cuts the arguments of `internal-sftp` at blanks without regard to quotes and expands `%`, so a path with
/// anything out of the ordinary is left out: it only sets where a relative path would start.
pub(crate) fn sftp_only(path: Option<&str>) -> String {
    let plain = |path: &&str| path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@".contains(c));
    match path.filter(plain) {
        Some(path) => format!("restrict,command=\"internal-sftp -d {path}\""),
        None => "restrict,command=\"internal-sftp\"".to_owned(),
    }
}

/// The same for servers that don't know `restrict` (OpenSSH before 7.2) or `internal-sftp` (Dropbear and others).
pub(crate) fn sftp_only_in_old_words(program: &str) -> String {
    format!("{OLD_WORDS}\"{program}\"")
}

const OLD_WORDS: &str = "no-port-forwarding,no-agent-forwarding,no-X11-forwarding,no-pty,command=";

/// For servers that can't run SFTP under a `command=`: no forward, no terminal, no agent. A shell stays.
pub(crate) const WITHOUT_COMMAND: [&str; 2] =
    ["restrict", "no-port-forwarding,no-agent-forwarding,no-X11-forwarding,no-pty"];

/// Only what a jump host has to do: pass a connection on to that one address.
pub(crate) fn jump_only(host: &str, port: u16, knows_restrict: bool) -> String {
    let start = if knows_restrict { JUMP } else { OLD_JUMP };
    format!("{start}{PERMIT}{}\",command=\"/bin/false\"", address(host, port))
}

/// `nas:22`, `[fe80::1]:22`.
pub(crate) fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

const JUMP: &str = "restrict,port-forwarding,";
const OLD_JUMP: &str = "no-agent-forwarding,no-X11-forwarding,no-pty,";
const PERMIT: &str = "permitopen=\"";

/// What is before the key type, if the line holds the key and sshd reads it so.
///
/// sshd takes a line for a key first, and only if it is not one takes what is before the first blank outside of
/// quotes for options. So a key that is quoted in a line's `command="…"` is not there.
fn options_in<'a>(line: &'a [u8], public_key: &str) -> Option<&'a [u8]> {
    let text = line.trim_ascii();
    if holds(text, public_key) {
        return Some(b"");
    }
    let end = end_of_options(text);
    (!text.starts_with(b"#") && holds(&text[end..], public_key)).then(|| &text[..end])
}

/// Whether `text` starts with this key: its type and its base64.
fn holds(text: &[u8], public_key: &str) -> bool {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut wanted = public_key.split_ascii_whitespace().map(str::as_bytes);
    let (key_type, blob) = (wanted.next(), wanted.next());
    key_type.is_some() && blob.is_some() && words.next() == key_type && words.next() == blob
}

/// Where the options that `text` starts with end: at the first blank that is not quoted.
fn end_of_options(text: &[u8]) -> usize {
    let (mut at, mut quoted) = (0, false);
    while at < text.len() && (quoted || !matches!(text[at], b' ' | b'\t')) {
        match text[at..] {
            [b'\\', b'"', ..] => at += 1,
            [b'"', ..] => quoted = !quoted,
            _ => {}
        }
        at += 1;
    }
    at.min(text.len())
}

/// Options that a run of ours wrote, or none at all: those may be changed.
fn may_be_changed(options: &[u8]) -> bool {
    let (jump, old_jump) = (format!("{JUMP}{PERMIT}"), format!("{OLD_JUMP}{PERMIT}"));
    let ours = ["restrict,command=\"internal-sftp", &jump, OLD_WORDS, &old_jump];
    let is_whole = WITHOUT_COMMAND.iter().any(|whole| options == whole.as_bytes());
    options.is_empty() || is_whole || ours.iter().any(|start| options.starts_with(start.as_bytes()))
}

/// `old` with the wanted line: put in at the end, or changed in its place.
pub(crate) fn with(old: &[u8], wanted: &WantedLine) -> Edit {
    let mut new = Vec::with_capacity(old.len() + 400);
    let mut found: Vec<Vec<u8>> = Vec::new();
    for line in old.split_inclusive(|&b| b == b'\n') {
        let Some(options) = options_in(line, &wanted.public_key) else {
            new.extend_from_slice(line);
            continue;
        };
        // A second line of the same key is dropped: sshd takes the first, and who reads the file believes either.
        if found.is_empty() {
            let end = line.trim_ascii_end().len();
            new.extend_from_slice(wanted.line().as_bytes());
            new.extend_from_slice(&line[end..]);
        }
        found.push(options.to_vec());
    }
    match found.first() {
        Some(options) if !may_be_changed(options) => {
            Edit::PresentWithOptions(String::from_utf8_lossy(options).into_owned())
        }
        // The comment matters to the server alone.
        Some(options)
            if found.len() == 1 && *options == wanted.options.as_deref().unwrap_or("").as_bytes() =>
        {
            Edit::Present
        }
        Some(_) => Edit::Write(new),
        None => {
            // A file without a last newline stays one, so the newline goes before our line instead of after it.
            let has_no_newline = new.last().is_some_and(|&b| b != b'\n');
            if has_no_newline {
                new.push(b'\n');
            }
            new.extend_from_slice(wanted.line().as_bytes());
            if !has_no_newline {
                new.push(b'\n');
            }
            Edit::Write(new)
        }
    }
}

/// `old` without any line that holds the key; `None` if there was none.
pub(crate) fn without(old: &[u8], public_key: &str) -> Option<Vec<u8>> {
    let lines = old.split_inclusive(|&b| b == b'\n');
    let mut new: Vec<u8> =
        lines.filter(|line| options_in(line, public_key).is_none()).flatten().copied().collect();
    if new.len() == old.len() {
        return None;
    }
    // The file had no last newline, and the one that is last now was put before our line.
    if old.last() != Some(&b'\n') && new.last() == Some(&b'\n') {
        new.pop();
    }
    Some(new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted() -> WantedLine {
        WantedLine {
            public_key: "ssh-ed25519 AAAAours backrest".into(),
            options: Some(sftp_only(Some("/srv/r"))),
        }
    }

    #[track_caller]
    fn written(old: &str) -> String {
        match with(old.as_bytes(), &wanted()) {
            Edit::Write(new) => String::from_utf8(new).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    const LINE: &str = "restrict,command=\"internal-sftp -d /srv/r\" ssh-ed25519 AAAAours backrest";

    #[test]
    fn our_line_is_put_in_once_and_all_others_stay() {
        let theirs = r#"command="echo \"ssh-ed25519 AAAAours x",from="a b" ssh-rsa BBBB me"#;
        for (what, old, new) in [
            (
                "a missing last newline does not join two keys",
                "ssh-rsa BBBB me".into(),
                format!("ssh-rsa BBBB me\n{LINE}"),
            ),
            ("a new file", String::new(), format!("{LINE}\n")),
            (
                "an unrestricted line of the same key is restricted where it is",
                "a BBBB x\nssh-ed25519 AAAAours root@host\nc DDDD y".into(),
                format!("a BBBB x\n{LINE}\nc DDDD y"),
            ),
            ("the same, alone", "ssh-ed25519 AAAAours".into(), LINE.into()),
            (
                "a key in a comment is not there",
                "#ssh-ed25519 AAAAours x\n".into(),
                format!("#ssh-ed25519 AAAAours x\n{LINE}\n"),
            ),
            ("a key inside other options is not there", format!("{theirs}\n"), format!("{theirs}\n{LINE}\n")),
            (
                "a key that is there twice stays once",
                format!("{LINE}\nssh-rsa BBBB me\nfrom=\"10.0.0.1\" ssh-ed25519 AAAAours x\n"),
                format!("{LINE}\nssh-rsa BBBB me\n"),
            ),
        ] {
            assert_eq!(written(&old), new, "{what}");
        }
        assert_eq!(without(format!("{theirs}\n").as_bytes(), &wanted().public_key), None);
    }

    #[test]
    fn a_second_run_finds_it() {
        let once = written("# mine\r\nssh-rsa BBBB me\r\n");
        assert!(once.starts_with("# mine\r\nssh-rsa BBBB me\r\n"));
        assert_eq!(with(once.as_bytes(), &wanted()), Edit::Present);
    }

    #[test]
    fn options_that_are_not_ours_are_kept() {
        let kept = |line: &str| with(line.as_bytes(), &wanted());
        let options = "from=\"10.0.0.1\",command=\"a b\"";
        assert_eq!(
            kept(&format!("{options} ssh-ed25519 AAAAours x\n")),
            Edit::PresentWithOptions(options.into())
        );
        let with_blanks = "\tcommand=\"a \\\" b\",no-pty  ssh-ed25519 \t AAAAours y\r\n";
        assert_eq!(kept(with_blanks), Edit::PresentWithOptions(r#"command="a \" b",no-pty"#.into()));
        assert_eq!(without(with_blanks.as_bytes(), &wanted().public_key).unwrap(), b"");
    }

    #[test]
    fn another_path_or_no_restriction_changes_our_own_line() {
        let plain = WantedLine { options: None, ..wanted() };
        assert_eq!(
            with(format!("{LINE}\n").as_bytes(), &plain),
            Edit::Write(b"ssh-ed25519 AAAAours backrest\n".to_vec())
        );
    }

    #[test]
    fn a_path_that_sshd_would_cut_or_expand_is_left_out() {
        assert_eq!(sftp_only(Some("/srv/my backups")), "restrict,command=\"internal-sftp\"");
        assert_eq!(sftp_only(Some("/srv/%u\"")), "restrict,command=\"internal-sftp\"");
    }

    proptest! {
        #[test]
        fn putting_in_and_taking_out_restores_the_file(old in "([a-z#\" =,\r]{0,12}\n){0,6}([a-z#\" =,\r]{1,12})?") {
            let Edit::Write(new) = with(old.as_bytes(), &wanted()) else { panic!("it was not there") };
            prop_assert!(new.starts_with(old.as_bytes()));
            prop_assert_eq!(without(&new, &wanted().public_key).unwrap(), old.as_bytes());
            prop_assert_eq!(without(old.as_bytes(), &wanted().public_key), None);
        }
    }
}
