//! `cargo xtask demo`: the product's main job, shown with real files, the real tools and real restic.
//!
//! In a temporary home: services with rules and a prepare script, the listener, the message that Backrest's hook
//! sends, the backup that Backrest would run, and the restored snapshot compared with what it should hold. Nothing
//! outside that home is touched and nothing stays, unless `--keep` names a place for it. It fails if anything is
//! not as its owner wants it.

mod compare;
pub(crate) mod services;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::exit::Exit;
use common::out;
use common::text::{BAD, DIM, GOOD, count, escape, escape_path};
use common::units;

use crate::cli::DemoOptions;
use crate::home::{CLIENT, Home};
use crate::workspace::Workspace;
use crate::{build, needs};
use services::{DUMP, NAMES, ROWS};

pub(crate) fn run(options: &DemoOptions) -> Result<Exit> {
    let cancel = Cancel::on_signals().context("listen to signals")?;
    needs::ensure(needs::DEMO, &cancel)?;
    let home = Home::make(options.keep.as_deref(), &cancel)?;
    home.install(&build::for_demo(&Workspace::find()?)?)?;
    let started = Instant::now();

    let files = services::files();
    services::fill(&home, &files)?;
    let services = count(NAMES.len(), "service");
    title(&format!("{services} with {} in ~/data and ~/containers", count(files.len(), "file")));
    detail("each .resticignore lists what to leave out; immich: /thumbs/ *.tmp …");
    detail("vaultwarden has a prepare-backup.sh that copies its database");

    title("$ build-ignore");
    let mut command = home.command(home.at(".local/bin/build-ignore"));
    show(&home, &home.output_of(&mut command, b"")?);

    title("$ pipe-listener &");
    let listener = home.start_listener(&home.at(".local/bin/backrest-send"))?;
    detail("it waits for what Backrest's hooks ask of this host");

    hook(&home, "start", "pre-backups")?;
    let id = back_up(&home)?;
    hook(&home, "end", "post-backups")?;
    drop(listener);

    title("$ restic restore, and every file compared");
    let restored = home.beside("restored");
    let mut command = home.command("restic");
    command.args(["restore", &id, "--target"]).arg(&restored);
    home.output_of(&mut command, b"")?;
    let root = restored.join(home.beside("home").strip_prefix("/").unwrap_or(Path::new("home")));
    let comparison = compare::compare(&home.beside("home"), &root, &files)?;
    let rows = rows_of_dump(&home, &root.join(DUMP))?;
    for wrong in &comparison.wrong {
        out!("  {BAD}✗ {}{BAD:#}", escape(wrong.as_bytes()));
    }
    if !comparison.wrong.is_empty() || rows != ROWS {
        bail!("compare: {} not as they should be", count(comparison.wrong.len(), "file"));
    }
    let [all, _] = comparison.total();
    detail(&format!("{} with {} came back byte for byte", count(all.files, "file"), units::bytes(all.bytes)));
    detail(&format!("the restored dump opens: {ROWS} rows"));
    out!("\n{}\n", comparison.table());
    if options.keep.is_some() {
        out!("Everything is still there: {}", escape_path(home.beside("")));
        out!("  home/        the services; containers/backrest/ignorefile.txt is what restic was given");
        out!("  repository/  restic -r repository ls latest  (the password is demo)");
        out!("  restored/    the snapshot\n");
    }
    out!(
        "{GOOD}✓{GOOD:#} nothing lost, nothing extra, in {}\nsnapshot {id}",
        units::duration(started.elapsed())
    );
    Ok(Exit::Done)
}

fn title(text: &str) {
    out!("\n{text}");
}

fn detail(text: &str) {
    out!("  {DIM}{text}{DIM:#}");
}

/// A program's output, in short.
fn show(home: &Home, output: &str) {
    for line in output.lines() {
        detail(&home.short(&escape(line.as_bytes())));
    }
}

/// Runs a hook as Backrest does: its text is what `sh` reads.
fn hook(home: &Home, event: &str, message: &str) -> Result<()> {
    title(&format!("Backrest's {event} hook: /bridge/backrest-send {message}"));
    let text = format!("'{}' {message}\n", home.at(CLIENT).to_string_lossy().replace('\'', "'\\''"));
    let output = home.output_of(&mut home.command("sh"), text.as_bytes())?;
    show(home, &output);
    Ok(())
}

/// Runs restic as Backrest does and returns the snapshot's id.
fn back_up(home: &Home) -> Result<String> {
    let flag = format!("--exclude-file={}", home.at("containers/backrest/ignorefile.txt").display());
    title(&home.short(&format!("$ restic backup ~/data ~/containers {flag}")));
    home.output_of(home.command("restic").arg("init"), b"")?;
    let mut command = home.command("restic");
    command.args(["backup", "--json", &flag]).arg(home.at("data")).arg(home.at("containers"));
    let output = home.output_of(&mut command, b"")?;
    let messages = output.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let summary = messages.into_iter().find(|message| message["message_type"] == "summary");
    let summary = summary.context("restic backup gave no summary")?;
    let seconds = summary["total_duration"].as_f64().unwrap_or_default();
    detail(&format!("a snapshot in {}", units::duration(Duration::from_secs_f64(seconds))));
    Ok(summary["snapshot_id"].as_str().context("restic backup names no snapshot")?.chars().take(8).collect())
}

/// Opens the restored dump and counts.
fn rows_of_dump(home: &Home, dump: &Path) -> Result<usize> {
    let mut command = home.command("sqlite3");
    command.arg("-readonly").arg(dump).arg("SELECT count(*) FROM ciphers");
    home.output_of(&mut command, b"")?.trim().parse().context("count the rows of the restored dump")
}
