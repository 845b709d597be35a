//! `cargo xtask reference`: writes `docs/reference.md`, the help of every program and subcommand, `docs/modules.md`, and the
//! list of errors in `docs/troubleshooting.md`.
//!
//! It comes from the definitions that the programs themselves use; `cargo xtask tidy` finds a page that is out of date.

use std::path::Path;

use anyhow::Result;
use clap::Command;
use common::exit::Exit;
use common::out;

use crate::workspace::Workspace;
use crate::{errors, module_map};

/// Where the page is.
const PAGE: &str = "docs/reference.md";

const START: &str = "# Reference

Reference for everyone who runs the programs: the output of `--help`, for every program and subcommand. `cargo xtask reference`
writes this page.
";

/// Writes the page.
pub(crate) fn run() -> Result<Exit> {
    let root = Workspace::find()?.root;
    for (page, text) in pages(&root)? {
        common::atomic::write(&root.join(page), text.as_bytes(), 0o644)?;
        out!("{page}");
    }
    Ok(Exit::Done)
}

/// Every page that is written by a program, as it has to be for the repository in `root`.
pub(crate) fn pages(root: &Path) -> Result<[(&'static str, String); 3]> {
    Ok([(PAGE, text()), (errors::PAGE, errors::page(root)?), (module_map::PAGE, module_map::text(root)?)])
}

/// The whole page.
fn text() -> String {
    let mut text = START.to_string();
    for command in definitions::commands() {
        let name = command.get_name().to_string();
        if name == "backrest-send" {
            section(&mut text, &name, &bridge::help::text());
        } else {
            add(&mut text, &name, command);
        }
    }
    text
}

fn add(text: &mut String, name: &str, command: Command) {
    let mut command = command.bin_name(name).term_width(100).disable_help_subcommand(true);
    section(text, name, &command.render_long_help().to_string());
    for subcommand in command.get_subcommands() {
        add(text, &format!("{name} {}", subcommand.get_name()), subcommand.clone());
    }
}

fn section(text: &mut String, name: &str, help: &str) {
    let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    text.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.trim()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `--help` shows besides options: (name, text).
    fn free_texts(name: &str, command: &Command) -> Vec<(String, String)> {
        let own = [command.get_before_help(), command.get_after_help(), command.get_after_long_help()];
        let mut texts: Vec<_> =
            own.into_iter().flatten().map(|text| (name.to_string(), text.to_string())).collect();
        for subcommand in command.get_subcommands() {
            texts.extend(free_texts(&format!("{name} {}", subcommand.get_name()), subcommand));
        }
        texts
    }

    #[test]
    fn no_help_is_wrapped_twice() {
        let mut wrong = Vec::new();
        for command in definitions::commands() {
            for (name, text) in free_texts(command.get_name(), &command) {
                let lines: Vec<&str> = text.lines().collect();
                for (number, line) in lines.iter().enumerate() {
                    let is_text = |line: &str| !line.is_empty() && !line.starts_with(' ');
                    let next = lines.get(number + 1).copied().unwrap_or("");
                    // clap wraps a paragraph, so it is one line of the source; what is set in columns fits 80.
                    if is_text(line) && is_text(next) && !line.ends_with(':') {
                        wrong.push(format!("{name}: a paragraph of several lines: {line}"));
                    }
                    if line.starts_with(' ') && line.chars().count() > 80 {
                        wrong.push(format!("{name}: wider than 80: {line}"));
                    }
                }
            }
        }
        for line in bridge::help::text().lines().filter(|line| line.chars().count() > 80) {
            wrong.push(format!("backrest-send: wider than 80: {line}"));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_clients_options_are_read_from_its_help() {
        let command =
            definitions::commands().into_iter().find(|command| command.get_name() == "backrest-send");
        let command = command.expect("the client");
        let options: Vec<_> = command.get_opts().filter_map(|option| option.get_long()).collect();
        assert_eq!(options, ["timeout", "no-wait", "bridge"]);
        assert!(command.get_arguments().all(|argument| argument.get_help().is_some()));
        let text = bridge::help::text();
        for name in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(text.contains(&format!("--{name}")), "{name}");
        }
    }
}
