//! What is in no backup is named: links, mounts, volumes, disks, databases. Mounts are real ones, in a mount namespace.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::contract::coverage::{Coverage, Gap, GapKind};
use common::testing::Sandbox;

use crate::command_line::PROGRAM;

#[track_caller]
fn coverage(sandbox: &Sandbox) -> Coverage {
    let ran = sandbox.run(sandbox.command(PROGRAM).args(["--coverage", "--json"]));
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{}", ran.everything()))
}

#[track_caller]
fn only(coverage: &Coverage, kind: GapKind) -> Gap {
    let gaps: Vec<&Gap> = coverage.gaps.iter().filter(|gap| gap.kind == kind).collect();
    assert_eq!(gaps.len(), 1, "{:#?}", coverage.gaps);
    gaps[0].clone()
}

#[test]
fn a_home_without_gaps_has_none() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "*.log\n");
    sandbox.write(
        "containers/s/compose.yaml",
        "services: {s: {image: x, volumes: [../../data/s:/d, /etc/localtime:/etc/localtime]}}\n",
    );
    let ran = sandbox.run(sandbox.command(PROGRAM).arg("--coverage")).expect_success();
    assert_eq!(ran.stdout, "Nothing is known to be missing from the backup.\n");
}

#[test]
fn links_out_of_the_roots_are_named_with_what_they_hold() {
    let sandbox = Sandbox::new();
    sandbox.write("disk/media/film", vec![0; 5000]);
    sandbox.write("data/s/.resticignore", "/left-out\n");
    symlink(sandbox.path("disk/media"), sandbox.path("data/media")).unwrap();
    symlink("../../disk/media/film", sandbox.path("data/s/film")).unwrap();
    symlink("../../disk/media", sandbox.path("data/s/left-out")).unwrap();
    symlink("../../containers/x", sandbox.path("data/s/to-the-other-root")).unwrap();
    symlink("s", sandbox.path("data/same")).unwrap();
    let coverage = coverage(&sandbox);
    let service = only(&coverage, GapKind::LinkedService);
    assert_eq!(
        (service.service.as_deref(), service.bytes.is_some_and(|bytes| bytes >= 5000)),
        (Some("data/media"), true)
    );
    assert!(
        service
            .hint
            .unwrap()
            .contains(&format!("mount {}:/userdata/more/media:ro", sandbox.path("disk/media").display()))
    );
    let link = only(&coverage, GapKind::LinkOut);
    assert!(link.path.ends_with("data/s/film"), "{link:?}");
    assert_eq!((link.bytes, link.more), (Some(5000), 0));
}

#[test]
fn a_link_to_nothing_gets_no_mount_line() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/f", "");
    symlink("/mnt/not/there", sandbox.path("data/media")).unwrap();
    let gap = only(&coverage(&sandbox), GapKind::LinkedService);
    assert_eq!((gap.what.as_str(), gap.hint), ("a symlink to something that is not there", None));
}

#[test]
fn mounts_and_volumes_of_compose_files_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("elsewhere/f", "x");
    let outside = sandbox.path("elsewhere").display().to_string();
    let compose = format!(
        "services:\n  web:\n    image: nginx\n    volumes:\n      - {outside}:/srv\n      - cache:/cache\n      - ${{DATA_DIR}}/w:/w\n      \
         - /var/run/docker.sock:/var/run/docker.sock\nvolumes:\n  cache: {{}}\n"
    );
    sandbox.write("containers/web/compose.yaml", compose);
    sandbox.write("containers/web/.env", format!("DATA_DIR={}\n", sandbox.path("data/web").display()));
    let coverage = coverage(&sandbox);
    assert_eq!(only(&coverage, GapKind::BindMount).path, outside);
    let volume = only(&coverage, GapKind::NamedVolume);
    assert_eq!((volume.path.as_str(), volume.service.as_deref()), ("cache", Some("containers/web")));
    assert!(volume.hint.unwrap().ends_with("data/web/cache:/cache"));
    assert_eq!(coverage.gaps.len(), 2, "{:#?}", coverage.gaps);
}

