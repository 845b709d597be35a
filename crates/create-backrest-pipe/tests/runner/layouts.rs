//! Each layout of docs/layouts.md as a real tree at its real place, and every tool run in it: what is set up, prepared,
//! left out, counted and backed up, with git, restic and Compose as oracles.
//!
//! `/opt`, `/srv`, `/mnt` and `/boot` are folders of the sandbox, in a mount namespace.

mod systems;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::testing::{Ran, built};
use nix::unistd::geteuid;
use serde_json::Value;

use crate::compose::mounts_of;
use crate::home::Home;

/// Files by their path in the backup, without the mount.
type Files = BTreeSet<String>;

struct Layout {
    home: Home,
    containers: String,
    data: String,
    /// What else is mounted: a line of a shell each.
    mounts: Vec<String>,
    /// The tools are run by an ordinary user outside of the namespace, to whom the home belongs.
    is_rootless: bool,
}

impl Layout {
    /// A bare home, and the two roots with a service each.
    #[track_caller]
    fn new(containers: &str, data: &str) -> Layout {
        let home = Home::new();
        for tool in ["build-ignore", "pre-backup-actions", "new-container"] {
            home.install(tool, &built(tool, tool));
        }
        for root in ["containers", "data"] {
            fs::remove_dir_all(home.sandbox.path(root)).unwrap();
        }
        for place in ["opt", "srv", "mnt", "boot"] {
            fs::create_dir_all(home.sandbox.path("fs").join(place)).unwrap();
        }
        let layout = Layout {
            home,
            containers: containers.into(),
            data: data.into(),
            mounts: Vec::new(),
            is_rootless: false,
        };
        for root in [&layout.containers, &layout.data] {
            fs::create_dir_all(layout.outside(root)).unwrap();
        }
        let compose =
            "services: {db: {image: 'postgres:17', volumes: ['DATA/wiki/db:/var/lib/postgresql/data']}}\n";
        layout.write(containers, "wiki/compose.yaml", &compose.replace("DATA", data));
        layout.write(data, "wiki/.resticignore", "/db/\ncache/\n*.log\n!keep.log\n");
        for file in ["db/PG_VERSION", "cache/junk", "a.log", "keep.log", "page", "deep/cache/junk"] {
            layout.write(data, &format!("wiki/{file}"), "x");
        }
        layout.write(data, ".hidden/.resticignore", "*.tmp\n");
        layout.write(data, ".hidden/a.tmp", "x");
        layout.write(data, ".hidden/kept", "x");
        layout.write(
            data,
            "wiki/prepare-backup.sh",
            "#!/bin/sh\n# dump: pg.json kind=json\necho '[1, 2, 3]' > \"$DUMP_DIR/pg.json\"\n",
        );
        layout.mode(data, "wiki/prepare-backup.sh", 0o755);
        layout
    }

    /// Where a path of the namespace lies outside of it.
    #[track_caller]
    fn outside(&self, path: &str) -> PathBuf {
        match path.strip_prefix('/').filter(|_| !Path::new(path).starts_with(self.home.sandbox.home())) {
            Some(below) => self.home.sandbox.path("fs").join(below),
            None => PathBuf::from(path),
        }
    }

    #[track_caller]
    fn write(&self, root: &str, path: &str, content: &str) {
        self.home.sandbox.write(self.outside(root).join(path), content);
    }

    #[track_caller]
    fn mode(&self, root: &str, path: &str, mode: u32) {
        fs::set_permissions(self.outside(root).join(path), Permissions::from_mode(mode)).unwrap();
    }

