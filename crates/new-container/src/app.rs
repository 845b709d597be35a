//! Puts the stages together: in comes the command line, out go the files on the disk, or a report. Nothing is written before
//! every question is answered and every template is filled in.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use common::cancel::Cancel;
use common::exit::{Exit, HintExt, one_line};
use common::problem;
use common::process::{self, End, Limits};
use common::settings::Settings;
use common::text::{escape, escape_path};
use common::{note, out, output};
use rand::Rng;
use rand::distr::Alphanumeric;

use crate::ask::{self, Dialogue};
use crate::cli::{Cli, Database, TOOL};
use crate::plan::{self, NewFile, Places};
use crate::ports::Taken;
use crate::request::{self, Action, Request, Service};
use crate::{adopt, shell_init, templates, write};

pub(crate) fn run(cli: &Cli) -> Result<Exit> {
    let request = Request::of(cli);
    if let Action::ShellInit(shell) = request.action {
        output::stdout().write_all(shell_init::text(shell, &own_path())?.as_bytes())?;
        return Ok(Exit::Done);
    }
    let settings = Settings::load(&cli.flags, None, None)?;
    problem::warn(TOOL, &settings.problems);
    match request.action {
        Action::Adopt => adopt::run(&request, &places(&settings, &request.service.name), &settings),
        Action::Make => make(request, &settings),
        _ => list_templates(&settings.container_root),
    }
}

/// The service's folders: one folder if the roots are the same, also through a symlink.
fn places(settings: &Settings, name: &str) -> Places {
    let container = settings.container_root.join(name);
    let is_one = match (settings.container_root.canonicalize(), settings.data_root.canonicalize()) {
        (Ok(container_root), Ok(data_root)) => container_root == data_root,
        _ => settings.container_root == settings.data_root,
    };
    let data = if is_one { container.clone() } else { settings.data_root.join(name) };
    Places { container, data }
}

/// The service with all that a terminal was asked for. `None` if the person ended the dialogue.
fn complete(service: Service, ask: bool, settings: &Settings) -> Result<Option<Service>> {
    let check_name = |name: &str| -> Result<()> {
        if let Some(why) = request::reserved(name, settings) {
            return Err(anyhow!("make a service: {why}")).hint("choose another name");
        }
        write::check_roots(&places(settings, name))
    };
    let is_named = !service.name.is_empty();
    check_name(if is_named { &service.name } else { "name-to-ask-for" })?;
    let mut taken = Taken::find(&settings.container_root);
    let all = ask || !is_named;
    let asks = ask::is_possible() && (all || service.image.is_none() && service.template.is_none());
    if asks && is_named {
        write::check_free(&places(settings, &service.name))?;
    }
    for port in &service.ports {
        if let Some(by) = taken.by(port) {
            note!("{TOOL}: warning: port {port}: {by}; {} is free", taken.instead_of(port));
        }
        taken.publish(port);
    }
    if !asks {
        return Ok(Some(service));
    }
    let check = |name: &str| {
        check_name(name)
            .and_then(|()| write::check_free(&places(settings, name)))
            .map_err(|error| one_line(&error))
    };
    let mut dialogue = Dialogue {
        answers: &mut io::stdin().lock(),
        questions: &mut io::stderr().lock(),
        check_name: &check,
        taken: &taken,
    };
    dialogue.complete(service, all)
}

fn make(request: Request, settings: &Settings) -> Result<Exit> {
    let Request { service, ask, dry_run, edit, up, .. } = request;
    if !service.name.is_empty() && !dry_run {
        let places = places(settings, &service.name);
        if write::complete_killed_run(&places)? {
            let (container, data) = (escape_path(&places.container), escape_path(&places.data));
            out!("an earlier run was killed before its last step, which is done now: {container} and {data}");
            return Ok(Exit::Done);
        }
    }
    if !ask::is_possible() && (ask || service.name.is_empty()) {
        note!("{TOOL}: {}", if ask { "--ask needs a terminal" } else { "a service needs a name" });
        common::exit::hint(&format!("{TOOL} NAME --image IMAGE; {TOOL} --help has examples"));
        return Ok(Exit::Usage);
    }
    let Some(service) = complete(service, ask, settings)? else {
        note!("{TOOL}: nothing was made");
        return Ok(Exit::Interrupted);
    };
    let places = places(settings, &service.name);
    if service.name == SERVER && service.database.is_some_and(|database| database != Database::Sqlite) {
        return Err(anyhow!("make a service: the name {SERVER} is reserved for its database"))
            .hint("choose another name");
    }
    let kind = service.database.map(Database::name);
    let names: Vec<&str> = std::iter::once("default").chain(kind.as_deref()).collect();
    let templates = templates::of(&settings.container_root, &names, service.template.as_deref())?;
    if dry_run {
        write::check_free(&places)?;
        let files = plan::files(&service, &places, &templates, &mut || "(a new password)".to_string())?;
        show(&files, &places);
        return Ok(Exit::Done);
    }
    let files = plan::files(&service, &places, &templates, &mut password)?;

    // From here on an interruption is noticed between two steps, and nothing is left half done.
    let cancel = Cancel::on_signals().context("watch for interruptions")?;
    let checked = if up { check_compose(&cancel) } else { Ok(()) };
    if !cancel.is_cancelled() {
        checked?;
    }
    if !write::all_or_nothing(&files, &places, &cancel)? {
        note!("{TOOL}: interrupted; nothing was made");
        return Ok(Exit::Interrupted);
    }
    report(&service, &files, &places, up);
    if edit {
        open_editor(&[places.container.join("compose.yaml"), places.container.join(".env")])?;
    }
    if up {
        return start(&places.container, &cancel);
    }
    Ok(Exit::Done)
}

