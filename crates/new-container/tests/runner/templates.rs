//! The user's own templates win.

use common::testing::Sandbox;

use crate::make::tool;

#[test]
fn default_then_database_then_the_one_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.write("containers/.templates/default/.resticignore", "# mine for {{name}}\n");
    sandbox.write("containers/.templates/default/compose.yaml", "# default\n");
    sandbox.write("containers/.templates/postgres/compose.yaml", "# postgres\n");
    sandbox.write("containers/.templates/web/compose.yaml", "# web {{image}}\n{{.Node}}\n");
    sandbox.script("containers/.templates/web/bin/run", "#!/bin/sh\n");
    sandbox.run(&mut tool(&sandbox, &["a"])).expect_success();
    sandbox.run(&mut tool(&sandbox, &["b", "--database", "postgres"])).expect_success();
    let arguments = ["c", "--database", "postgres", "--template", "web", "--image", "nginx:1"];
    sandbox.run(&mut tool(&sandbox, &arguments)).expect_success();
    assert_eq!(sandbox.read("containers/a/compose.yaml"), "# default\n");
    assert_eq!(sandbox.read("containers/b/compose.yaml"), "# postgres\n");
    assert_eq!(sandbox.read("containers/c/compose.yaml"), "# web nginx:1\n{{.Node}}\n");
    assert_eq!(sandbox.read("data/a/.resticignore"), "# mine for a\n");
    assert!(sandbox.read("data/c/prepare-backup.sh").contains("pg_dump"));
    assert!(sandbox.tree().contains("containers/c/bin/run 100755 "), "{}", sandbox.tree());
}

#[test]
fn a_template_that_is_not_there_or_leads_out_is_told() {
    let sandbox = Sandbox::new();
    let before = sandbox.tree();
    let ran = sandbox.run(&mut tool(&sandbox, &["a", "--template", "nothing"])).expect_code(1);
    assert!(
        ran.stderr.contains("/containers/.templates/nothing: there is no such folder\nhint: "),
        "{}",
        ran.everything()
    );
    sandbox.run(&mut tool(&sandbox, &["a", "--template", "../x"])).expect_code(2);
    assert_eq!(sandbox.tree(), before);
}
