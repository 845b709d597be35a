//! `bench verify`: what `create-backrest-pipe verify` costs beside a plain `restic ls` of the same snapshot, and how much
//! memory it takes for up to a million files, in small folders and in huge ones.
//!
//! In between is a server that behaves as Backrest's API does and runs restic for each request. Memory is that of the
//! verifying process; what `build-ignore` takes, which lists what the rules keep, is measured alone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use common::cancel::Cancel;
use common::out;
use common::process::{self, Limits};
use common::units;
use serde_json::json;

use super::measure::{self, Contender, goal, scratch};
use crate::backrest_api::server::Server;
use crate::table::table;
use crate::workspace::Workspace;
use crate::{build, needs};

const MOST_MEMORY: u64 = 100 << 20;
/// Every operation starts restic anew, as a plain listing does once, and so does finding the newest snapshot.
const MOST_OF_A_LISTING: f64 = 1.5;
/// What is older than this when the backup begins has to be in it.
const OLD_ENOUGH: Duration = Duration::from_millis(3200);
/// A listing of a million files.
const LONG: Duration = Duration::from_secs(3600);
const RULES: &str = "/cache/\n*.tmp\nlogs/\n";

/// Rounds of the small home; the others are verified once.
const ROUNDS: usize = 5;

/// A home to verify.
struct Home {
    files: usize,
    /// In one folder.
    together: usize,
}

const HOMES: [Home; 4] = [
    Home { files: 10_000, together: 50 },
    Home { files: 1_000_000, together: 50 },
    Home { files: 1_000_000, together: 20_000 },
    Home { files: 1_000_000, together: 1_000_000 },
];

/// Verifies each home and returns whether the goals are met.
pub(super) fn run(cancel: &Cancel) -> Result<bool> {
    let workspace = Workspace::find()?;
    let restic = needs::newest_restic(&workspace.tools(), cancel)?;
    for name in ["build-ignore", "pre-backup-actions"] {
        build::released(name)?;
    }
    let tool = build::released("create-backrest-pipe")?;
    let mut ratio = f64::MAX;
    let mut rows = Vec::new();
    let mut most = 0;
    for home in &HOMES {
        let folder = scratch()?;
        let server = home.back_up(folder.path(), &restic)?;
        let commands = Commands { home: folder.path(), tool: &tool, server: &server };
        if rows.is_empty() {
            ratio = commands.beside_each_other(cancel)?;
        }
        let (peak, row) = home.once(&commands, cancel)?;
        most = most.max(peak);
        out!("{} files, {} in a folder: done", home.files, home.together);
        rows.push(row);
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
    fn list(&self, form: &str) -> Command {
        let mut command = self.server.state.lock().unwrap_or_else(PoisonError::into_inner).restic();
        command.args(["ls", "--no-lock", form, "latest"]);
        command
    }

    fn kept(&self) -> Command {
        let mut command = Command::new(self.tool.with_file_name("build-ignore"));
        command.arg("--kept0").arg("--mount").arg(self.home).env("HOME", self.home);
        command
    }

    fn verify(&self, sample: &str) -> Command {
        let mut command = Command::new(self.tool);
        command
            .args(["verify", "--sample", sample, "--backrest", &self.server.address])
            .env("HOME", self.home);
        command
    }

    /// Prints the median of each in turn, and returns the time of a verification without a sample for each of its
    /// operations and one more, as a part of `restic ls`.
    fn beside_each_other(&self, cancel: &Cancel) -> Result<f64> {
        let contenders = [
            Contender::new("restic ls --json", || self.list("--json")),
            Contender::new("restic ls --ncdu", || self.list("--ncdu")),
            Contender::new("build-ignore --kept0", || self.kept()),
            Contender::new("verify --sample 0", || self.verify("0")),
            Contender::new("verify", || self.verify("50")),
        ];
        let medians = measure::medians(&contenders, ROUNDS, cancel)?;
        out!("{} files, median of {ROUNDS} rounds", HOMES[0].files);
        out!("{}", measure::compare(&contenders, &medians));
        // In the rounds and in the one before them, with and without a sample.
        let each = operations(self.server) / (2 * (ROUNDS + 1));
        Ok(medians[3].as_secs_f64() / medians[0].as_secs_f64() / (each + 1) as f64)
    }
}

impl Home {
    /// The time of one listing and of one verification, and the memory of the latter, as a row.
    fn once(&self, commands: &Commands<'_>, cancel: &Cancel) -> Result<(u64, [String; 7])> {
        let started = Instant::now();
        process::capture(&mut commands.list("--ncdu"), b"", Limits::within(LONG), Some(cancel))?.success()?;
        let listed = started.elapsed();
        let before = operations(commands.server);
        let started = Instant::now();
        let peak = measure::peak_memory(&mut commands.verify("50"))?;
        let took = started.elapsed();
        let row = [
            self.files.to_string(),
            self.together.to_string(),
            units::duration(listed),
            format!("{} ({})", units::duration(took), measure::ratio(took, listed)),
            (operations(commands.server) - before).to_string(),
            units::bytes(peak),
            units::bytes(measure::peak_memory(&mut commands.kept())?),
        ];
        Ok((peak, row))
    }

    /// Makes the home and a Backrest that has backed it up.
    fn back_up(&self, folder: &Path, restic: &Path) -> Result<Server> {
        self.make(folder)?;
        std::thread::sleep(OLD_ENOUGH);
        let server = folder.join("server");
        fs::create_dir(&server).context("make a folder")?;
        let roots = [folder.join("data"), folder.join("containers")];
        let server = Server::start(restic, &server, &[&roots[0], &roots[1]], &json!([]));
        server.init();
        server.back_up(&[], || {});
        Ok(server)
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

/// How many commands and folders the server was asked for.
fn operations(server: &Server) -> usize {
    server.calls("RunCommand") + server.calls("ListSnapshotFiles")
}