/// The name of a database's service in compose.yaml.
const SERVER: &str = "database";

fn list_templates(container_root: &Path) -> Result<Exit> {
    let templates = templates::all(container_root)?;
    if templates.is_empty() {
        out!("no templates of your own in {}", escape_path(templates::folder(container_root)));
    }
    for (name, files) in templates {
        let used = match name.as_str() {
            "default" => "every new service".to_string(),
            kind if Database::names().contains(&name) => format!("--database {kind}"),
            other => format!("--template {other}"),
        };
        out!("{name} ({used})");
        for template in files {
            out!("    {}", escape_path(&template.source));
        }
    }
    Ok(Exit::Done)
}

/// Prints the files instead of writing them.
fn show(files: &[NewFile], places: &Places) {
    for file in files {
        out!("would make {} (mode {:o})", escape_path(places.of(file.root).join(&file.path)), file.mode);
        match std::str::from_utf8(&file.text) {
            Ok(text) => text.lines().for_each(|line| out!("    {}", escape(line.as_bytes()))),
            Err(_) => out!("    {} bytes that are not text", file.text.len()),
        }
    }
}

/// 32 letters and digits, about 190 bits: no character that is special in a shell, YAML, a URL or SQL.
fn password() -> String {
    rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect()
}

/// What the alias calls: our name alone if the shell finds us by it.
fn own_path() -> PathBuf {
    let Ok(own) = env::current_exe() else { return TOOL.into() };
    let path = env::var_os("PATH").unwrap_or_default();
    let first = env::split_paths(&path).map(|folder| folder.join(TOOL)).find(|candidate| candidate.is_file());
    let is_us = first.is_some_and(|first| first.canonicalize().ok() == own.canonicalize().ok());
    if is_us { TOOL.into() } else { own }
}

fn report(service: &Service, files: &[NewFile], places: &Places, is_started: bool) {
    for file in files {
        out!("made {}", escape_path(places.of(file.root).join(&file.path)));
    }
    if service.image.is_none() && service.template.is_none() {
        out!("next: put the right image into compose.yaml (now {})", escape(service.image().as_bytes()));
    }
    if service.database == Some(Database::Sqlite) && !service.stop {
        out!(
            "next: if the database is not data/{0}.db, put its path into prepare-backup.sh, and into .resticignore, \
             where /data/{0}.db leaves the live file out of the backup",
            service.name
        );
    }
    if !is_started {
        out!("next: cd '{}' && docker compose up -d", escape_path(&places.container));
    }
}

/// Opens `files` in the editor that the user has chosen.
fn open_editor(files: &[PathBuf]) -> Result<()> {
    let chosen = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.trim().is_empty()));
    let chosen = chosen.unwrap_or_else(|| "editor".into());
    let words = shlex::split(&chosen).unwrap_or_default();
    let (program, arguments) = words.split_first().context("EDITOR can't be read as a command")?;
    let end = process::foreground(Command::new(program).args(arguments).args(files))
        .hint("the files are there; set EDITOR to your editor's name")?;
    if !end.is_success() {
        bail!("the editor {}: {end}", escape(chosen.as_bytes()));
    }
    Ok(())
}

/// Fails, before anything is made, if `docker compose` can't be run.
fn check_compose(cancel: &Cancel) -> Result<()> {
    let mut command = Command::new("docker");
    command.args(["compose", "version"]);
    process::capture(&mut command, b"", Limits::within(COMPOSE_LIMIT), Some(cancel))
        .and_then(process::Captured::success)
        .context("start the service")
        .hint("install Docker with its Compose plugin, or leave out --up; nothing was made")?;
    Ok(())
}

const COMPOSE_LIMIT: Duration = Duration::from_secs(60);
/// Images can be large and lines slow.
const UP_LIMIT: Duration = Duration::from_secs(3600);

fn start(container: &Path, cancel: &Cancel) -> Result<Exit> {
    let mut command = Command::new("docker");
    command.args(["compose", "up", "--detach"]).current_dir(container);
    let finished = process::run(&mut command, Limits::within(UP_LIMIT), Some(cancel), &mut |line| {
        out!("{}", escape(line));
    })
    .hint("the files are there; install Docker with its Compose plugin")?;
    if finished.end == End::Cancelled {
        note!("{TOOL}: interrupted; the files are there");
        return Ok(Exit::Interrupted);
    }
    if !finished.end.is_success() {
        return Err(anyhow!("docker compose up: {}: {finished}", escape_path(container))).hint(format!(
            "fix compose.yaml, then: cd '{}' && docker compose up -d",
            escape_path(container)
        ));
    }
    Ok(Exit::Done)
}
