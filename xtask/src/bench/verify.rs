//! `bench verify`: what `create-backrest-pipe verify` costs beside a plain `restic ls` of the same snapshot, and how much
//! memory it takes for up to a million files, in small folders and in huge ones.
//!
//! In between is a server that behaves as Backrest's API does and runs restic for each request. Memory is that of the
//! verifying process; what `build-ignore` takes, which lists what the rules keep, is measured alone.

use std::fs;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::out;
use common::units;
use serde_json::json;

use super::measure::{self, Contender, contender, goal, scratch};
use super::tree::Tree;
use crate::backrest_api::server::Server;
use crate::table::table;
use crate::workspace::Workspace;
use crate::{build, needs, trees};

const MOST_MEMORY: u64 = 100 << 20;
/// Every operation starts restic anew, as a plain listing does once, and so does finding the newest snapshot.
const MOST_OF_A_LISTING: f64 = 1.5;
/// What is older than this when the backup begins has to be in it.
const OLD_ENOUGH: Duration = Duration::from_millis(3200);
const RULES: &str = "/cache/\n*.tmp\nlogs/\n";

/// Rounds of the small home; the others are verified once.
const ROUNDS: usize = 5;

/// How many services there are, the files of each, and how many of those are in one folder.
const HOMES: [[usize; 3]; 4] =
    [[20, 500, 50], [20, 50_000, 50], [20, 50_000, 20_000], [1, 1_000_000, 1_000_000]];

/// Verifies each home and returns whether the goals are met.
pub(super) fn run(cancel: &Cancel) -> Result<bool> {
    let workspace = Workspace::find()?;
    let restic = needs::newest_restic(&workspace.tools(), cancel)?;
    let tools = scratch()?;
    for name in ["build-ignore", "pre-backup-actions", "create-backrest-pipe"] {
        fs::copy(build::released(name)?, tools.path().join(name)).context("copy a tool")?;
    }
    let tool = tools.path().join("create-backrest-pipe");
    let mut ratio = f64::MAX;
    let mut rows = Vec::new();
    let mut most = 0;
    for [services, files, together] in HOMES {
        let folder = scratch()?;
        Tree { services, files, together, endings: &["jpg"], rules: RULES }.make(folder.path())?;
        let server = back_up(folder.path(), &restic)?;
        let commands = Commands { home: folder.path(), tool: &tool, server: &server };
        if rows.is_empty() {
            ratio = commands.beside_each_other(cancel)?;
        }
        let (peak, costs) = commands.once(cancel)?;
        most = most.max(peak);
        out!("{} files, {together} in a folder: done", services * files);
        let [listed, verified, operations, memory, building] = costs;
        let (files, together) = ((services * files).to_string(), together.to_string());
        rows.push([files, together, listed, verified, operations, memory, building]);
    }
    let header =
        ["files", "in a folder", "restic ls", "verify", "operations", "its memory", "build-ignore's"];
    out!("{}", table(header, rows));
    let is_bounded = goal(
        &format!("at most {} of memory ({})", units::bytes(MOST_MEMORY), units::bytes(most)),
        most <= MOST_MEMORY,
    );
    let is_quick = goal(
        &format!("each operation, and one more, at most {MOST_OF_A_LISTING} plain listings ({ratio:.2})"),
        ratio <= MOST_OF_A_LISTING,
    );
    Ok(is_bounded && is_quick)
}

/// What is measured in a home.
struct Commands<'a> {
    home: &'a Path,
    tool: &'a Path,
    server: &'a Server,
}

impl Commands<'_> {
    fn list(&self, form: &'static str) -> Contender {
        let mut command = self.server.state.lock().unwrap_or_else(PoisonError::into_inner).restic();
        command.args(["ls", "--no-lock", form, "latest"]);
        Contender::of(if form == "--json" { "restic ls --json" } else { "restic ls --ncdu" }, command)
    }

    fn kept(&self) -> Contender {
        let tool = self.tool.with_file_name("build-ignore");
        let mount = self.home.to_string_lossy();
        contender("build-ignore --kept0", tool, &["--kept0", "--mount", &mount], self.home)
    }

    fn verify(&self, name: &'static str, sample: &str) -> Contender {
        let arguments = ["verify", "--sample", sample, "--backrest", &self.server.address];
        contender(name, self.tool, &arguments, self.home)
    }

    /// Prints the median of each in turn, and returns the time of a verification without a sample for each of its
    /// operations and one more, as a part of `restic ls`.
    fn beside_each_other(&self, cancel: &Cancel) -> Result<f64> {
        let mut contenders = [
            self.list("--json"),
            self.list("--ncdu"),
            self.kept(),
            self.verify("verify --sample 0", "0"),
            self.verify("verify", "50"),
        ];
        let medians = measure::compare("10000 files", &mut contenders, &[], ROUNDS, cancel)?;
        // In the rounds and in the one before them, with and without a sample.
        let each = operations(self.server) / (2 * (ROUNDS + 1));
        Ok(medians[3].as_secs_f64() / medians[0].as_secs_f64() / (each + 1) as f64)
    }

    /// The most memory of a verification, and the cells of a row: the time of one listing and of one verification, its
    /// operations, its memory, and that of `build-ignore`.
    fn once(&self, cancel: &Cancel) -> Result<(u64, [String; 5])> {
        let listed = measure::time(&mut self.list("--ncdu").command, cancel)?;
        let before = operations(self.server);
        let started = Instant::now();
        let peak = measure::peak_memory(&mut self.verify("", "50").command)?;
        let took = started.elapsed();
        let row = [
            units::duration(listed),
            format!("{} ({})", units::duration(took), measure::ratio(took, listed)),
            (operations(self.server) - before).to_string(),
            units::bytes(peak),
            units::bytes(measure::peak_memory(&mut self.kept().command)?),
        ];
        Ok((peak, row))
    }
}

/// A Backrest that has backed that home up.
fn back_up(home: &Path, restic: &Path) -> Result<Server> {
    trees::write(
        &home.join("containers/backrest/.env"),
        format!("BACKUP_MOUNT={}\n", home.display()),
        0o644,
    )?;
    std::thread::sleep(OLD_ENOUGH);
    let folder = home.join("server");
    fs::create_dir(&folder).context("make a folder")?;
    let roots = [home.join("data"), home.join("containers")];
    let server = Server::start(restic, &folder, &[&roots[0], &roots[1]], &json!([]));
    server.init();
    server.back_up(&[], || {});
    Ok(server)
}

/// How many commands and folders the server was asked for.
fn operations(server: &Server) -> usize {
    server.calls("RunCommand") + server.calls("ListSnapshotFiles")
}
