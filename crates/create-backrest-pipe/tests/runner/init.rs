//! `init`: from nothing to a Backrest that only has to be started.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::testing::Ran;

use crate::home::Home;

/// A home with the tools and nothing else.
#[track_caller]
fn bare_home() -> Home {
    let home = Home::new();
    home.install("build-ignore", &common::testing::built("build-ignore", "build-ignore"));
    for root in ["containers", "data"] {
        fs::remove_dir_all(home.sandbox.path(root)).unwrap();
    }
    home
}

#[must_use]
#[track_caller]
fn init(home: &Home, arguments: &[&str]) -> Ran {
    home.run(&[&["init"], arguments].concat())
}

#[test]
fn a_bare_home_gets_everything_and_a_second_run_has_nothing_to_do() {
    let home = bare_home();
    let before = home.everything();
    let ran = init(&home, &["--dry-run"]).expect_success();
    for shown in [
        "containers/",
        "data/backrest/config/",
        "bridge/",
        ".env",
        "compose.yaml",
        ".resticignore",
        "build-ignore",
    ] {
        assert!(ran.stdout.contains(shown), "{shown}: {}", ran.everything());
    }
    assert_eq!(home.everything(), before);
    // No one can answer.
    let ran = init(&home, &[]).expect_code(1);
    assert!(ran.stderr.contains("--yes"), "{}", ran.everything());
    assert_eq!(home.everything(), before);

    let ran = init(&home, &["--yes"]).expect_success();
    assert!(ran.stdout.contains("docker compose up --detach"), "{}", ran.everything());
    let mode = |path: &str| fs::metadata(home.sandbox.path(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("containers/backrest/.env"), 0o600);
    for folder in ["data", "config", "cache", "tmp", "rclone"] {
        assert_eq!(mode(&format!("data/backrest/{folder}")), 0o755, "{folder}");
    }
    for file in [
        "containers/backrest/ignorefile.txt",
        "containers/backrest/.resticignore",
        "data/backrest/.resticignore",
    ] {
        assert!(home.sandbox.path(file).exists(), "{file}");
    }
    assert!(home.listener().is_some());
    // What it wrote is what Compose takes, and what `status` looks for.
    let mut compose = home.sandbox.command("docker-compose");
    compose.current_dir(home.backrest("")).args(["--file", "compose.yaml", "config"]);
    let config = home.sandbox.run(&mut compose).expect_success().stdout;
    let home_path = home.sandbox.home().display().to_string();
    assert!(config.contains(&format!("{home_path}/containers/backrest/bridge")), "{config}");
    let again = init(&home, &["--yes"]).expect_success();
    assert!(
        again.stdout.starts_with("Everything is in place: nothing was changed.\n"),
        "{}",
        again.everything()
    );
    assert!(home.set_up().stdout.starts_with("Everything is in place"));
}

#[test]
fn what_is_there_is_left_as_it_is_and_what_it_lacks_is_named() {
    let home = bare_home();
    let compose =
        "services:\n  backrest:\n    image: garethgeorge/backrest\n    volumes:\n      - ./data:/data\n";
    home.sandbox.write("containers/backrest/compose.yaml", compose);
    home.sandbox.write("containers/backrest/.env", "TZ=UTC\n");
    let ran = init(&home, &["--yes"]).expect_success();
    assert_eq!(home.sandbox.read("containers/backrest/compose.yaml"), compose);
    assert_eq!(home.sandbox.read("containers/backrest/.env"), "TZ=UTC\n");
    for target in ["/bridge", "/userdata/data:ro", "/userdata/containers:ro"] {
        assert!(ran.stderr.contains(&format!(":{target}")), "{target}: {}", ran.everything());
    }
}

#[test]
fn one_folder_for_both_is_one_mount_and_every_tool_finds_it() {
    let home = bare_home();
    home.sandbox.write("docker/wiki/compose.yaml", "services: {wiki: {image: wiki}}\n");
    let ran = init(&home, &["--yes"]).expect_success();
    let stacks = home.sandbox.path("docker");
    assert!(ran.stdout.contains(&format!("cd {}/backrest", stacks.display())), "{}", ran.everything());
    let compose = home.sandbox.read("docker/backrest/compose.yaml");
    assert!(
        compose.contains("${DATA_ROOT:-~/data}:/userdata/data:ro") && !compose.contains("${CONTAINER_ROOT:-")
    );
    // Without a flag: the settings are found.
    let hooks = home.run(&["hooks"]).expect_success().stdout;
    assert!(hooks.contains("--exclude-file=/userdata/data/backrest/ignorefile.txt"), "{hooks}");
    assert!(home.set_up().stdout.starts_with("Everything is in place"));
    let ran = init(&home, &["--yes"]).expect_success();
    assert!(ran.stdout.starts_with("Everything is in place"), "{}", ran.everything());
}

#[test]
fn a_folder_that_docker_made_is_made_the_users() {
    let home = Home::new();
    // As Docker makes it: empty, and root's. In the tests' namespace the user is root, so this only looks at the names.
    fs::create_dir_all(home.sandbox.path("data/backrest/config")).unwrap();
    home.set_up();
    for folder in ["data", "config", "cache", "tmp", "rclone"] {
        assert!(home.sandbox.path(format!("data/backrest/{folder}")).is_dir(), "{folder}");
    }
    home.run(&["remove"]).expect_success();
    assert!(home.sandbox.path("data/backrest/config").is_dir(), "it was there before");
    assert!(!home.sandbox.path("data/backrest/cache").exists());
}

#[test]
fn roots_that_are_named_once_are_found_by_the_commands_that_follow() {
    let home = bare_home();
    home.sandbox.write("stacks/wiki/compose.yaml", "services: {}\n");
    let root = home.sandbox.path("stacks");
    let root = root.to_str().unwrap();
    let ran = init(&home, &["--container-root", root, "--data-root", root, "--dry-run"]).expect_success();
    assert!(
        ran.stdout.starts_with(&format!("1 service with their data in {root}:\n")),
        "{}",
        ran.everything()
    );
    init(&home, &["--container-root", root, "--data-root", root, "--yes"]).expect_success();
    // What it prints as the next command needs no flags.
    assert!(home.run(&["hooks"]).expect_success().stdout.contains("/bridge/backrest-send"));
    let ran = home.run(&["status"]);
    assert!(ran.stdout.contains("✓ listener"), "{}", ran.everything());
    assert!(ran.stdout.contains(&format!("one root for both: {root}")), "{}", ran.everything());
    let again = init(&home, &["--yes"]).expect_success();
    assert!(again.stdout.contains("nothing was changed"), "{}", again.everything());
    home.run(&["remove"]).expect_success();
}

/// What `docs/layouts.md` has for `init`, with its folders in the home.
#[test]
fn each_layout_of_the_page_is_set_up_by_its_command() {
    let page = include_str!("../../../../docs/layouts.md");
    let lines = page.replace("\\\n", "");
    let blocks = lines.lines().filter_map(|line| line.strip_prefix("create-backrest-pipe init --"));
    let commands: Vec<_> = blocks.map(|rest| format!("--{rest}")).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        let home = bare_home();
        let folder = |path: &str| home.sandbox.path(path.trim_start_matches('/')).display().to_string();
        let arguments: Vec<_> = command
            .split_whitespace()
            .map(|word| if word.starts_with('/') { folder(word) } else { word.to_string() })
            .collect();
        let value = |name: &str| arguments.iter().skip_while(|word| *word != name).nth(1);
        for root in ["--container-root", "--data-root"] {
            fs::create_dir_all(value(root).unwrap()).unwrap();
        }
        let named = arguments.iter().map(String::as_str).chain(["--yes"]).collect::<Vec<_>>();
        init(&home, &named).expect_success();
        let own = format!("{}/backrest", value("--container-root").unwrap());
        let own = Path::new(value("--container-dir").unwrap_or(&own));
        assert!(own.join("bridge/backrest-send").is_file(), "{command}");
        assert_eq!(fs::read_link(home.sandbox.path("containers/backrest")).unwrap(), own);
        let again = init(&home, &["--yes"]).expect_success();
        assert!(again.stdout.contains("nothing was changed"), "{}", again.everything());
    }
}
