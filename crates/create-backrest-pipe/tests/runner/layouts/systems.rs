//! The systems of docs/layouts.md that have their own ways: Synology, Unraid, TrueNAS, rootless containers, Portainer.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;

use super::Layout;

/// Scripts that others may have written do not run until their folder is trusted, and nothing else is different.
#[track_caller]
fn trusted_only_on_demand(layout: &Layout, mounts: &[(&str, &str)]) {
    let refused = layout.run("pre-backup-actions", &["--list"]).expect_code(1);
    assert!(
        refused.stdout.contains("wiki: ") && refused.stdout.contains("TRUSTED_FOLDERS"),
        "{}",
        refused.everything()
    );
    let env = layout.outside(&layout.containers).join("backrest/.env");
    let env = env.canonicalize().unwrap_or(env);
    let text = fs::read_to_string(&env).unwrap() + &format!("TRUSTED_FOLDERS={}\n", layout.data);
    fs::write(&env, text).unwrap();
    // A user who can write the settings could trust anyone.
    fs::set_permissions(&env, Permissions::from_mode(0o666)).unwrap();
    layout.run("pre-backup-actions", &["--list"]).expect_code(1);
    fs::set_permissions(&env, Permissions::from_mode(0o600)).unwrap();
    layout.every_tool_works(mounts);
}

#[test]
fn synology_with_its_own_folders_and_open_modes() {
    let layout = Layout::new("/srv/volume1/docker", "/srv/volume1/docker");
    let root = layout.data.clone();
    for file in
        ["@eaDir/x@SynoEAStream", "#recycle/old", "wiki/@eaDir/page@SynoEAStream", "wiki/keep/@eaDir/x"]
    {
        layout.write(&root, file, "x");
    }
    layout.write(&root, ".resticignore", "@eaDir/\n\\#recycle/\n");
    for folder in ["", "wiki"] {
        layout.mode(&root, folder, 0o777);
    }
    layout.init(&layout.roots_as_flags());
    trusted_only_on_demand(&layout, &[(&root, "data")]);
    let patterns = layout.home.sandbox.read("patterns");
    assert!(patterns.contains("@eaDir") && patterns.contains("#recycle"), "{patterns}");
}

#[test]
fn unraid_with_projects_on_the_flash_drive() {
    let layout = Layout::new("/boot/config/plugins/compose.manager/projects", "/mnt/user/appdata");
    for folder in ["", "wiki"] {
        layout.mode("/mnt/user/appdata", folder, 0o777);
    }
    let flags =
        [&layout.roots_as_flags()[..], &["--container-dir", "/mnt/user/appdata/backrest-host"]].concat();
    layout.init(&flags);
    let refused = layout.run("pre-backup-actions", &["--list"]).expect_code(1);
    assert!(refused.stdout.contains("wiki: "), "{}", refused.everything());
    // In the project's folder it works the same.
    let [from, to] =
        [&layout.data, &layout.containers].map(|root| layout.outside(root).join("wiki/prepare-backup.sh"));
    fs::rename(from, to).unwrap();
    let ran = layout.run("pre-backup-actions", &["--only", "wiki"]).expect_success();
    assert!(ran.stdout.contains("1 ok"), "{}", ran.everything());
}

#[test]
fn truenas_with_a_dataset_for_each_service() {
    let mut layout = Layout::new("/mnt/tank/stacks", "/mnt/tank/stacks");
    let home = layout.home.sandbox.home();
    fs::rename(home.join("fs/mnt/tank/stacks/wiki"), home.join("dataset")).unwrap();
    fs::create_dir(home.join("fs/mnt/tank/stacks/wiki")).unwrap();
    layout.mounts.push(format!("mount --bind {} /mnt/tank/stacks/wiki", home.join("dataset").display()));
    layout.init(&layout.roots_as_flags());
    layout.every_tool_works(&[("/mnt/tank/stacks", "data")]);
    let status = layout.run("create-backrest-pipe", &["status"]);
    assert!(status.stdout.contains("/mnt/tank/stacks/wiki: another file system"), "{}", status.everything());
}

