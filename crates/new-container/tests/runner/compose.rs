//! Docker Compose itself reads what is written.

use common::testing::Sandbox;

use crate::make::tool;

/// Debian's package docker-compose: 1.29 in bookworm, 2.x in trixie, both without a Docker engine.
#[track_caller]
fn config(sandbox: &Sandbox, name: &str) -> String {
    let file = sandbox.path(format!("containers/{name}/compose.yaml"));
    let mut command = sandbox.command("docker-compose");
    command.arg("-f").arg(file).arg("config");
    let ran = sandbox.run(&mut command).expect_success();
    assert!(!ran.stderr.contains("variable is not set"), "{}", ran.everything());
    ran.stdout
}

#[test]
fn compose_accepts_a_plain_service() {
    let sandbox = Sandbox::new();
    sandbox.run(&mut tool(&sandbox, &["app"])).expect_success();
    let config = config(&sandbox, "app");
    assert!(config.contains(&format!("{}/data", sandbox.path("data/app").display())), "{config}");
}

#[test]
fn compose_accepts_every_database_with_every_option() {
    let kinds = ["postgres", "mariadb", "mysql", "mongo", "sqlite", "redis"];
    for (kind, stop) in kinds.iter().flat_map(|kind| [(kind, None), (kind, Some("--stop"))]) {
        let sandbox = Sandbox::new();
        let arguments = [
            "app",
            "--image",
            "nginx:1",
            "--port",
            "8080:80",
            "--port",
            "127.0.0.1:53:53/udp",
            "--network",
            "proxy",
        ];
        let mut arguments = [&arguments[..], &["--database", kind]].concat();
        arguments.extend(stop);
        sandbox.run(&mut tool(&sandbox, &arguments)).expect_success();
        let config = config(&sandbox, "app");
        assert!(
            config.contains("proxy") && config.contains("8080") && config.contains("nginx:1"),
            "{config}"
        );
        let env = sandbox.read("containers/app/.env");
        for password in env.lines().filter_map(|line| Some(line.split_once("PASSWORD=")?.1)) {
            assert!(config.contains(password), "compose sees the password of .env\n{config}");
        }
    }
}

#[test]
fn names_and_paths_that_yaml_would_misread_are_accepted() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("my $data #1");
    std::fs::create_dir(&root).unwrap();
    for name in ["123", "no", "0x10", "null", "1e3"] {
        let arguments = [name, "--data-root", root.to_str().unwrap()];
        sandbox.run(&mut tool(&sandbox, &arguments)).expect_success();
        let config = config(&sandbox, name);
        let folder = root.join(name).join("data");
        // Compose writes a dollar sign twice, so that it could read the text again.
        let written = folder.to_str().unwrap().to_string();
        assert!(config.contains(&written) || config.contains(&written.replace('$', "$$")), "{config}");
    }
}
