//! A backup in which everything is well: hooks, restic in the container, and what comes back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use common::text::escape_path;

use super::super::hooks::{Hooks, restic, snapshots};
use super::super::ran::all_succeed;
use super::super::world::World;
use super::{database, stopped};
use crate::trees;

/// Where the container's `/repos/restored` lies, below the home.
const RESTORED: &str = "backups/restored/userdata";

/// What `build-ignore` writes before a backup; a copy from the backup before it is in the snapshot.
const IGNORE_FILE: &str = "containers/backrest/ignorefile.txt";

/// Files with rules for what to leave out: nested, negated, with names that are hard to quote.
const FILES: [(&str, &str); 18] = [
    (
        "data/photos/.resticignore",
        "/thumbs/\n*.tmp\n!keep.tmp\n/deep/*\n!/deep/kept/\n\\#odd\ncache?[0-9]/**/x\n",
    ),
    ("data/photos/thumbs/1.webp", "derived"),
    ("data/photos/2025/IMG 0001 – Käse.jpg", "precious"),
    ("data/photos/2025/upload.tmp", "half"),
    ("data/photos/2025/keep.tmp", "kept"),
    ("data/photos/2025/.resticignore", "/raw/\n!*.tmp\n"),
    ("data/photos/2025/again.tmp", "kept by the rule nearer to it"),
    ("data/photos/2025/raw/1.dng", "big"),
    ("data/photos/deep/lost/a", "left out"),
    ("data/photos/deep/kept/b", "kept"),
    ("data/photos/#odd", "left out"),
    ("data/photos/a*b[c]", "a name like a pattern"),
    ("data/photos/-dash", "a name like a flag"),
    ("data/photos/cachex1/a/b/x", "left out"),
    ("data/photos/cachexx/a/b/x", "kept"),
    ("containers/photos/.resticignore", "*.bak\n"),
    ("containers/photos/compose.yaml.bak", "left out"),
    ("containers/photos/compose.yaml", "services: {}\n"),
];

/// What a person types into the web page: a line for `sh`.
pub(super) fn hook_for_sh(world: &World) -> Result<()> {
    let text = b"/bridge/backrest-send ping && echo and so on\n/bridge/backrest-send unheard-of\n";
    world.inside(&["sh"], text)?.code(64)?.prints("pong ")?.prints("and so on")?;
    world.script(
        "containers/backrest/actions/slow",
        "#!/bin/sh\necho first; sleep 1; echo \"text: $1\"; touch ../../slow-done\n",
    )?;
    // It is back when the action is done, not before.
    let text = b"set -e\n/bridge/backrest-send slow 'a b; $(c)'\necho back\n";
    let ran = world.inside(&["sh"], text)?.success()?;
    if !world.at("slow-done").exists() || ran.stdout != "first\ntext: a b; $(c)\nback\n" {
        return ran.unexpected("expected that the hook waits and sees every line");
    }
    Ok(())
}

pub(super) fn is_made(world: &World) -> Result<()> {
    for (path, text) in FILES {
        world.write(path, text)?;
    }
    restic(world, &["init"])?.success()?;
    world.kuma.take();
    let hooks = Hooks::printed(world)?;
    let backup = hooks.back_up(world, &[])?;
    // Both services were prepared.
    backup.start.success()?.prints("paperless: ok")?.prints("wiki: ok")?;
    backup.restic.context("restic ran")?.success()?;
    all_succeed(backup.after)?;
    ensure!(snapshots(world)? == 1, "expected one snapshot");
    stopped::expect_up(world)?;
    expect_push(world, "status=up", "nightly")
}

pub(super) fn is_what_git_keeps(world: &World) -> Result<()> {
    restic(world, &["restore", "latest", "--target", "/repos/restored"])?.success()?;
    let kept = kept(world)?;
    let restored = trees::files(&world.at(RESTORED))?.into_keys().filter(|path| is_judged(path)).collect();
    let name = |paths: Vec<&PathBuf>| paths.iter().map(escape_path).collect::<Vec<_>>().join(", ");
    let lost = name(kept.difference(&restored).collect());
    ensure!(lost.is_empty(), "expected in the snapshot, because git keeps it: {lost}");
    let extra = name(restored.difference(&kept).collect());
    ensure!(extra.is_empty(), "not expected in the snapshot, because git ignores it: {extra}");
    for path in &kept {
        let (here, there) = (world.at(path), world.at(RESTORED).join(path));
        ensure!(trees::same(&here, &there)?, "not restored as it was: {}", escape_path(path));
    }
    // Otherwise the comparison proves little.
    ensure!(kept.len() > 15 && kept.contains(Path::new(database::DUMP)), "seen {} files only", kept.len());
    Ok(())
}

/// The files below both roots that git keeps when each `.resticignore` is read as a `.gitignore`, as paths below the home:
/// the judge of what a backup has to hold. git itself reads files of that name, so nothing is translated and nothing is
/// copied.
fn kept(world: &World) -> Result<BTreeSet<PathBuf>> {
    let folder = world.beside("git");
    world.run(world.command("git").args(["init", "--quiet", "--bare"]).arg(&folder))?.success()?;
    let mut kept = BTreeSet::new();
    for root in ["data", "containers"] {
        let mut git = world.command("git");
        git.arg("--git-dir").arg(&folder).arg("--work-tree").arg(world.at(root)).current_dir(world.at(root));
        git.args(["-c", "core.bare=false", "ls-files", "-z", "--others"]);
        let listed = world.run(git.arg("--exclude-per-directory=.resticignore"))?.success()?;
        let paths = listed.stdout.split('\0').filter(|path| !path.is_empty());
        kept.extend(paths.map(|path| PathBuf::from(root).join(path)));
    }
    Ok(kept.into_iter().filter(|path| is_judged(path) && world.at(path).is_file()).collect())
}

/// Whether `path`, below the home, stays as it is during a backup.
fn is_judged(path: &Path) -> bool {
    trees::is_still(path) && path != Path::new(IGNORE_FILE)
}

pub(super) fn dump_loads(world: &World) -> Result<()> {
    let dump = world.at(RESTORED).join(database::DUMP);
    let text = world.run(world.command("gunzip").arg("--stdout").arg(dump))?.success()?.stdout;
    database::sql(world, None, "CREATE DATABASE fresh;")?.success()?;
    database::sql(world, Some("fresh"), &text)?.success()?;
    let (live, loaded) = (database::rows(world, None)?, database::rows(world, Some("fresh"))?);
    ensure!(
        live == loaded,
        "expected the rows of the live database, {} bytes, seen {}",
        live.len(),
        loaded.len()
    );
    Ok(())
}

pub(super) fn expect_push(world: &World, state: &str, text: &str) -> Result<()> {
    let mut pushes = Vec::new();
    let waited = world.wait_for("a push", || {
        pushes.extend(world.kuma.take());
        Ok(pushes.iter().any(|push| push.contains(state) && push.contains(text)))
    });
    waited.with_context(|| format!("expected a push with {state} and {text}, seen {pushes:?}"))
}
