//! A package of Debian trixie, unpacked below the target folder beside what the machine itself has.
//!
//! Nothing of the machine's apt is touched: its sources are copied with the suite replaced, and lists, cache and the
//! unpacked package lie below the target folder. So this needs no root, and no address is written down here. Only the
//! package itself is unpacked, so it has to be one that needs no more than the C library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::text::escape_path;

use super::apt;

const SUITE: &str = "trixie";

/// Fetches `package` and unpacks it to `unpacked`, which lies in `target`.
pub(super) fn fetch(target: &Path, package: &str, unpacked: &Path, cancel: &Cancel) -> Result<()> {
    let own = target.join("tools/apt");
    for folder in ["state/lists/partial", "cache/archives/partial", "sources", "download"] {
        fs::create_dir_all(own.join(folder))
            .with_context(|| format!("make a folder: {}", escape_path(&own)))?;
    }
    write_sources(&own.join("sources"))?;
    apt::run(apt_get(&own, &["update"])?.current_dir(&own), cancel)?;
    let download = own.join("download");
    apt::run(apt_get(&own, &["download", package])?.current_dir(&download), cancel)?;
    let packages = fs::read_dir(&download)?.flatten().map(|entry| entry.path());
    let package = packages.filter(|path| path.extension().is_some_and(|end| end == "deb")).max();
    let package = package.context("apt-get download left no package")?;
    let part = tempfile::tempdir_in(target.join("tools")).context("make a folder to unpack into")?;
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--extract").arg(&package).arg(part.path());
    apt::run(&mut unpack, cancel)?;
    let _ = fs::remove_dir_all(unpacked);
    fs::rename(part.path(), unpacked).with_context(|| format!("put in place: {}", escape_path(unpacked)))?;
    // The lists are some tens of MiB that are not needed again.
    let _ = fs::remove_dir_all(own);
    Ok(())
}

fn apt_get(own: &Path, arguments: &[&str]) -> Result<Command> {
    let own = own.to_str().context("the target folder's path is not UTF-8")?;
    let mut command = Command::new("apt-get");
    command.env("LC_ALL", "C.UTF-8").arg("-q");
    for option in [
        format!("Dir::State={own}/state"),
        "Dir::State::status=/var/lib/dpkg/status".to_string(),
        format!("Dir::Cache={own}/cache"),
        "Dir::Etc::sourcelist=/dev/null".to_string(),
        format!("Dir::Etc::sourceparts={own}/sources"),
        "Dir::Etc::preferencesparts=/dev/null".to_string(),
        format!("APT::Default-Release={SUITE}"),
        // As root apt would change to a user who may not write here.
        "APT::Sandbox::User=root".to_string(),
        "Acquire::Languages=none".to_string(),
    ] {
        command.args(["-o", &option]);
    }
    command.args(arguments);
    Ok(command)
}

fn write_sources(folder: &Path) -> Result<()> {
    for (number, (text, end)) in sources()?.iter().enumerate() {
        common::atomic::write(&folder.join(format!("{number}.{end}")), text.as_bytes(), 0o644)?;
    }
    Ok(())
}

/// The address of the archive that the machine's apt uses.
pub(super) fn mirror() -> Result<String> {
    let sources = sources()?;
    let mut words = sources.iter().flat_map(|(text, _)| text.split_whitespace());
    Ok(words.find(|word| word.contains("://")).context("apt's sources name no archive")?.to_string())
}

/// The machine's sources for its own release, with our suite instead, and the ending of each one's file.
fn sources() -> Result<Vec<(String, &'static str)>> {
    let release = fs::read_to_string("/etc/os-release").context("read: /etc/os-release")?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename = codename.context("/etc/os-release names no VERSION_CODENAME")?.trim_matches('"');
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = parts.map(|entry| entry.path()).collect();
    files.push(PathBuf::from("/etc/apt/sources.list"));
    files.sort();
    let derived = files.iter().filter_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        match file.extension()?.to_str()? {
            "sources" => Some((stanzas_for_suite(&text, codename), "sources")),
            "list" => Some((lines_for_suite(&text, codename), "list")),
            _ => None,
        }
    });
    let derived: Vec<_> = derived.filter(|(text, _)| !text.is_empty()).collect();
    if derived.is_empty() {
        bail!("apt's sources on this machine name no archive of {codename}");
    }
    Ok(derived)
}

/// The entries of a one-line sources file for `codename` itself, with our suite instead.
fn lines_for_suite(text: &str, codename: &str) -> String {
    let lines = text.lines().filter(|line| line.starts_with("deb ")).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words.iter().position(|word| *word == codename)?;
        let replaced =
            words.iter().enumerate().map(|(index, word)| if index == place { SUITE } else { word });
        Some(replaced.collect::<Vec<_>>().join(" ") + "\n")
    });
    lines.collect()
}

/// The stanzas of a deb822 sources file for `codename` itself, with our suite instead.
fn stanzas_for_suite(text: &str, codename: &str) -> String {
    let mut out = String::new();
    for stanza in text.split("\n\n") {
        let lines = || stanza.lines().filter(|line| !line.starts_with('#'));
        let is_for = |line: &str| {
            line.strip_prefix("Suites:")
                .is_some_and(|suites| suites.split_whitespace().any(|suite| suite == codename))
        };
        if !lines().any(is_for) {
            continue;
        }
        for line in lines() {
            match line {
                line if is_for(line) => out.push_str(&format!("Suites: {SUITE}\n")),
                line => out.push_str(&format!("{line}\n")),
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_archive_of_the_machines_own_release_is_taken() {
        let text = "# comment\nTypes: deb\nURIs: http://archive.invalid/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n\nTypes: deb\nURIs: http://s.invalid\n\
                    Suites: bookworm-security\nComponents: main\n\nTypes: deb\nURIs: http://n.invalid\nSuites: nodistro\n";
        assert_eq!(
            stanzas_for_suite(text, "bookworm"),
            "Types: deb\nURIs: http://archive.invalid/debian\nSuites: trixie\nComponents: main\n\
             Signed-By: /usr/share/keyrings/k.gpg\n\n"
        );
    }

    #[test]
    fn the_one_line_form_is_read_too() {
        let text = "# deb http://x.invalid bookworm main\ndeb [arch=amd64] http://a.invalid/debian bookworm main\n\
                    deb http://a.invalid/debian bookworm-updates main\ndeb-src http://a.invalid/debian bookworm main\n";
        assert_eq!(
            lines_for_suite(text, "bookworm"),
            "deb [arch=amd64] http://a.invalid/debian trixie main\n"
        );
    }
}
