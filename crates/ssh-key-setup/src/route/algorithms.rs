//! What the user changed in a list of algorithms, written as the change alone.
//!
//! `ssh -G` prints whole lists, with every name that this ssh knows. Another version refuses a whole config file for
//! one name that it does not know, so the container gets `+added`, `-removed` or `^first` if that means the same, and
//! no name that newer versions have dropped.

/// Names that OpenSSH knew once and knows no more in 10.0: its release notes for 7.0, 7.6, 8.5 and 10.0.
const DROPPED: [&str; 17] = [
    "ssh-dss",
    "ssh-dss-cert-v00@openssh.com",
    "ssh-dss-cert-v01@openssh.com",
    "ssh-rsa-cert-v00@openssh.com",
    "arcfour",
    "arcfour128",
    "arcfour256",
    "blowfish-cbc",
    "cast128-cbc",
    "rijndael-cbc@lysator.liu.se",
    "acss@openssh.org",
    "hmac-ripemd160",
    "hmac-ripemd160@openssh.com",
    "hmac-ripemd160-etm@openssh.com",
    "sntrup4591761x25519-sha512@tinyssh.org",
    "ssh-xmss@openssh.com",
    "ssh-xmss-cert-v01@openssh.com",
];

/// How the list `own` differs from `default`, both separated by commas: the value for a config file, if anything is left
/// to write, and the names that were left out, because newer versions refuse them.
pub(crate) fn change(own: &str, default: &str) -> (Option<String>, Vec<String>) {
    let own: Vec<&str> = own.split(',').filter(|name| !name.is_empty()).collect();
    let default: Vec<&str> = default.split(',').filter(|name| !name.is_empty()).collect();
    let (left_out, own): (Vec<&str>, Vec<&str>) = own.iter().partition(|name| DROPPED.contains(name));
    (written(&own, &default), left_out.into_iter().map(str::to_owned).collect())
}

fn written(own: &[&str], default: &[&str]) -> Option<String> {
    if own == default || own.is_empty() {
        return None;
    }
    if let Some(added) = own.strip_prefix(default) {
        return Some(format!("+{}", added.join(",")));
    }
    let kept: Vec<&str> = default.iter().copied().filter(|name| own.contains(name)).collect();
    // A list of a few names is what the user wants and no more; most of the default is the default without some.
    if kept == own && kept.len() * 2 > default.len() {
        let removed: Vec<&str> = default.iter().copied().filter(|name| !own.contains(name)).collect();
        return Some(format!("-{}", removed.join(",")));
    }
    for end in 1..own.len() {
        let (first, rest) = own.split_at(end);
        let others: Vec<&str> = default.iter().copied().filter(|name| !first.contains(name)).collect();
        if rest == others {
            return Some(format!("^{}", first.join(",")));
        }
    }
    Some(own.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_change_is_written() {
        for (own, value) in [
            ("a,b,c,d", None),
            ("a,b,c,d,ssh-rsa", Some("+ssh-rsa")),
            ("a,c,d", Some("-b")),
            ("c,a,b,d", Some("^c")),
            ("x,a,b,c,d", Some("^x")),
            ("b", Some("b")),
            ("x,y", Some("x,y")),
            ("a,b,c,d,ssh-dss", None),
            ("a,b,c,d,ssh-rsa,ssh-dss", Some("+ssh-rsa")),
            ("ssh-dss", None),
        ] {
            assert_eq!(change(own, "a,b,c,d").0.as_deref(), value, "{own}");
        }
        assert_eq!(change("a,ssh-dss,arcfour", "a").1, ["ssh-dss", "arcfour"]);
    }
}
