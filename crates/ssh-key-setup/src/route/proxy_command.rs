//! A `ProxyCommand` that is an `ssh` itself: the jump host that it amounts to.
//!
//! ssh's options may stand before and after the host, glued or apart; the way on is `-W`, or a netcat or socat on the
//! jump host. Only a command that is understood whole becomes a jump host. The nested ssh reads the files of the user
//! who runs it, so one that is not understood can't be proved and can't be carried into the container.

mod ssh_call;

use std::path::{Path, PathBuf};

use crate::connection::access::{Access, jump_access};
use ssh_call::Call;

/// Values for the tokens of a `ProxyCommand`, as ssh_config(5) has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens<'a> {
    /// `%n`: as typed.
    pub(crate) typed: &'a str,
    /// `%h`
    pub(crate) host: &'a str,
    /// `%p`
    pub(crate) port: u16,
    /// `%r`
    pub(crate) user: &'a str,
    /// For `~/` and `$HOME`.
    pub(crate) home: &'a Path,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The container's own netcat, which is BusyBox's.
    Netcat,
    Ssh,
    Script,
    Program(String),
}

/// What a proxy command needs, by the program that it runs.
pub(crate) fn need(command: &str) -> Need {
    let words = unwrapped(command).unwrap_or_default();
    let mut words = words.iter().map(String::as_str).skip_while(|word| word.contains('='));
    let program = base(words.next().unwrap_or_default());
    // BusyBox's netcat knows these two on every system, both with a value.
    let is_known = |word: &str| word.starts_with("-w") || word.starts_with("-i") || !word.starts_with('-');
    match program {
        "ssh" => Need::Ssh,
        "nc" => match words.find(|word| !is_known(word)) {
            None => Need::Netcat,
            Some(flag) => Need::Program(format!("OpenBSD's nc ({flag})")),
        },
        _ if program.contains(OF_THE_SHELL) || SHELLS.contains(&program) => Need::Script,
        _ => Need::Program(program.to_owned()),
    }
}

/// The command as the container can run it: its netcat may be in another folder.
pub(crate) fn for_container(command: &str) -> String {
    let rest = command.trim_start().trim_start_matches("exec ").trim_start();
    match rest.split_once(' ') {
        Some((program, arguments)) if program.contains('/') && base(program) == "nc" => {
            format!("nc {arguments}")
        }
        _ => command.to_owned(),
    }
}

/// Whether a proxy command only connects to the target, as ssh does by itself.
pub(crate) fn is_direct(command: &str, tokens: Tokens) -> bool {
    words(command, tokens).is_some_and(|words| is_netcat(&words, tokens))
}

const OF_THE_SHELL: [char; 12] = ['$', '`', ';', '&', '|', '<', '>', '(', ')', '\n', '*', '?'];
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "ash", "zsh"];

/// The words of a command, without what only starts it: `exec`, `env`, and a shell that is given it as `-c`.
fn unwrapped(command: &str) -> Option<Vec<String>> {
    // Where its messages go is nothing to us.
    let command = command.replace(" 2> /dev/null", "").replace(" 2>/dev/null", "");
    let words = shlex::split(&command)?;
    let start = words.iter().take_while(|word| ["exec", "command", "env"].contains(&base(word))).count();
    let words = &words[start..];
    match words {
        // `-c`, alone or with others before it.
        [shell, flags, script, ..]
            if SHELLS.contains(&base(shell)) && flags.starts_with('-') && flags.ends_with('c') =>
        {
            unwrapped(script)
        }
        _ => Some(words.to_vec()),
    }
}

/// The words of a command with their tokens replaced.
fn words(command: &str, tokens: Tokens) -> Option<Vec<String>> {
    unwrapped(command)?.iter().map(|word| tokens.expand(word)).collect()
}

