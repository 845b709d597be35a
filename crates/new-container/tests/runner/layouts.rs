//! Roots that are one folder, also through a symlink, and a root inside the other one.

use std::os::unix::fs::symlink;

use common::testing::Sandbox;

use crate::make::tool;

/// Dockge keeps everything of a stack in one folder.
#[test]
fn one_folder_can_be_both_roots() {
    for through_a_link in [false, true] {
        let sandbox = Sandbox::empty();
        let stacks = sandbox.path("opt/stacks");
        std::fs::create_dir_all(&stacks).unwrap();
        let data = if through_a_link { sandbox.path("data") } else { stacks.clone() };
        if through_a_link {
            symlink(&stacks, &data).unwrap();
        }
        let roots = ["--container-root", stacks.to_str().unwrap(), "--data-root", data.to_str().unwrap()];
        let arguments = [&["app", "--database", "postgres"], &roots[..]].concat();
        sandbox.run(&mut tool(&sandbox, &arguments)).expect_success();
        let folder = stacks.join("app");
        for file in ["compose.yaml", ".env", ".resticignore", "prepare-backup.sh"] {
            assert!(folder.join(file).is_file(), "{}", sandbox.tree());
        }
        let env = std::fs::read_to_string(folder.join(".env")).unwrap();
        let expected = format!("DATA_DIR={0}\nCONTAINER_DIR={0}\n", folder.display());
        assert!(env.contains(&expected), "{env}");
        let again = sandbox.run(&mut tool(&sandbox, &arguments)).expect_code(1);
        assert!(again.stderr.contains("already exists"), "{}", again.everything());
    }
}

#[test]
fn a_root_inside_the_other_is_not_a_service() {
    let sandbox = Sandbox::empty();
    let (stacks, data) = (sandbox.path("stacks"), sandbox.path("stacks/data"));
    std::fs::create_dir_all(&data).unwrap();
    let roots = ["--container-root", stacks.to_str().unwrap(), "--data-root", data.to_str().unwrap()];
    sandbox.run(&mut tool(&sandbox, &[&["app"], &roots[..]].concat())).expect_success();
    assert!(stacks.join("app/compose.yaml").is_file() && data.join("app/prepare-backup.sh").is_file());
    let ran = sandbox.run(&mut tool(&sandbox, &[&["data"], &roots[..]].concat())).expect_code(1);
    assert!(ran.stderr.contains("data is reserved"), "{}", ran.everything());
}
