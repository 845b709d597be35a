//! `cargo xtask pictures`: the pictures of the pages, rendered from real runs.
//!
//! Each picture is a command in a pseudo-terminal of 80 columns, in the demo's home, which lies at /home/me in a mount
//! namespace of its own. What differs from run to run (times, sizes, names of snapshots) does not count when `--check`
//! looks for a picture that is out of date.

mod svg;
mod terminal;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::exit::{Exit, HintExt};
use common::out;
use common::text::count;
use nix::unistd::Uid;

use crate::cli::PicturesOptions;
use crate::demo::services;
use crate::home::Home;
use crate::workspace::Workspace;
use crate::{build, needs};

const FOLDER: &str = "docs/pictures";
/// `$1` the home's folder, `$2` one for crontabs, then a command.
const AT_HOME: &str = r#"
mount --bind "$2" /var/spool/cron/crontabs
mount -t tmpfs tmpfs /home
mkdir /home/me
mount --bind "$1" /home/me
cd /home/me
shift 2
exec "$@"
"#;

/// What the commands find on `PATH`, whatever else a machine has.
const PROGRAMS: [&str; 11] =
    ["cat", "chmod", "crontab", "date", "mkdir", "mount", "mv", "restic", "setsid", "sh", "sqlite3"];

struct Picture {
    name: &'static str,
    /// What a person typed.
    line: &'static str,
    /// What a person typed when asked, line by line.
    answers: &'static [&'static str],
}

const PICTURES: [Picture; 4] = [
    Picture { name: "report", line: "build-ignore --report", answers: &[] },
    Picture { name: "status", line: "create-backrest-pipe status", answers: &[] },
    Picture { name: "failing-dump", line: "pre-backup-actions", answers: &[] },
    Picture { name: "new-container", line: "new-container", answers: &["wiki", "", "", "", "", ""] },
];

/// Renders all, or with `--check` fails if one is out of date.
pub(crate) fn run(options: &PicturesOptions) -> Result<Exit> {
    let cancel = Cancel::on_signals().context("listen to signals")?;
    if !Uid::effective().is_root() {
        return Err(anyhow::anyhow!("make a home for the pictures: only root can mount it"))
            .hint("sudo -E cargo xtask pictures");
    }
    needs::ensure(needs::DEMO, &cancel)?;
    let workspace = Workspace::find()?;
    let folder = workspace.root.join(FOLDER);
    fs::create_dir_all(&folder).context("make the folder of the pictures")?;
    let home = Home::make(None, &cancel)?;
    home.install(&build::binaries(&workspace, &crate::cli::BuildOptions { debug: true })?)?;
    services::fill(&home, &services::files())?;
    // The defaults hold here, because the home is below /home, as usual.
    home.write("containers/backrest/.env", "TZ=Etc/UTC\n")?;
    for folder in ["crontabs", "programs"] {
        home.folder(folder)?;
    }
    for name in PROGRAMS {
        let program = needs::find(name).with_context(|| format!("find a program: {name}"))?;
        symlink(program, home.beside("programs").join(name)).context("make a link")?;
    }

    let mut stale = Vec::new();
    let mut keep = |name: &str, title: &str, screen: &terminal::Screen| -> Result<()> {
        let path = folder.join(format!("{name}.svg"));
        let image = svg::render(title, screen);
        let old = fs::read_to_string(&path).unwrap_or_default();
        if shape(&old) != shape(&image) {
            stale.push(format!("{FOLDER}/{name}.svg"));
            if !options.check {
                common::atomic::write(&path, image.as_bytes(), 0o644)?;
            }
        }
        Ok(())
    };
    let mut demo = Command::new(std::env::current_exe().context("find this program")?);
    demo.arg("demo").env("CARGO_TERM_QUIET", "true").envs(std::env::vars_os());
    keep("demo", "cargo xtask demo", &terminal::run(&mut demo, &[], &cancel)?)?;
    // The bridge in place, a first ignore file, and a database whose copy fails.
    for program in ["create-backrest-pipe", "build-ignore"] {
        home.output_of(&mut at_home(&home, program), b"")?;
    }
    home.write("data/vaultwarden/db.sqlite3", "not a database")?;
    for picture in &PICTURES {
        let mut words = picture.line.split(' ');
        let mut command = at_home(&home, words.next().unwrap_or_default());
        keep(picture.name, picture.line, &terminal::run(command.args(words), picture.answers, &cancel)?)?;
    }
    let verb = if options.check { "out of date: run cargo xtask pictures" } else { "written" };
    stale.iter().for_each(|path| out!("{path}: {verb}"));
    if stale.is_empty() {
        out!("{} up to date", count(PICTURES.len() + 1, "picture"));
    }
    Ok(if options.check && !stale.is_empty() { Exit::Failed } else { Exit::Done })
}

/// A command in the home as it is at /home/me.
fn at_home(home: &Home, program: &str) -> Command {
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--mount", "--propagation", "private", "/bin/sh", "-ec", AT_HOME, "sh"]);
    command.arg(home.at("")).arg(home.beside("crontabs"));
    command.arg(Path::new("/home/me/.local/bin").join(program));
    command.env_clear().env("HOME", "/home/me").env("USER", "me").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    command.env("PATH", format!("/home/me/.local/bin:{}", home.beside("programs").display()));
    command
}

/// A picture without what differs from run to run: numbers with their units, and how far a column is.
fn shape(image: &str) -> String {
    let is_figure = |word: &str| word.contains(|c: char| c.is_ascii_digit());
    let units = ["ms", "s", "m", "B", "KiB", "MiB", "GiB"];
    let words = image.split(|c: char| c.is_whitespace() || "<>\"(),".contains(c));
    words
        .filter(|word| !word.is_empty() && !is_figure(word) && !units.contains(word))
        .collect::<Vec<_>>()
        .join(" ")
}