/// The jump host of a proxy command, as ssh is called for it, if it is an `ssh` that does nothing but pass the
/// connection on.
pub(crate) fn jump_host(command: &str, tokens: Tokens) -> Option<Access> {
    let words = words(command, tokens)?;
    if base(words.first()?) != "ssh" {
        return None;
    }
    let call = Call::parse(&words[1..])?;
    let passes_on = match (&call.forward, call.command.as_slice()) {
        (Some(to), []) => tokens.is_target(to),
        // sshd hands it to a shell, which splits it again.
        (None, command) => is_netcat(&unwrapped(&command.join(" "))?, tokens),
        _ => false,
    };
    passes_on.then_some(())?;
    let mut access = jump_access(&call.destination).ok()?;
    let mut set = |keyword: &str, value: String| match keyword.to_ascii_lowercase().as_str() {
        "user" => drop(access.user.get_or_insert(value)),
        "port" => access.port = access.port.or(value.parse().ok()),
        "identityfile" if access.identity.is_none() => {
            access.identity = Some(PathBuf::from(tokens.in_home(&value)));
        }
        // Ours: each host gets a connection of its own that is kept open, and asks the person.
        "controlmaster" | "controlpath" | "controlpersist" | "batchmode" | "loglevel" | "requesttty" => {}
        _ => access.options.push(format!("{keyword}={value}")),
    };
    for (keyword, value) in call.options {
        set(&keyword, value);
    }
    access.config = call.config.map(|file| tokens.in_home(&file).into());
    Some(access)
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

impl Tokens<'_> {
    /// A word with its tokens replaced; `None` if the shell would make something of it that is not known here.
    fn expand(self, word: &str) -> Option<String> {
        let word = word.replace("${HOME}", "~").replace("$HOME", "~");
        if word.contains(OF_THE_SHELL) {
            return None;
        }
        let mut text = String::new();
        let mut letters = word.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                text.push(letter);
                continue;
            }
            match letters.next()? {
                '%' => text.push('%'),
                'h' => text.push_str(self.host),
                'n' => text.push_str(self.typed),
                'p' => text.push_str(&self.port.to_string()),
                'r' => text.push_str(self.user),
                _ => return None,
            }
        }
        Some(text)
    }

    fn in_home(self, path: &str) -> String {
        match path.strip_prefix("~/") {
            Some(rest) => self.home.join(rest).to_string_lossy().into_owned(),
            None => path.to_owned(),
        }
    }

    fn is_target(self, forward: &str) -> bool {
        forward.rsplit_once(':').is_some_and(|(host, port)| self.is(host, port))
    }

    fn is(self, host: &str, port: &str) -> bool {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        host == self.host && port.parse() == Ok(self.port)
    }
}