/// What the system brings is no one's data; what an administrator or a volume put there is.
#[test]
fn mounts_of_the_system_are_not_named_unless_they_hold_data() {
    let sandbox = Sandbox::new();
    let quiet = [
        "/etc/localtime",
        "/etc/ssl/certs",
        "/usr/share/zoneinfo",
        "/var/run/docker.sock",
        "/var/lib/docker/volumes",
        "/",
    ];
    let named = ["/etc/letsencrypt", "/usr/local/etc/haproxy", "/var/lib/docker/volumes/wiki_db/_data"];
    let volumes: String =
        quiet.iter().chain(&named).enumerate().map(|(n, path)| format!("      - {path}:/m{n}\n")).collect();
    sandbox.write(
        "containers/web/compose.yaml",
        format!("services:\n  web:\n    image: nginx\n    volumes:\n{volumes}"),
    );
    sandbox.write("data/web/f", "");
    let coverage = coverage(&sandbox);
    let paths: Vec<&str> = coverage.gaps.iter().map(|gap| gap.path.as_str()).collect();
    assert_eq!(paths, named, "{:#?}", coverage.gaps);
}

/// A repository must not be backed up into itself.
#[test]
fn backrests_own_mounts_are_not_named() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("backups")).unwrap();
    let compose = "services: {backrest: {image: backrest, volumes: ['~/backups:/repos', '../../data:/userdata/data:ro']}}\n";
    sandbox.write("containers/backrest/compose.yaml", compose.replace('~', sandbox.home().to_str().unwrap()));
    assert_eq!(coverage(&sandbox).gaps, []);
}

#[test]
fn a_database_without_a_dump_or_beside_it_is_named() {
    let sandbox = Sandbox::new();
    let compose =
        "services: {db: {image: 'postgres:17', volumes: ['../../data/app/pg:/var/lib/postgresql/data']}}\n";
    sandbox.write("containers/app/compose.yaml", compose);
    sandbox.write("data/app/pg/x", "");
    let gap = only(&coverage(&sandbox), GapKind::LiveDatabase);
    assert_eq!(gap.hint.as_deref(), Some("new-container app --adopt"));
    // A script that declares no dump of a database may do anything: its files must not be left out.
    for script in ["#!/bin/sh\n", "#!/bin/sh\n# dump: files.tar.gz\n"] {
        sandbox.script("data/app/prepare-backup.sh", script);
        let gap = only(&coverage(&sandbox), GapKind::LiveDatabase);
        assert!(gap.what.contains("without a declared dump"), "{gap:?}");
        assert!(!gap.hint.unwrap().contains(".resticignore"));
    }
    sandbox.script("data/app/prepare-backup.sh", "#!/bin/sh\n# dump: app.sql.gz\n");
    let gap = only(&coverage(&sandbox), GapKind::LiveDatabase);
    assert!(gap.what.contains("beside its dump"), "{gap:?}");
    // The hint is the command that helps.
    let hint = gap.hint.unwrap();
    sandbox.run(sandbox.command("sh").args(["-c", &hint])).expect_success();
    assert_eq!(coverage(&sandbox).gaps, []);
}

#[test]
fn one_dump_is_not_enough_for_two_databases() {
    let sandbox = Sandbox::new();
    let compose = "services:\n  db: {image: 'postgres:17', volumes: ['../../data/app/pg:/var/lib/postgresql/data']}\n  \
                   other: {image: 'mariadb', volumes: ['../../data/app/my:/var/lib/mysql']}\n";
    sandbox.write("containers/app/compose.yaml", compose);
    sandbox.write("data/app/pg/x", "");
    sandbox.write("data/app/my/x", "");
    let what = |declared: &str| -> Vec<bool> {
        sandbox.script("data/app/prepare-backup.sh", format!("#!/bin/sh\n{declared}"));
        coverage(&sandbox).gaps.iter().map(|gap| gap.what.contains("beside its dump")).collect()
    };
    assert_eq!(what("# dump: pg.sql\n"), [false, false]);
    assert_eq!(what("# dump: pg.sql\n# dump: my.sql\n"), [true, true]);
}

#[test]
fn a_redis_without_a_volume_keeps_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("containers/app/compose.yaml", "services: {cache: {image: 'valkey/valkey:8'}}\n");
    assert_eq!(coverage(&sandbox).gaps, []);
}

#[test]
fn live_database_files_are_found_by_their_names() {
    let sandbox = Sandbox::new();
    sandbox.write("data/kuma/kuma.db", "x");
    sandbox.write("data/kuma/kuma.db-wal", "x");
    sandbox.write("data/stopped/a.db", "x");
    sandbox.write("data/stopped/a.db-wal", "x");
    sandbox.write("data/stopped/after-backup.sh", "x");
    let gap = only(&coverage(&sandbox), GapKind::LiveDatabase);
    assert!(gap.path.ends_with("data/kuma/kuma.db"), "{gap:?}");
    sandbox.write("data/kuma/.resticignore", "kuma.db*\n");
    assert_eq!(coverage(&sandbox).gaps, []);
}

