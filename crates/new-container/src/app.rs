//! Puts the stages together and reports what was made.

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
use common::{note, out, output};
use rand::Rng;
use rand::distr::Alphanumeric;

use crate::cli::{Cli, Database};
use crate::plan::{self, NewFile, Places};
use crate::request::Request;
use crate::write::{self, Outcome};
use crate::{ask, database, shell_init, templates};

const TOOL: &str = "new-container";

/// Does what `cli` asks for.
pub(crate) fn run(cli: &Cli) -> Result<Exit> {
    if let Some(shell) = cli.shell_init {
        output::stdout().write_all(shell_init::text(shell, &own_path())?.as_bytes())?;
        return Ok(Exit::Done);
    }
    let name = cli.name.as_deref().context("a service needs a name")?;
    let settings = Settings::load(&cli.flags, None, None)?;
    problem::warn(TOOL, &settings.problems);
    let request = ask::complete(cli, name)?;

    let places =
        Places { container: settings.container_root.join(name), data: settings.data_root.join(name) };
    let kind = request.database.map(|database| database::pieces(database).template);
    let names: Vec<&str> = std::iter::once("default").chain(kind).collect();
    let layers = templates::layers(&settings.container_root, &names, request.template.as_deref())?;
    let files = plan::files(&request, &places, &layers, &mut password)?;

    // From here on an interruption is noticed between two steps, and nothing is left half done.
    let cancel = Cancel::on_signals().context("watch for interruptions")?;
    match write::all_or_nothing(&files, &places, &cancel)? {
        Outcome::Made => {}
        Outcome::Interrupted => {
            note!("{TOOL}: interrupted; nothing was made");
            return Ok(Exit::Interrupted);
        }
        Outcome::Completed => {
            out!(
                "completed what an earlier run for {name} was killed at; its files are in {} and {}",
                escape_path(&places.container),
                escape_path(&places.data)
            );
            return Ok(Exit::Done);
        }
    }
    report(&request, &files, &places, cli);
    if cli.edit {
        edit(&[places.container.join("compose.yaml"), places.container.join(".env")])?;
    }
    if cli.up {
        up(&places.container, &cancel)?;
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

fn report(request: &Request, files: &[NewFile], places: &Places, cli: &Cli) {
    for file in files {
        out!("made {}", escape_path(places.of(file.root).join(&file.path)));
    }
    if request.image_is_a_guess && request.template.is_none() {
        out!("next: put the right image into compose.yaml (now {})", escape(request.image.as_bytes()));
    }
    if request.database == Some(Database::Sqlite) && !request.stop {
        out!(
            "next: if the database is not data/{0}.db, put its path into prepare-backup.sh, and into .resticignore, \
             where /data/{0}.db leaves the live file out of the backup",
            request.name
        );
    }
    if !cli.up {
        out!("next: cd '{}' && docker compose up -d", escape_path(&places.container));
    }
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
        out!("{}", escape(line));
    })
    .hint("the files are there; install Docker with its compose plugin")?;
    if !finished.end.is_success() {
        return Err(anyhow::anyhow!("docker compose up: {}: {finished}", escape_path(container)))
            .hint("the files are there; fix compose.yaml and start it with docker compose up -d");
    }
    Ok(())
}