/// Whether a command only connects its input and output to the target.
fn is_netcat(words: &[String], tokens: Tokens) -> bool {
    let mut words = words.iter().map(String::as_str);
    let program = words.next().map_or("", base);
    let rest: Vec<&str> = words.collect();
    match program {
        "nc" | "ncat" | "netcat" | "nc.openbsd" | "nc.traditional" => {
            let mut places = Vec::new();
            let mut rest = rest.into_iter();
            while let Some(word) = rest.next() {
                match word {
                    "-w" | "-q" | "-i" => drop(rest.next()),
                    "-N" | "-4" | "-6" | "-n" | "-v" | "--" => {}
                    _ if word.starts_with("-w") || word.starts_with("-q") => {}
                    _ if word.starts_with('-') => return false,
                    _ => places.push(word),
                }
            }
            matches!(places.as_slice(), [host, port] if tokens.is(host, port))
        }
        "socat" => {
            let is_ours = |place: &str| ["-", "STDIO", "stdio"].contains(&place);
            let to = |place: &str| {
                let (kind, address) = place.split_once(':')?;
                let kind = kind.to_ascii_uppercase();
                Some(["TCP", "TCP4", "TCP6"].contains(&kind.as_str()) && tokens.is_target(address))
            };
            matches!(rest.as_slice(), [ours, place] if is_ours(ours) && to(place) == Some(true))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens<'static> {
        let home = Path::new("/home/me");
        Tokens { typed: "nas", host: "10.0.0.5", port: 22, user: "backup", home }
    }

    fn jump(command: &str) -> Option<Access> {
        jump_host(command, tokens())
    }

    #[test]
    fn an_ssh_that_passes_on_is_a_jump_host_in_all_its_spellings() {
        for command in [
            "ssh -W %h:%p gate",
            "ssh -W [%h]:%p gate",
            "ssh -W '[%h]:%p' gate",
            "ssh -W%h:%p gate",
            "ssh -qW %h:%p gate",
            "ssh gate -W %h:%p",
            "exec /usr/bin/ssh -q -T -a -W %h:%p -- gate",
            "ssh gate nc %h %p",
            "ssh -q gate exec nc -q0 -w 5 %h %p 2>/dev/null",
            "ssh gate 'netcat %h %p'",
            "ssh gate /bin/nc %h %p 2> /dev/null",
            "ssh gate socat - TCP:%h:%p",
            "ssh -W 10.0.0.5:22 gate",
            "ssh -o ControlMaster=auto -S none -W %h:%p gate",
            "sh -c 'ssh -W %h:%p gate'",
            "/bin/bash -ec 'exec ssh -W \"[%h]:%p\" \"gate\"' bash",
            "env ssh 'gate' -W \"%h:%p\"",
            "ssh gate \"sh -c 'exec nc %h %p'\"",
        ] {
            let access = jump(command).unwrap_or_else(|| panic!("{command}"));
            assert_eq!(access, Access { host: "gate".into(), ..Access::default() }, "{command}");
        }
    }

    #[test]
    fn what_the_nested_ssh_is_given_goes_to_the_jump_host() {
        let access = jump("ssh -o Port=2200 -i ~/.ssh/k -W %h:%p -o 'HostKeyAlias x' -C me@gate").unwrap();
        assert_eq!((access.user.as_deref(), access.port), (Some("me"), Some(2200)));
        assert_eq!(access.identity.as_deref(), Some(Path::new("/home/me/.ssh/k")));
        assert_eq!(access.options, ["HostKeyAlias=x", "Compression=yes"]);
        let access = jump("ssh -F $HOME/other -l %r -p 22 -J first,second -W %h:%p gate").unwrap();
        assert_eq!(access.config.as_deref(), Some(Path::new("/home/me/other")));
        assert_eq!(
            (access.user.as_deref(), access.options),
            (Some("backup"), vec!["ProxyJump=first,second".into()])
        );
    }

    #[test]
    fn what_is_not_understood_whole_is_not_a_jump_host() {
        for command in [
            "ssh gate",
            "ssh -W elsewhere:22 gate",
            "ssh gate nc elsewhere 22",
            "ssh gate nc -x proxy %h %p",
            "ssh -W %h:%p $(pick-a-gate)",
            "ssh -W %h:%p gate | tee log",
            "ssh -D 1080 -W %h:%p gate",
            "sh -c 'cd; ssh -W %h:%p gate'",
            "nc %h %p",
            "ssh -W",
        ] {
            assert_eq!(jump(command), None, "{command}");
        }
    }

    #[test]
    fn what_a_command_needs_is_the_program_behind_its_wrappers() {
        let program = |name: &str| Need::Program(name.to_owned());
        for (command, needed) in [
            ("nc -w 5 10.0.0.9 2222", Need::Netcat),
            ("nc -N 10.0.0.9 2222", program("OpenBSD's nc (-N)")),
            ("nc -x proxy:1080 %h %p", program("OpenBSD's nc (-x)")),
            ("exec /opt/cloudflared access ssh --hostname %h", program("cloudflared")),
            ("cloudflared access ssh --hostname %h", program("cloudflared")),
            ("A=b /usr/bin/ssh gate relay", Need::Ssh),
            ("sh -c 'ssh gate relay'", Need::Ssh),
            ("bash -c 'cd; ssh -W %h:%p gate'", Need::Script),
            ("bash ~/gate.sh", Need::Script),
            ("~/bin/gate %h", program("gate")),
        ] {
            assert_eq!(need(command), needed, "{command}");
        }
        for command in ["exec /bin/nc %h %p", "nc %h %p"] {
            assert_eq!(for_container(command), "nc %h %p");
        }
    }

    #[test]
    fn a_netcat_to_the_target_is_no_detour() {
        for command in ["nc %h %p", "exec /bin/nc -q0 -w 5 %h %p 2>/dev/null", "socat - TCP:%h:%p"] {
            assert!(is_direct(command, tokens()), "{command}");
        }
        for command in ["nc -x proxy %h %p", "nc %h 2222", "ssh -W %h:%p gate", "nc %h %p | tee log"] {
            assert!(!is_direct(command, tokens()), "{command}");
        }
    }
}