#[test]
fn file_systems_below_a_root_and_missing_disks_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/f", "x");
    fs::create_dir_all(sandbox.path("data/disk")).unwrap();
    fs::create_dir_all(sandbox.path("data/away")).unwrap();
    let script = r#"
        mount -t tmpfs tmpfs "$HOME/data/disk" || exit 9
        echo "UUID=none $HOME/data/away ext4 defaults 0 2" > "$HOME/fstab"
        mount --bind "$HOME/fstab" /etc/fstab || exit 9
        exec "$PROGRAM" --coverage --json"#;
    let mut command = sandbox.command("unshare");
    command.args(["--mount", "--map-root-user", "bash", "-c", script]).env("PROGRAM", PROGRAM);
    let ran = sandbox.run(&mut command).expect_code(1);
    let coverage: Coverage = serde_json::from_str(&ran.stdout).unwrap();
    let mounted = only(&coverage, GapKind::OtherFileSystem);
    assert_eq!((mounted.path.ends_with("data/disk"), mounted.service.as_deref()), (true, Some("data/disk")));
    let away = only(&coverage, GapKind::UnmountedDisk);
    assert!(away.path.ends_with("data/away") && away.hint.unwrap().starts_with("sudo mount /"), "{ran:?}");
}

#[test]
fn an_empty_root_is_not_a_clean_run() {
    let sandbox = Sandbox::empty();
    fs::create_dir_all(sandbox.path("data")).unwrap();
    sandbox.write("containers/x/f", "");
    let gap = only(&coverage(&sandbox), GapKind::UnmountedDisk);
    assert!(gap.path.ends_with("/data") && gap.what.contains("empty"), "{gap:?}");
    let ran = sandbox.run(&mut sandbox.command(PROGRAM)).expect_success();
    assert!(ran.stderr.contains("/data: empty: is its disk mounted?"), "{}", ran.everything());
}

#[test]
fn a_run_names_only_what_is_new() {
    let sandbox = Sandbox::new();
    sandbox.write("disk/f", "");
    let run = || sandbox.run(&mut sandbox.command(PROGRAM)).expect_success().stderr;
    assert_eq!(run(), "");
    symlink(sandbox.path("disk"), sandbox.path("data/media")).unwrap();
    let printed = run();
    assert!(printed.contains("data/media -> ") && printed.lines().count() == 1, "{printed}");
    assert_eq!(run(), "");
}

/// A client `docker` that runs the real Compose plugin, as `docker compose` does.
#[track_caller]
fn with_compose(sandbox: &Sandbox) -> std::process::Command {
    let in_workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/tools/docker-compose-trixie/usr/libexec/docker/cli-plugins/docker-compose");
    let plugin = std::env::var_os("COMPOSE_PLUGIN").map_or(in_workspace, PathBuf::from);
    assert!(plugin.is_file(), "no Compose at {}: `cargo xtask test` puts it there", plugin.display());
    sandbox.script("programs/docker", format!("#!/bin/sh\nshift\nexec '{}' \"$@\"\n", plugin.display()));
    let mut command = sandbox.command(PROGRAM);
    command.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("programs").display()));
    command
}

#[test]
fn compose_itself_is_asked_what_a_project_mounts() {
    let sandbox = Sandbox::new();
    sandbox.write("containers/tv/disks.env", "FILMS=/mnt/films\n");
    sandbox.write(
        "containers/tv/compose.yaml",
        "include: [{path: more.yaml, env_file: disks.env}]\nservices: {tv: {image: x}}\n",
    );
    sandbox.write(
        "containers/tv/more.yaml",
        "services: {films: {image: x, profiles: [all], volumes: ['${FILMS}/a$$b:/films']}}\n",
    );
    sandbox.write("data/tv/a", "");
    let answer = |command: &mut std::process::Command| -> Coverage {
        let ran = sandbox.run(command.args(["--coverage", "--json"]));
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{}", ran.everything()))
    };
    let asked = answer(&mut with_compose(&sandbox));
    assert_eq!(only(&asked, GapKind::BindMount).path, "/mnt/films/a$b");
    // Compose refuses a project that lacks a variable it requires; what can be read still counts.
    sandbox.write(
        "containers/tv/compose.yaml",
        "services: {tv: {image: '${X:?set it}', volumes: [/mnt/other:/o]}}\n",
    );
    let refused = answer(&mut with_compose(&sandbox));
    assert_eq!(only(&refused, GapKind::BindMount).path, "/mnt/other");
}
