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
fn a_template_that_is_not_there_or_leads_out_is_named() {
    let sandbox = Sandbox::new();
    let before = sandbox.tree();
    let ran = sandbox.run(&mut tool(&sandbox, &["a", "--template", "nothing"])).expect_code(1);
    assert!(
        ran.stderr.contains("/containers/.templates/nothing: no such folder\nhint: "),
        "{}",
        ran.everything()
    );
    sandbox.run(&mut tool(&sandbox, &["a", "--template", "../x"])).expect_code(2);
    assert_eq!(sandbox.tree(), before);
}

#[test]
fn a_misspelt_placeholder_is_an_error_with_file_and_line() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("containers/.templates/default/conf/app.ini", "a = {{name}}\nb = {{pasword}}\n");
    let before = sandbox.tree();
    let ran = sandbox.run(&mut tool(&sandbox, &["a"])).expect_code(1);
    let expected = format!(
        "new-container: {}:2: unknown placeholder {{{{pasword}}}}\nhint: the placeholders are name, service,",
        file.display()
    );
    assert!(ran.stderr.starts_with(&expected), "{}", ran.everything());
    assert_eq!(sandbox.tree(), before);
    sandbox.write("containers/.templates/default/conf/app.ini", "b = \\{{pasword}} {{.Go}}\n");
    sandbox.run(&mut tool(&sandbox, &["a"])).expect_success();
    assert_eq!(sandbox.read("containers/a/conf/app.ini"), "b = {{pasword}} {{.Go}}\n");
}

#[test]
fn templates_are_listed_with_their_use() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&mut tool(&sandbox, &["--list-templates"])).expect_success();
    assert!(ran.stdout.starts_with("no templates of your own in "), "{}", ran.everything());
    for folder in ["default", "redis", "web"] {
        sandbox.write(format!("containers/.templates/{folder}/compose.yaml"), "");
    }
    let ran = sandbox.run(&mut tool(&sandbox, &["--list-templates"])).expect_success();
    let names: Vec<_> = ran.stdout.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(names, ["default (every new service)", "redis (--database redis)", "web (--template web)"]);
}

/// The page lists every placeholder that a template may use.
#[test]
fn the_docs_list_every_placeholder() {
    let sandbox = Sandbox::new();
    sandbox.write("containers/.templates/default/x", "{{no_such_placeholder}}");
    let ran = sandbox.run(&mut tool(&sandbox, &["a"])).expect_code(1);
    let list = ran.stderr.split("the placeholders are ").nth(1).and_then(|rest| rest.split(';').next());
    let docs = include_str!("../../../../docs/new-container.md");
    let listed: Vec<_> =
        docs.lines().filter_map(|line| line.strip_prefix("| `{{")?.split("}}`").next()).collect();
    assert_eq!(listed.join(", "), list.unwrap_or_default(), "docs/new-container.md");
}
