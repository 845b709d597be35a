//! Containers as `docker inspect` shows them: networks, ports and mounts are those of the compose files.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::super::images;
use super::super::world::World;

pub(super) fn joins_a_network(world: &World) -> Result<()> {
    world.docker(&["network", "create", "proxy"])?.success()?;
    let arguments =
        ["whoami", "--image", images::APP, "--network", "proxy", "--port", "127.0.0.1:8080:80", "--up"];
    world.tool("new-container", &arguments)?.success()?;
    let shown = inspect(world, "whoami-whoami-1")?;
    let networks = &shown["NetworkSettings"]["Networks"];
    ensure!(networks["proxy"].is_object(), "expected to be in the network proxy, seen {networks}");
    let ports = &shown["NetworkSettings"]["Ports"]["80/tcp"];
    ensure!(
        ports[0]["HostIp"] == "127.0.0.1" && ports[0]["HostPort"] == "8080",
        "expected port 127.0.0.1:8080, seen {ports}"
    );
    world.compose("whoami", &["down"])?.success()?;
    Ok(())
}

pub(super) fn has_its_mounts(world: &World) -> Result<()> {
    let shown = inspect(world, "backrest")?;
    let mounts = shown["Mounts"].as_array().context("mounts of a container")?;
    for (source, target, writable) in [
        ("data/backrest/data", "/data", true),
        ("data/backrest/config", "/config", true),
        ("data/backrest/cache", "/cache", true),
        ("data/backrest/tmp", "/tmp", true),
        ("data/backrest/rclone", "/root/.config/rclone", true),
        ("data", "/userdata/data", false),
        ("containers", "/userdata/containers", false),
        ("backups", "/repos", true),
        ("containers/backrest/bridge", "/bridge", true),
    ] {
        let source = world.at(source).to_string_lossy().into_owned();
        let found = mounts.iter().any(|mount| {
            mount["Source"] == source.as_str() && mount["Destination"] == target && mount["RW"] == writable
        });
        ensure!(found, "expected a mount of {source} at {target}, writable: {writable}, seen {mounts:?}");
    }
    for path in ["/userdata/data/paperless/prepare-backup.sh", "/userdata/containers/new"] {
        world.inside(&["touch", path], b"")?.failure()?.prints("Read-only file system")?;
    }
    Ok(())
}

/// The client in an image with nothing in it: no shell, no library, nothing but the mounted bridge.
pub(super) fn reaches_the_host(world: &World) -> Result<()> {
    let mount = format!("{}:/bridge", world.at("containers/backrest/bridge").display());
    let run = ["run", "--rm", "--interactive", "--network", "none", "--volume", &mount, images::EMPTY];
    let client = |arguments: &[&str], input: &str| {
        let mut command = world.command("docker");
        command.args(run).arg("/bridge/backrest-send").args(arguments);
        world.run_with_input(&mut command, input.as_bytes())
    };
    client(&["ping"], "")?.success()?.prints("pong ")?;
    client(&["unheard-of"], "")?.code(64)?;
    // What Backrest passes to the program that a hook's first line names.
    world.script("containers/backrest/actions/work", "#!/bin/sh\necho working; exit 1\n")?;
    client(&[], "# before\nping\nwork\nping\n")?.code(1)?.prints("working")?;
    Ok(())
}

/// Everything that the engine reports about a container.
fn inspect(world: &World, name: &str) -> Result<Value> {
    let shown = world.docker(&["inspect", name])?.success()?;
    let shown: Value = serde_json::from_str(&shown.stdout).context("read what docker inspect prints")?;
    Ok(shown[0].clone())
}
