//! `bench verify`: what `create-backrest-pipe verify` costs beside a plain `restic ls` of the same snapshot, and how much
//! memory it takes for up to a million files, in small folders and in huge ones.
//!
//! In between is a server that behaves as Backrest's API does and runs restic for each request. Memory is that of the
//! verifying process; what `build-ignore` takes, which lists what the rules keep, is measured alone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::exit::Exit;
use common::out;
use common::units;
use serde_json::json;

use super::measure::{self, Contender, goal};
use super::restic::scratch;
use crate::backrest_api::server::Server;
use crate::table::table;
use crate::workspace::Workspace;
use crate::{build, needs};

const MOST_MEMORY: u64 = 100 << 20;
/// A small home is one listing, and so takes about as long as one.
const MOST_OF_ONE_LISTING: f64 = 3.0;
/// What is older than this when the backup begins has to be in it.
const OLD_ENOUGH: Duration = Duration::from_millis(3200);
const RULES: &str = "/cache/\n*.tmp\nlogs/\n";

/// A home to verify, and how often.
struct Home {
    files: usize,
    /// In one folder.
    together: usize,
    rounds: usize,
}

const HOMES: [Home; 5] = [
    Home { files: 10_000, together: 50, rounds: 5 },
    Home { files: 100_000, together: 50, rounds: 3 },
    Home { files: 1_000_000, together: 50, rounds: 1 },
    Home { files: 1_000_000, together: 20_000, rounds: 1 },
    Home { files: 1_000_000, together: 1_000_000, rounds: 1 },
];

/// Verifies each home and returns whether the goals are met.
pub(super) fn run(cancel: &Cancel) -> Result<Exit> {
    let workspace = Workspace::find()?;
    let restic = needs::newest_restic(&workspace.target, cancel)?;
    for name in ["build-ignore", "pre-backup-actions"] {
        build::released(name)?;
    }
    let tool = build::released("create-backrest-pipe")?;
    let (mut memory, mut ratios) = (Vec::new(), Vec::new());
    for home in &HOMES {
        let folder = scratch()?;
        let (peak, ratio) = home.measure(folder.path(), &tool, &restic, cancel)?;
        memory.push(peak);
        ratios.push(ratio);
    }
    let most = memory.iter().copied().max().unwrap_or(u64::MAX);
    let is_bounded = goal(
        &format!("at most {} of memory ({})", units::bytes(MOST_MEMORY), units::bytes(most)),
        most <= MOST_MEMORY,
    );
    let is_quick = goal(
        &format!("10,000 files in at most {MOST_OF_ONE_LISTING} times a plain listing ({:.2})", ratios[0]),
        ratios[0] <= MOST_OF_ONE_LISTING,
    );
    Ok(if is_bounded && is_quick { Exit::Done } else { Exit::Failed })
}

impl Home {
    /// Prints the tables of this home. Returns the memory of a verification, and its time as a part of `restic ls`.
    fn measure(&self, folder: &Path, tool: &Path, restic: &Path, cancel: &Cancel) -> Result<(u64, f64)> {
        self.make(folder)?;
        std::thread::sleep(OLD_ENOUGH);
        let server = folder.join("server");
        fs::create_dir(&server).context("make a folder")?;
        let roots = [folder.join("data"), folder.join("containers")];
        let server = Server::start(restic, &server, &[&roots[0], &roots[1]], &json!([]));
        server.init();
        server.back_up(&[], || {});
        let list = |form: &'static str| {
            let mut command = server.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).restic();
            command.args(["ls", "--no-lock", form, "latest"]);
            command
        };
        let kept = || {
            let mut command = Command::new(tool.with_file_name("build-ignore"));
            command.arg("--kept0").arg("--mount").arg(folder).env("HOME", folder);
            command
        };
        let verify = |sample: &'static str| {
            let mut command = Command::new(tool);
            command.args(["verify", "--sample", sample, "--backrest", &server.address]).env("HOME", folder);
            command
        };
        let contenders = [
            contender("restic ls --json", Box::new(|| list("--json"))),
            contender("restic ls --ncdu", Box::new(|| list("--ncdu"))),
            contender("build-ignore --kept0", Box::new(kept)),
            contender("verify --sample 0", Box::new(|| verify("0"))),
            contender("verify", Box::new(|| verify("50"))),
        ];
        let medians = measure::medians(&contenders, self.rounds, cancel)?;
        out!("{} files, {} in a folder, median of {}", self.files, self.together, self.rounds);
        out!("{}", measure::compare(&contenders, &medians));
        let before = operations(&server);
        let peak = measure::peak_memory(&mut verify("50"))?;
        let lister = measure::peak_memory(&mut kept())?;
        let rows = [[units::bytes(peak), units::bytes(lister), (operations(&server) - before).to_string()]];
        out!("{}\n", table(["memory: verify", "build-ignore", "operations"], rows));
        Ok((peak, medians[3].as_secs_f64() / medians[0].as_secs_f64()))
    }

    fn make(&self, home: &Path) -> Result<()> {
        // Empty, because they are many; some have content for the sample.
        for number in 0..self.files {
            let group = number / self.together;
            let folder = home.join(format!("data/service-{:02}/library/{}/{group}", group % 20, group % 7));
            if number % self.together == 0 {
                fs::create_dir_all(&folder).context("make a folder")?;
            }
            let content = if number % 1000 == 0 { "x".repeat(10_000) } else { String::new() };
            fs::write(folder.join(format!("file-{number:07}.jpg")), content).context("make a file")?;
        }
        for service in 0..20 {
            let folder = home.join(format!("data/service-{service:02}"));
            fs::create_dir_all(&folder).context("make a folder")?;
            fs::write(folder.join(".resticignore"), RULES).context("write the rules")?;
        }
        fs::create_dir_all(home.join("containers/backrest")).context("make Backrest's folder")?;
        let mount = format!("BACKUP_MOUNT={}\n", home.display());
        fs::write(home.join("containers/backrest/.env"), mount).context("write .env")
    }
}

fn contender<'a>(name: &str, command: Box<dyn Fn() -> Command + 'a>) -> Contender<'a> {
    Contender { name: name.into(), command }
}

/// How many commands and folders the server was asked for.
fn operations(server: &Server) -> usize {
    server.calls("RunCommand") + server.calls("ListSnapshotFiles")
}
