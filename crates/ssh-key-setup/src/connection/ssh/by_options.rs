//! The folder held to itself by options alone, for a system that forbids namespaces.
//!
//! `-F` keeps ssh from the user's and the machine's files, but paths in the folder's files mean the container's: the
//! home is the temporary folder's, and `/root/.ssh` is the stage in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use common::atomic;

use super::IN_CONTAINER;

/// Makes the files in `stage`, below `home`, mean themselves, and writes `config` there.
pub(super) fn write(home: &Path, stage: &Path, config: &str) -> Result<()> {
    for entry in fs::read_dir(stage).into_iter().flatten().flatten() {
        let (path, text) = (entry.path(), fs::read_to_string(entry.path()).unwrap_or_default());
        let here = moved(&text, home, stage);
        if here != text {
            fs::remove_file(&path).context("replace a link")?;
            atomic::write(&path, here.as_bytes(), 0o600)?;
        }
    }
    // ssh hands -F on to the ssh that it starts for a ProxyJump, and no other option.
    let config = format!("GlobalKnownHostsFile /dev/null\n{}", moved(config, home, stage));
    atomic::write(&stage.join("config"), config.as_bytes(), 0o600)?;
    Ok(())
}

/// A file's text with its paths below `home`. A relative `Include` would be looked for in the user's own folder.
fn moved(text: &str, home: &Path, stage: &Path) -> String {
    let (home, stage) = (home.to_string_lossy(), stage.to_string_lossy());
    let line = |line: &str| {
        let line = line.replace(IN_CONTAINER, &stage).replace("~/", &format!("{home}/"));
        let (keyword, rest) = line.trim().split_once([' ', '\t', '=']).unwrap_or_default();
        if !keyword.eq_ignore_ascii_case("include") {
            return line;
        }
        let files = shlex::split(rest.trim_start_matches([' ', '\t', '='])).unwrap_or_default();
        let files = files.iter().map(|file| match file.starts_with('/') {
            true => format!(" \"{file}\""),
            false => format!(" \"{stage}/{file}\""),
        });
        format!("Include{}\n", files.collect::<String>())
    };
    text.split_inclusive('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_container_are_those_of_the_stage() {
        let text = "IdentityFile /root/.ssh/k\n  include=~/.ssh/a b\n\tInclude \"c\"\nUser me\n# ~ end";
        let here = moved(text, Path::new("/t"), Path::new("/t/.ssh"));
        let expected = "IdentityFile /t/.ssh/k\nInclude \"/t/.ssh/a\" \"/t/.ssh/b\"\nInclude \"/t/.ssh/c\"\nUser me\n# ~ end";
        assert_eq!(here, expected);
    }
}
