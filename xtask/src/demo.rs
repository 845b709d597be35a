//! `cargo xtask demo`: the product's main job, shown with real files, the real tools and real restic.
//!
//! In a temporary home: services with rules and a prepare script, the listener, the message that Backrest's hook
//! sends, the backup that Backrest would run, and the restored snapshot compared with what it should hold. Nothing
//! outside that home is touched and nothing stays, unless `--keep` names a place for it. It fails if anything is
//! not as its owner wants it.

mod compare;
pub(crate) mod home;
pub(crate) mod services;
mod table;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::cancel::Cancel;
use common::exit::Exit;
use common::out;
use common::process::{self, Limits};
use common::text::{BAD, DIM, GOOD, count, escape, escape_path};
use common::units;

use crate::background::Background;
use crate::cli::DemoOptions;
use crate::orphans::Orphans;
use crate::workspace::Workspace;
use crate::{build, needs};
use home::Place;
use services::{DUMP, ROWS};

/// Shows it.
pub(crate) fn run(options: &DemoOptions) -> Result<Exit> {
    let cancel = Cancel::on_signals().context("listen to signals")?;
    needs::ensure(needs::DEMO, &cancel)?;
    let place = Place::make(options.keep.as_deref())?;
    let _orphans = Orphans::adopt()?;
    place.install(&build::for_demo(&Workspace::find()?)?)?;
    let started = Instant::now();

    let services = services::all();
    place.fill(&services, &cancel)?;
    let files: usize = services.iter().map(|service| service.files.len()).sum();
    let services_in_words = count(services.len(), "service");
    title(&format!("{services_in_words} with {} in ~/data and ~/containers", count(files, "file")));
    detail("each .resticignore lists what to leave out; immich: /thumbs/ *.tmp …");
    detail("vaultwarden has a prepare-backup.sh that copies its database");

    title("$ build-ignore");
    let mut command = place.command(place.at(".local/bin/build-ignore"));
    show(&place, &place.run(&mut command, b"", &cancel)?);

    title("$ pipe-listener &");
    let bridge = place.at("containers/backrest/bridge");
    let client = bridge.join("backrest-send").to_string_lossy().into_owned();
    put_client(&place, &bridge)?;
    let limits = Limits::within(Duration::from_secs(600));
    let command = place.command(place.at(".local/bin/pipe-listener"));
    let listener = Background::start(command, limits, &cancel, || {
        let limits = Limits::within(Duration::from_secs(10));
        Ok(process::capture(place.command(&client).arg("ping"), b"", limits, Some(&cancel))?.end.is_success())
    })?;
    detail("it waits for what Backrest's hooks ask of this host");

    hook(&place, &client, "start", "pre-backups", &cancel)?;
    let id = back_up(&place, &cancel)?;
    hook(&place, &client, "end", "post-backups", &cancel)?;
    drop(listener);

    title("$ restic restore, and every file compared");
    let restored = place.beside("restored");
    let mut command = place.command("restic");
    command.args(["restore", &id, "--target"]).arg(&restored);
    place.run(&mut command, b"", &cancel)?;
    let root = restored.join(place.home().strip_prefix("/").unwrap_or(&place.home()));
    let comparison = compare::compare(&place.home(), &root, &services)?;
    let rows = rows_of_dump(&place, &root.join(DUMP), &cancel)?;
    for wrong in &comparison.wrong {
        out!("  {BAD}✗ {}{BAD:#}", escape(wrong.as_bytes()));
    }
    if !comparison.wrong.is_empty() || rows != ROWS {
        bail!("compare: {} not as they should be", count(comparison.wrong.len(), "file"));
    }
    let all = comparison.total().backed_up;
    detail(&format!("{} with {} came back byte for byte", count(all.files, "file"), units::bytes(all.bytes)));
    detail(&format!("the restored dump opens: {ROWS} rows"));
    out!("\n{}\n", table::render(&services, &comparison));
    if options.keep.is_some() {
        out!("Everything is still there: {}", escape_path(place.beside("")));
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
fn show(place: &Place, output: &str) {
    for line in output.lines() {
        detail(&place.short(&escape(line.as_bytes())));
    }
}

/// The client lies in the bridge, where the container finds it; create-backrest-pipe puts it there.
fn put_client(place: &Place, bridge: &Path) -> Result<()> {
    let bytes = fs::read(place.at(".local/bin/backrest-send")).context("read the client")?;
    fs::create_dir_all(bridge).with_context(|| format!("make: {}", escape_path(bridge)))?;
    common::atomic::write(&bridge.join("backrest-send"), &bytes, 0o755).map(drop)
}

/// Runs a hook as Backrest does: its text is what `sh` reads.
fn hook(place: &Place, client: &str, event: &str, message: &str, cancel: &Cancel) -> Result<()> {
    title(&format!("Backrest's {event} hook: /bridge/backrest-send {message}"));
    let text = format!("'{}' {message}\n", client.replace('\'', "'\\''"));
    let output = place.run(&mut place.command("sh"), text.as_bytes(), cancel)?;
    show(place, &output);
    Ok(())
}

/// Runs restic as Backrest does and returns the snapshot's id.
fn back_up(place: &Place, cancel: &Cancel) -> Result<String> {
    let flag = format!("--exclude-file={}", place.at("containers/backrest/ignorefile.txt").display());
    title(&place.short(&format!("$ restic backup ~/data ~/containers {flag}")));
    place.run(place.command("restic").arg("init"), b"", cancel)?;
    let mut command = place.command("restic");
    command.args(["backup", "--json", &flag]).arg(place.at("data")).arg(place.at("containers"));
    let output = place.run(&mut command, b"", cancel)?;
    let messages = output.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let summary = messages.into_iter().find(|message| message["message_type"] == "summary");
    let summary = summary.context("restic backup gave no summary")?;
    let seconds = summary["total_duration"].as_f64().unwrap_or_default();
    detail(&format!("a snapshot in {}", units::duration(Duration::from_secs_f64(seconds))));
    Ok(summary["snapshot_id"].as_str().context("restic backup names no snapshot")?.chars().take(8).collect())
}

/// Opens the restored dump and counts.
fn rows_of_dump(place: &Place, dump: &Path, cancel: &Cancel) -> Result<usize> {
    let mut command = place.command("sqlite3");
    command.arg("-readonly").arg(dump).arg("SELECT count(*) FROM ciphers");
    place.run(&mut command, b"", cancel)?.trim().parse().context("count the rows of the restored dump")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dumped_service_is_one_of_them() {
        let services = services::all();
        assert!(services.iter().any(|service| service.name == services::DUMPED));
        assert!(DUMP.starts_with(&format!("data/{}/", services::DUMPED)));
    }
}