/// What a container writes belongs to a subordinate uid, whose folders the user may not enter. Backrest can.
#[test]
fn rootless_with_folders_of_other_uids() {
    let mut layout = Layout::new("/srv/x", "/srv/x");
    let home = layout.home.sandbox.home();
    let roots = ["containers", "data"].map(|root| home.join(root).display().to_string());
    fs::rename(home.join("fs/srv/x"), &roots[1]).unwrap();
    [layout.containers, layout.data] = roots;
    layout.is_rootless = true;
    let (data, containers) = (layout.data.clone(), layout.containers.clone());
    layout.write(&data, "wiki/files/a.log", "x");
    layout.write(&data, "wiki/files/cache/x", "x");
    layout.write(&data, "blog/a.log", "x");
    layout.write(&data, "blog/.resticignore", "*.log\n");
    layout.write(&containers, "wiki/compose.yaml", "services: {}\n");
    fs::rename(home.join("data/wiki/compose.yaml"), home.join("containers/wiki/compose.yaml")).unwrap();
    let closed = ["wiki/db", "wiki/files", "blog"];
    if geteuid().is_root() {
        let top = home.parent().unwrap();
        fs::set_permissions(top, Permissions::from_mode(0o755)).unwrap();
        let chown = |owner: &str, path: &Path| {
            let status = Command::new("chown").args(["-hR", owner]).arg(path).status().unwrap();
            assert!(status.success());
        };
        chown("65534:65534", &home);
        chown("65534:65534", &top.join("tmp"));
        closed.iter().for_each(|folder| chown("100999:100999", &home.join("data").join(folder)));
    }
    let close = |mode: u32| {
        let mode = if geteuid().is_root() { 0o700 } else { mode };
        closed.iter().for_each(|folder| layout.mode(&data, folder, mode));
    };
    close(0o000);
    layout.init(&[]);
    let ran = layout.run("build-ignore", &[]).expect_success();
    for folder in ["wiki/files", "blog"] {
        let help = format!(
            "sudo setfacl -m u:{}:rx {data}/{folder}",
            if geteuid().is_root() { 65534 } else { geteuid().as_raw() }
        );
        assert!(ran.stderr.contains(&help), "{}", ran.everything());
    }
    // A folder without a known script does not stop the backup; scripts beside the compose file run.
    let ran = layout.run("pre-backup-actions", &[]).expect_success();
    assert!(ran.stdout.contains("1 ok") && ran.stderr.contains("blog"), "{}", ran.everything());
    let status = layout.run("create-backrest-pipe", &["status"]);
    assert!(status.stdout.contains(&format!("{data}/blog")), "{}", status.everything());
    let patterns = home.join("patterns");
    layout
        .run("build-ignore", &["--mount", home.to_str().unwrap(), "--output", patterns.to_str().unwrap()])
        .expect_success();
    close(0o755);
    let mut restic = layout.home.sandbox.command("sh");
    let backup =
        "restic init --quiet && restic backup --quiet --exclude-file patterns data && restic ls latest";
    restic.args(["-c", backup]).env("RESTIC_PASSWORD", "x").env("RESTIC_REPOSITORY", home.join("repository"));
    let listed = layout.home.sandbox.run(&mut restic).expect_success();
    let has = |path: &str| listed.stdout.lines().any(|line| line.ends_with(path));
    // A rule by its path holds for a folder that is not seen; by name alone nothing in it is left out.
    assert!(!has("/data/wiki/db/PG_VERSION") && !has("/data/wiki/a.log"), "{}", listed.stdout);
    assert!(
        has("/data/wiki/files/a.log") && has("/data/wiki/files/cache/x") && has("/data/blog/a.log"),
        "{}",
        listed.stdout
    );
}

/// Its compose files are in a volume, so only the container's name is known. The script is the one of the page.
#[test]
fn portainer_with_files_in_a_folder_and_projects_in_a_volume() {
    let layout = Layout::new("/srv/containers", "/opt");
    fs::remove_dir_all(layout.outside("/srv/containers/wiki")).unwrap();
    let page = include_str!("../../../../../docs/layouts.md");
    let (_, section) = page.split_once("\n## Portainer\n").unwrap();
    let script = section.split("```").nth(1).unwrap().strip_prefix("sh\n").unwrap();
    layout.write("/opt", "wiki/prepare-backup.sh", script);
    layout.init(&layout.roots_as_flags());
    let dump =
        "--\n-- PostgreSQL database dump\n--\nSET x = 1;\n--\n-- PostgreSQL database dump complete\n--\n";
    layout.home.sandbox.script(
        "programs/docker",
        format!("#!/bin/sh\n[ \"$1 $2\" = 'exec wiki-database-1' ] && cat <<'END'\n{dump}END\n"),
    );
    let mut command = layout.inside(layout.home.sandbox.path(".local/bin/pre-backup-actions"));
    command.env("PATH", format!("{}:/usr/bin:/bin", layout.home.sandbox.path("programs").display()));
    let ran = layout.home.sandbox.run(command.args(["--only", "wiki"])).expect_success();
    assert!(ran.stdout.contains("1 ok"), "{}", ran.everything());
    assert_eq!(layout.home.sandbox.read("fs/opt/wiki/database.sql"), dump);
    layout.run("build-ignore", &[]).expect_success();
    layout.backup_is_as_git_says(&[("/opt", "data"), ("/srv/containers", "containers")]);
}
