//! What a person at a terminal sees: the report is as wide as the window, and a path in it is whole.

use common::testing::Sandbox;
use common::width;

use crate::command_line::PROGRAM;

#[track_caller]
fn home() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("disk/f", "x");
    for service in
        ["immich", "a-service-with-a-name-that-is-longer-than-most-are", "🎉写真-アルバム-家族の思い出"]
    {
        sandbox.write(format!("data/{service}/a/long/way/down/to/a/film.mkv"), vec![0; 90_000]);
        sandbox.write(format!("data/{service}/.resticignore"), "*.log\nimmich/a/long/way\n");
    }
    let volumes = "[named-volume:/var/lib/postgresql/data, '/srv/elsewhere/photos:/photos']";
    let compose = format!(
        "services: {{db: {{image: 'postgres:17', volumes: {volumes}}}}}\nvolumes: {{named-volume: }}\n"
    );
    sandbox.write("containers/immich/compose.yaml", compose);
    std::os::unix::fs::symlink(sandbox.path("disk"), sandbox.path("data/media")).unwrap();
    sandbox
}

/// The rows of the report in a terminal of this width, without colour.
#[track_caller]
fn rows(sandbox: &Sandbox, columns: usize) -> Vec<String> {
    let line = format!("stty cols {columns} && exec {PROGRAM} --report");
    let mut command = sandbox.command("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("NO_COLOR", "1");
    sandbox.run(&mut command).expect_success().stdout.lines().map(|row| row.trim_end().to_string()).collect()
}

#[test]
fn the_report_fits_the_terminal() {
    let sandbox = home();
    for columns in [60, 80, 100, 120, 200] {
        let rows = rows(&sandbox, columns);
        for row in &rows {
            // Only a path may be wider, which is never broken, with what is before it.
            let words = row.split(' ').map(width::of);
            let is_word = width::of(row) - words.max().unwrap_or(0) <= "build-ignore: warning: ".len();
            assert!(width::of(row) <= columns || is_word, "{columns}: {row}");
        }
        // However short, a name shows its root and its end.
        for (start, end) in [("containers", "immich"), ("data", "immich"), ("d", "most-are"), ("d", "思い出")]
        {
            let is_there = |row: &&String| {
                let name = row.split("  ").next().unwrap_or_default();
                name.starts_with(start) && name.ends_with(end)
            };
            assert_eq!(rows.iter().filter(is_there).count(), 1, "{columns}: {end} in {rows:#?}");
        }
    }
    let has = |rows: &[String], text: &str| rows.iter().any(|row| row.contains(text));
    let (narrow, wide) = (rows(&sandbox, 80), rows(&sandbox, 200));
    assert!(has(&wide, "no match") && !has(&narrow, "no match"), "{narrow:#?}");
    assert!(has(&wide, "data/a-service-with-a-name-that-is-longer-than-most-are "), "{wide:#?}");
    let film = "data/a-service-with-a-name-that-is-longer-than-most-are/a/long/way/down/to/a/film.mkv";
    assert!(has(&rows(&sandbox, 100), film));
}

#[test]
fn in_a_pipe_each_thing_is_one_line() {
    let sandbox = home();
    let ran = sandbox.run(sandbox.command(PROGRAM).arg("--report")).expect_success();
    assert!(
        ran.stdout.lines().any(|line| line.contains("named-volume of containers/immich: a named volume")
            && line.ends_with("backup"))
    );
    assert!(
        ran.stdout
            .lines()
            .any(|line| line.starts_with("    mount a folder instead") && line.ends_with("/data"))
    );
    assert!(!ran.everything().contains('\u{1b}'), "{}", ran.everything());
}
