//! Puts the stages together and tells what was made.

use std::env;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::exit::{Exit, HintExt};
use common::problem;
use common::process::{self, Limits};
use common::settings::Settings;
use common::text::{escape, escape_path};
use rand::Rng;
use rand::distr::Alphanumeric;

use crate::ask::{self, Wanted};
use crate::cli::{Cli, Database};
use crate::plan::{self, Places, Planned};
use crate::templates::{self, Root};
use crate::write::{self, Made, Targets};
use crate::{database, shell_init};

const TOOL: &str = "new-container";

/// Does what `cli` asks for.
pub(crate) fn run(cli: &Cli) -> Result<Exit> {
    if let Some(shell) = cli.shell_init {
        print(&shell_init::text(shell, &own_path())?)?;
        return Ok(Exit::Done);
    }
    let name = cli.name.as_deref().context("a service needs a name")?;
    let settings = Settings::load(&cli.flags, None, None)?;
    problem::warn(TOOL, &settings.problems);
    let wanted = ask::complete(cli, name)?;

    let (container, data) = (settings.container_root.join(name), settings.data_root.join(name));
    let kind = wanted.database.map(|database| database::pieces(database).template);
    let names: Vec<&str> = std::iter::once("default").chain(kind).collect();
    let layers = templates::layers(&settings.container_root, &names, wanted.template.as_deref())?;
    let places = Places { container: &container, data: &data };
    let files = plan::files(&wanted, &places, &layers, &mut password)?;

    // From here on an interruption is seen between two steps and nothing is left half done.
    let cancel = Cancel::on_signals().context("watch for interruptions")?;
    let targets = Targets { name, container: &container, data: &data };
    if write::all_or_nothing(&files, targets, &cancel)? == Made::Earlier {
        print(&format!(
            "an earlier run for {name} was killed at its last step; its files are in place now, in {} and {}\n",
            escape_path(&container),
            escape_path(&data)
        ))?;
        return Ok(Exit::Done);
    }
    tell(&wanted, &files, &places, cli)?;
    if cli.edit {
        edit(&[container.join("compose.yaml"), container.join(".env")])?;
    }
    if cli.up {
        up(&container, &cancel)?;
    }
    Ok(Exit::Done)
}

/// 32 letters and digits, about 190 bits: no character that a shell, YAML, a URL or SQL takes for something else.
fn password() -> String {
    rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect()
}

/// What the alias is to call: our name alone where the shell would find just us by it.
fn own_path() -> PathBuf {
    let Ok(own) = env::current_exe() else { return TOOL.into() };
    let path = env::var_os("PATH").unwrap_or_default();
    let first = env::split_paths(&path).map(|folder| folder.join(TOOL)).find(|candidate| candidate.is_file());
    let is_us = first.is_some_and(|first| first.canonicalize().ok() == own.canonicalize().ok());
    if is_us { TOOL.into() } else { own }
}

fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("print")
}

fn tell(wanted: &Wanted, files: &[Planned], places: &Places, cli: &Cli) -> Result<()> {
    let mut text = String::new();
    for file in files {
        let folder = match file.root {
            Root::Container => places.container,
            Root::Data => places.data,
        };
        text.push_str(&format!("made {}\n", escape_path(folder.join(&file.path))));
    }
    let mut next = Vec::new();
    if wanted.image_is_a_guess && wanted.template.is_none() {
        next.push(format!("put the right image into compose.yaml (now {})", escape(wanted.image.as_bytes())));
    }
    if wanted.database == Some(Database::Sqlite) && !wanted.stop {
        next.push("put the database's path into prepare-backup.sh".into());
    }
    if !cli.up {
        next.push(format!("cd '{}' && docker compose up -d", escape_path(places.container)));
    }
    for step in next {
        text.push_str(&format!("next: {step}\n"));
    }
    print(&text)
}

/// Opens `files` in the editor that the user has chosen.
fn edit(files: &[PathBuf]) -> Result<()> {
    let chosen = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.trim().is_empty()));
    let chosen = chosen.unwrap_or_else(|| "editor".into());
    let words: Vec<OsString> =
        shlex::split(&chosen).unwrap_or_default().into_iter().map(OsString::from).collect();
    let (program, arguments) = words.split_first().context("EDITOR can't be read as a command")?;
    let end = process::foreground(Command::new(program).args(arguments).args(files))
        .hint("the files are there; set EDITOR to your editor's name")?;
    if !end.is_success() {
        bail!("the editor {}: {end}", escape(chosen.as_bytes()));
    }
    Ok(())
}

/// Images can be large and lines slow.
const UP_LIMIT: Duration = Duration::from_secs(3600);

fn up(container: &Path, cancel: &Cancel) -> Result<()> {
    let mut command = Command::new("docker");
    command.args(["compose", "up", "--detach"]).current_dir(container);
    let finished = process::run(&mut command, Limits::within(UP_LIMIT), Some(cancel), &mut |line| {
        // Who reads may have gone away; the service starts all the same.
        let _ = print(&format!("{}\n", escape(line)));
    })
    .hint("the files are there; install Docker with its compose plugin")?;
    if !finished.end.is_success() {
        return Err(anyhow::anyhow!("docker compose up: {}: {finished}", escape_path(container)))
            .hint("the files are there; mend compose.yaml and start it by hand");
    }
    Ok(())
}
