//! The client in an image with nothing in it: no shell, no library, nothing but the mounted bridge.

use anyhow::Result;

use super::super::images;
use super::super::world::World;

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