    fn inside(&self, program: impl AsRef<Path>) -> Command {
        let script = r#"for d in opt srv mnt boot; do mount --bind "$HOME/fs/$d" /$d || exit 9; done
            mount --bind "$HOME/.crontabs" /var/spool/cron/crontabs || exit 9
            eval "$MOUNTS" && exec "$@""#;
        let mut command = self.home.sandbox.command("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]).arg(program.as_ref());
        command.env(
            "MOUNTS",
            ["true"]
                .into_iter()
                .chain(self.mounts.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(" && "),
        );
        command
    }

    #[must_use]
    #[track_caller]
    fn run(&self, tool: &str, arguments: &[&str]) -> Ran {
        let program = self.home.sandbox.path(".local/bin").join(tool);
        let mut command = match self.is_rootless {
            true if geteuid().is_root() => {
                let mut command = self.home.sandbox.command("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
                command
            }
            true => self.home.sandbox.command(program),
            false => self.inside(program),
        };
        self.home.sandbox.run(command.args(arguments))
    }

    /// `init`, which finds the roots or is given them, and is complete the first time.
    #[track_caller]
    fn init(&self, flags: &[&str]) {
        let arguments = [&["init", "--yes", "--supervisor", "none"], flags].concat();
        self.run("create-backrest-pipe", &arguments).expect_success();
        let again =
            self.run("create-backrest-pipe", &["init", "--yes", "--supervisor", "none"]).expect_success();
        assert!(again.stdout.contains("nothing was changed"), "{}", again.everything());
    }

    fn roots_as_flags(&self) -> [&str; 4] {
        ["--container-root", &self.containers, "--data-root", &self.data]
    }

    /// Every tool, after `init`. `mounts` are the roots that the container sees, each with its name.
    #[track_caller]
    fn every_tool_works(&self, mounts: &[(&str, &str)]) {
        self.container_sees(mounts);
        self.run("new-container", &["app", "--database", "postgres"]).expect_success();
        for file in [&self.containers, "/app/compose.yaml", &self.data, "/app/prepare-backup.sh"].chunks(2) {
            self.home.sandbox.run(self.inside("test").args(["-f", &file.concat()])).expect_success();
        }
        self.run("new-container", &["app"]).expect_code(1);
        let ran = self.run("pre-backup-actions", &["--only", "wiki"]).expect_success();
        assert!(ran.stdout.contains("1 ok"), "{}", ran.everything());
        self.run("build-ignore", &[]).expect_success();
        self.run("build-ignore", &["--check"]).expect_success();
        let left_out = format!("{}/wiki/cache/junk", self.data);
        self.run("build-ignore", &["--explain", &left_out]).expect_success();
        self.each_file_is_counted_once(mounts);
        self.backup_is_as_git_says(mounts);
        let status = self.run("create-backrest-pipe", &["status"]);
        for line in ["✓ settings", "✓ ignore"] {
            assert!(status.stdout.contains(line), "{line}: {}", status.everything());
        }
        // The database of wiki has its dump, and its live files are left out.
        assert!(!status.stdout.contains("PostgreSQL"), "{}", status.everything());
    }

    #[track_caller]
    fn container_sees(&self, mounts: &[(&str, &str)]) {
        let mut compose = self.inside("docker-compose");
        let folder = format!("{}/backrest", self.containers);
        compose.args(["--project-directory", &folder, "--file", &format!("{folder}/compose.yaml"), "config"]);
        let config = self.home.sandbox.run(&mut compose).expect_success();
        let seen: Vec<String> =
            mounts_of(&config).into_iter().filter(|mount| mount.contains(":/userdata")).collect();
        let expected: Vec<String> =
            mounts.iter().map(|(root, name)| format!("{root}:/userdata/{name}:ro")).collect();
        assert_eq!(seen, expected, "{}", config.everything());
    }

    #[track_caller]
    fn each_file_is_counted_once(&self, mounts: &[(&str, &str)]) {
        let ran = self.run("build-ignore", &["--report", "--json"]).expect_success();
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let counted: u64 =
            ["files_kept", "files_left_out"].map(|name| report["total"][name].as_u64().unwrap()).iter().sum();
        let mut find = self.inside("find");
        find.args(mounts.iter().map(|(root, _)| format!("{root}/"))).args(["!", "-type", "d"]);
        let found = self.home.sandbox.run(&mut find).expect_success();
        assert_eq!(counted, found.stdout.lines().count() as u64, "{report:#}\n{}", found.stdout);
        for service in ["wiki", ".hidden"] {
            assert!(report["services"][format!("data/{service}")].is_object(), "{report:#}");
        }
    }

    #[track_caller]
    fn backup_is_as_git_says(&self, mounts: &[(&str, &str)]) {
        let seen = self.home.sandbox.path("seen").display().to_string();
        let (file, git) = (self.home.sandbox.path("patterns"), self.home.sandbox.path("git"));
        self.run("build-ignore", &["--mount", &seen, "--output", file.to_str().unwrap()]).expect_success();
        let binds: Vec<String> = mounts
            .iter()
            .map(|(root, name)| format!("mkdir -p {seen}/{name} && mount --rbind {root}/ {seen}/{name}"))
            .collect();
        let backup = format!(
            "{} && restic init --quiet && restic backup --quiet --exclude-file {} {seen} && restic ls --json latest",
            binds.join(" && "),
            file.display()
        );
        let mut restic = self.inside("sh");
        restic
            .args(["-c", &backup])
            .env("RESTIC_PASSWORD", "x")
            .env("RESTIC_REPOSITORY", self.home.sandbox.path("repository"));
        let listed = self.home.sandbox.run(&mut restic).expect_success();
        let nodes = listed.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let backed_up: Files = nodes
            .filter(|node| node["struct_type"] == "node" && node["type"] != "dir")
            .map(|node| node["path"].as_str().unwrap()[seen.len() + 1..].to_string())
            .collect();
        let mut kept = Files::new();
        self.home
            .sandbox
            .run(self.home.sandbox.command("git").args(["init", "--quiet", "--bare"]).arg(&git))
            .expect_success();
        for (root, name) in mounts {
            let list = format!(
                "cd {root}/ && git --git-dir={} --work-tree=. -c core.bare=false ls-files --others --exclude-per-directory=.resticignore -z",
                git.display()
            );
            let listed = self.home.sandbox.run(self.inside("sh").args(["-c", &list])).expect_success();
            kept.extend(
                listed
                    .stdout
                    .split('\0')
                    .filter(|path| !path.is_empty())
                    .map(|path| format!("{name}/{path}")),
            );
        }
        let lost: Vec<_> = kept.difference(&backed_up).collect();
        let extra: Vec<_> = backed_up.difference(&kept).collect();
        assert!(
            lost.is_empty() && extra.is_empty(),
            "lost {lost:?}, extra {extra:?}\n{}",
            self.home.sandbox.read("patterns")
        );
        assert!(kept.iter().any(|path| path.ends_with("wiki/keep.log")), "{kept:?}");
    }
}

#[test]
fn one_folder_for_both_is_found_where_people_have_it() {
    for root in ["/opt/stacks", "/srv/docker", "/mnt/user/appdata"] {
        let layout = Layout::new(root, root);
        let status = layout.run("create-backrest-pipe", &["status"]);
        let proposed = format!("create-backrest-pipe init --container-root {root} --data-root {root}\n");
        assert!(status.stdout.contains(&proposed), "{}", status.everything());
        layout.init(&[]);
        let status = layout.run("create-backrest-pipe", &["status"]);
        assert!(!status.stdout.contains("which is not a root"), "{}", status.everything());
        layout.every_tool_works(&[(root, "data")]);
    }
}

#[test]
fn a_root_in_the_other_one_works_with_every_tool() {
    for (containers, data, mount) in [
        ("/srv/docker", "/srv/docker/data", "containers"),
        ("/srv/docker", "/srv/docker/.a/b/data", "containers"),
        ("/mnt/data/containers", "/mnt/data", "data"),
    ] {
        let layout = Layout::new(containers, data);
        layout.init(&layout.roots_as_flags());
        layout.every_tool_works(&[(if mount == "data" { data } else { containers }, mount)]);
    }
}

#[test]
fn disks_and_links_are_followed_to_the_roots() {
    // The data root is a disk of its own; so is a service folder.
    let mut layout = Layout::new("/srv/containers", "/mnt/disk/data");
    for (disk, place) in [("disk", "/mnt/disk"), ("films", "/mnt/disk/data/films")] {
        let from = layout.home.sandbox.path(disk);
        fs::create_dir_all(&from).unwrap();
        layout.mounts.push(format!("mount --bind {} {place}", from.display()));
    }
    let home = layout.home.sandbox.home();
    fs::rename(home.join("fs/mnt/disk/data"), home.join("disk/data")).unwrap();
    fs::create_dir_all(home.join("disk/data/films")).unwrap();
    fs::write(home.join("films/film"), "x").unwrap();
    layout.init(&layout.roots_as_flags());
    layout.every_tool_works(&[("/mnt/disk/data", "data"), ("/srv/containers", "containers")]);
    let status = layout.run("create-backrest-pipe", &["status"]);
    assert!(status.stdout.contains("/mnt/disk/data/films: another file system"), "{}", status.everything());
}

#[test]
fn roots_that_are_links_work_with_every_tool() {
    let layout = Layout::new("/srv/containers", "/mnt/disk/data");
    let home = layout.home.sandbox.home();
    symlink("/srv/containers", home.join("containers")).unwrap();
    symlink("/mnt/disk/data", home.join("data")).unwrap();
    layout.init(&[]);
    let [containers, data] = ["containers", "data"].map(|name| home.join(name).display().to_string());
    let layout = Layout { containers, data, ..layout };
    layout.every_tool_works(&[(&layout.data, "data"), (&layout.containers, "containers")]);
}

/// A Backrest was set up before the services came.
#[test]
fn a_folder_of_services_that_is_no_root_is_proposed() {
    let layout = Layout::new("/opt/stacks", "/opt/stacks");
    layout.home.sandbox.write("containers/backrest/.env", "TZ=UTC\n");
    layout.home.sandbox.write("containers/backrest/compose.yaml", "services: {}\n");
    let status = layout.run("create-backrest-pipe", &["status"]);
    let proposed = "add the lines CONTAINER_ROOT=/opt/stacks and DATA_ROOT=/opt/stacks to ";
    assert!(status.stdout.contains(proposed), "{}", status.everything());
    layout.home.sandbox.write("containers/mine/compose.yaml", "services: {}\n");
    let status = layout.run("create-backrest-pipe", &["status"]);
    assert!(!status.stdout.contains(proposed), "{}", status.everything());
}
