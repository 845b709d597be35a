//! What shells read, read by the real shells; what scripts are, checked by shellcheck.

use common::testing::{Sandbox, copy_program};

use crate::make::tool;

#[track_caller]
fn shellcheck(sandbox: &Sandbox, arguments: &[&str]) {
    let mut command = sandbox.command("shellcheck");
    command.arg("--norc").args(arguments);
    sandbox.run(&mut command).expect_success();
}

#[test]
fn every_shell_reads_the_alias_and_runs_us_by_it() {
    let sandbox = Sandbox::new();
    // A path that every kind of quoting has to bear.
    let odd = sandbox.path("it's $HOME \\ a \"bin\"");
    std::fs::create_dir(&odd).unwrap();
    let program = odd.join("new-container");
    copy_program(env!("CARGO_BIN_EXE_new-container"), &program);
    let runs: [(&str, &[&str]); 3] = [
        ("bash", &["--norc", "-O", "expand_aliases", "-c"]),
        ("zsh", &["-f", "-c"]),
        ("fish", &["--no-config", "-c"]),
    ];
    for (shell, arguments) in runs {
        let mut command = sandbox.command(&program);
        let init = sandbox.run(command.args(["--shell-init", shell])).expect_success().stdout;
        let file = sandbox.write(format!("init.{shell}"), &init);
        // The alias has to be known before the line that uses it is read.
        let text = format!("source '{}'\neval 'dn app-{shell} --image nginx:1'\n", file.display());
        let mut command = sandbox.command(shell);
        let ran = sandbox.run(command.args(arguments).arg(text)).expect_success();
        assert!(
            sandbox.path(format!("data/app-{shell}/.resticignore")).is_file(),
            "{init}\n{}",
            ran.everything()
        );
        assert_eq!(ran.stderr, "", "{init}");
    }
    shellcheck(&sandbox, &[sandbox.path("init.bash").to_str().unwrap()]);
}

#[test]
fn on_the_path_the_alias_is_the_bare_name() {
    let sandbox = Sandbox::new();
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_new-container")).parent().unwrap();
    let mut command = tool(&sandbox, &["--shell-init", "bash"]);
    command.env("PATH", folder);
    let ran = sandbox.run(&mut command).expect_success();
    assert!(ran.stdout.ends_with("\nalias dn=new-container\n"), "{}", ran.everything());
}

#[test]
fn every_script_is_clean_to_shellcheck() {
    let sandbox = Sandbox::new();
    let mut scripts = Vec::new();
    for kind in ["postgres", "mariadb", "mysql", "mongo", "sqlite", "redis"] {
        let name = format!("with-{kind}");
        sandbox.run(&mut tool(&sandbox, &[&name, "--database", kind])).expect_success();
        scripts.push(sandbox.path(format!("data/{name}/prepare-backup.sh")));
        let name = format!("stopped-{kind}");
        sandbox.run(&mut tool(&sandbox, &[&name, "--database", kind, "--stop"])).expect_success();
        scripts.push(sandbox.path(format!("data/{name}/prepare-backup.sh")));
        scripts.push(sandbox.path(format!("data/{name}/after-backup.sh")));
    }
    sandbox.run(&mut tool(&sandbox, &["plain"])).expect_success();
    sandbox.run(&mut tool(&sandbox, &["stopped", "--stop"])).expect_success();
    scripts.push(sandbox.path("data/plain/prepare-backup.sh"));
    scripts.push(sandbox.path("data/stopped/prepare-backup.sh"));
    scripts.push(sandbox.path("data/stopped/after-backup.sh"));
    let arguments: Vec<_> = scripts.iter().map(|path| path.to_str().unwrap()).collect();
    shellcheck(
        &sandbox,
        &[&["--enable=all", "--exclude=SC2154,SC2250,SC2310,SC2311,SC2312"], arguments.as_slice()].concat(),
    );
}
