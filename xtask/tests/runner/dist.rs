//! An archive, from its build to its removal, in a root that holds nothing but busybox.

use common::testing::Sandbox;

use super::world::{output_of, xtask};

#[test]
fn an_archive_installs_upgrades_and_goes_where_there_is_nothing_but_busybox() {
    let sandbox = Sandbox::empty();
    let output = sandbox.path("dist").display().to_string();
    let arguments = ["dist", "--debug", "--output", &output, "--prove", "--root", "busybox"];
    let printed = output_of(xtask(&sandbox, &arguments));
    assert!(printed.ends_with("uninstalled: the home is as it was\n"), "{printed}");
    let mut check = sandbox.command("sha256sum");
    sandbox.run(check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(&output)).expect_success();
}
