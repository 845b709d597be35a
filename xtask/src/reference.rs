//! `cargo xtask reference`: writes `docs/reference.md`, the help of every program and subcommand, `docs/modules.md`, and the
//! list of errors in `docs/troubleshooting.md`.
//!
//! It comes from the definitions that the programs themselves use; `cargo xtask tidy` finds a page that is out of date.

use anyhow::Result;
use clap::Command;
use common::exit::Exit;
use common::out;

use crate::source::{self, Source};
use crate::workspace::Workspace;
use crate::{errors, module_map};

const PAGE: &str = "docs/reference.md";

const START: &str = "# Reference

Reference for everyone who runs the programs: the output of `--help`, for every program and subcommand. `cargo xtask reference`
writes this page.
";

pub(crate) fn run() -> Result<Exit> {
    let workspace = Workspace::find()?;
    for (page, text) in pages(&workspace, &source::all(&workspace)?)? {
        common::atomic::write(&workspace.root.join(page), text.as_bytes(), 0o644)?;
        out!("{page}");
    }
    Ok(Exit::Done)
}

/// Every page that is written by a program, as it has to be for these sources.
pub(crate) fn pages(workspace: &Workspace, sources: &[Source]) -> Result<[(&'static str, String); 3]> {
    let errors = errors::page(&workspace.root, sources)?;
    Ok([(PAGE, text()), (errors::PAGE, errors), (module_map::PAGE, module_map::text(sources))])
}

fn text() -> String {
    let mut text = START.to_string();
    for command in every_command() {
        let name = command.get_bin_name().unwrap_or_default().to_string();
        let help = match name.as_str() {
            "backrest-send" => bridge::help::text(),
            _ => command.term_width(100).render_long_help().to_string(),
        };
        section(&mut text, &name, &help);
    }
    text
}

/// Every program and every subcommand, each with its full name.
fn every_command() -> Vec<Command> {
    fn add(command: Command, name: &str, all: &mut Vec<Command>) {
        let mut command = command.bin_name(name).disable_help_subcommand(true);
        // So that each subcommand has the options that all of them have.
        command.build();
        let subcommands: Vec<_> = command.get_subcommands().cloned().collect();
        all.push(command);
        for subcommand in subcommands {
            add(subcommand.clone(), &format!("{name} {}", subcommand.get_name()), all);
        }
    }
    let mut all = Vec::new();
    for command in definitions::commands() {
        let name = command.get_name().to_string();
        add(command, &name, &mut all);
    }
    all
}

fn section(text: &mut String, name: &str, help: &str) {
    let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    text.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.trim()));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::process::{self, Limits};

    use super::*;

    /// Set in the process that prints for the test.
    const PRINTING: &str = "PRINT_EVERY_HELP";

    /// This test in a process of its own, `-h` and `--help` of every command: on a terminal of that width, or with
    /// COLUMNS.
    #[track_caller]
    fn print_every_help(width: usize, on_terminal: bool) -> String {
        let name = "reference::tests::help_fits_terminals_of_every_width";
        let program = std::env::current_exe().expect("this program");
        let line = format!(
            "{} --exact --nocapture {name}",
            shlex::try_quote(program.to_str().expect("UTF-8")).expect("a path")
        );
        let mut command = std::process::Command::new("script");
        match on_terminal {
            true => command.arg("-qec").arg(format!("stty rows 50 cols {width}; {line}")).arg("/dev/null"),
            false => {
                command = std::process::Command::new("sh");
                command.arg("-c").arg(line).env("COLUMNS", width.to_string())
            }
        };
        command.env(PRINTING, "yes").env("NO_COLOR", "1");
        let output = process::capture(&mut command, b"", Limits::within(Duration::from_secs(60)), None);
        let output = output.and_then(|output| output.success()).expect("print every help");
        let text = String::from_utf8(output).expect("UTF-8").replace('\r', "");
        let (_, text) = text.split_once("START\n").expect("a start");
        let (text, _) = text.split_once("END\n").expect("an end");
        text.to_string()
    }

    /// A line that ends early in the middle of a paragraph was broken twice: in the source, and by clap.
    fn is_broken_early(line: &str, next: &str, width: usize) -> bool {
        let indent = |line: &str| line.len() - line.trim_start().len();
        let is_in_columns =
            |line: &str| line.trim_start().contains("  ") || line.trim_start().starts_with('-');
        let first = next.split_whitespace().next().unwrap_or_default();
        !line.trim().is_empty()
            && !first.is_empty()
            && indent(line) == indent(next)
            && line.chars().count() + 1 + first.chars().count() <= width
            && !line.ends_with(':')
            && !is_in_columns(line)
            && !is_in_columns(next)
    }

    #[test]
    fn help_fits_terminals_of_every_width() {
        if std::env::var_os(PRINTING).is_some() {
            println!("START");
            for mut command in every_command() {
                command.print_help().expect("print help");
                println!();
                command.print_long_help().expect("print help");
                println!();
            }
            println!("END");
            return;
        }
        // What starts with a blank is set in columns, and clap leaves it alone where it fits.
        let mut examples = std::collections::HashSet::new();
        for command in every_command() {
            for text in [command.get_before_help(), command.get_after_help(), command.get_after_long_help()] {
                let text = text.map(ToString::to_string).unwrap_or_default();
                examples.extend(text.lines().filter(|line| line.starts_with(' ')).map(str::to_string));
            }
        }
        let mut wrong = Vec::new();
        for width in [60, 80, 100, 120, 200] {
            let text = print_every_help(width, true);
            assert!(text == print_every_help(width, false), "{width} columns: COLUMNS has another effect");
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.windows(2) {
                if width >= 80 && pair[0].chars().count() > width {
                    wrong.push(format!("wider than {width}: {}", pair[0]));
                }
                if !examples.iter().any(|example| example == pair[0] || example.starts_with(pair[1]))
                    && is_broken_early(pair[0], pair[1], width)
                {
                    wrong.push(format!("broken early in {width} columns: {} / {}", pair[0], pair[1]));
                }
            }
            for example in examples.iter().filter(|_| width >= 80) {
                if !lines.contains(&&**example) {
                    wrong.push(format!("wrapped in {width} columns: {example}"));
                }
            }
        }
        let client = bridge::help::text();
        wrong.extend(client.lines().filter(|line| line.chars().count() > 80).map(str::to_string));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn an_option_without_effect_is_refused() {
        let is_refused = |line: &str| {
            let name = line.split(' ').next();
            let command =
                definitions::commands().into_iter().find(|command| Some(command.get_name()) == name);
            command.expect("a program").try_get_matches_from(line.split(' ')).is_err()
        };
        for line in [
            "build-ignore --report x",
            "build-ignore --check x",
            "build-ignore --coverage x",
            "build-ignore --kept0 x",
            "build-ignore --adopt x",
            "build-ignore --compare x y",
            "build-ignore x",
            "build-ignore --kept0 --json",
            "new-container x --up --dry-run",
            "new-container x --edit --dry-run",
            "new-container x --yes",
            "new-container x --adopt --image y",
            "new-container --list-templates --stop",
            "new-container --list-templates --shell-init zsh",
            "new-container --shell-init bash --up",
            "pre-backup-actions --list --jobs 2",
            "pre-backup-actions --list --all",
            "pre-backup-actions --journal --if-due",
            "pre-backup-actions --journal --timeout 3s",
            "pre-backup-actions --history --wait",
            "pre-backup-actions --history --accept-shrunk",
            "pre-backup-actions --prove x --key a/b",
            "pre-backup-actions --list --after-deadline 3h",
            "create-backrest-pipe hooks --remove",
            "create-backrest-pipe remove --supervisor none",
            "ssh-key-setup x --check --path y",
            "ssh-key-setup x --rotate --no-restrict",
            "ssh-key-setup x --remove --authorized-keys y",
            "ssh-key-setup x --offline",
        ] {
            assert!(is_refused(line), "{line}");
        }
        for line in [
            "build-ignore --explain x",
            "build-ignore --report --json",
            "new-container --list-templates --container-root x",
            "new-container x --adopt --stop --yes --dry-run",
            "pre-backup-actions --journal --json",
            "pre-backup-actions --list --only x",
            "pre-backup-actions --prove x --only y --json",
            "pre-backup-actions --after --key a/b --wait",
            "ssh-key-setup x --check --json",
            "ssh-key-setup x --rotate --user y",
        ] {
            assert!(!is_refused(line), "{line}");
        }
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
