//! Homes whose roots are not two folders side by side: what is written, counted and reported in each.

use std::fs;

use common::contract::coverage::Coverage;
use common::testing::{Ran, Sandbox};
use serde_json::Value;

use crate::command_line::PROGRAM;

/// A home with these two roots below it.
struct Home {
    sandbox: Sandbox,
    containers: &'static str,
    data: &'static str,
}

impl Home {
    #[track_caller]
    fn new(containers: &'static str, data: &'static str) -> Home {
        Home { sandbox: Sandbox::empty(), containers, data }
    }

    #[must_use]
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.sandbox.command(PROGRAM);
        command.env("CONTAINER_ROOT", self.sandbox.path(self.containers));
        command.env("DATA_ROOT", self.sandbox.path(self.data));
        self.sandbox.run(command.args(arguments))
    }
}

/// `containers` and `data`, and where a pattern of `data/wiki` begins.
const NESTED: [(&str, &str, &str); 5] = [
    ("srv", "srv/data", "/userdata/containers/data/wiki"),
    ("srv", "srv/.data", "/userdata/containers/.data/wiki"),
    ("srv", "srv/x/y/data", "/userdata/containers/x/y/data/wiki"),
    ("srv", "srv/app", "/userdata/containers/app/wiki"),
    ("data/x/y/containers", "data", "/userdata/data/wiki"),
];

#[test]
fn services_of_a_root_in_the_other_one_have_sections_of_their_own() {
    for (containers, data, base) in NESTED {
        let home = Home::new(containers, data);
        let write =
            |root: &str, path: &str, content: &str| home.sandbox.write(format!("{root}/{path}"), content);
        write(data, "wiki/.resticignore", "cache/\n*.log\n");
        write(data, "wiki/cache/junk", "x");
        write(data, "wiki/1.log", "x");
        write(data, "wiki/page", "x");
        write(data, "blog/page", "x");
        write(containers, "wiki/.resticignore", "*.log\n!keep.log\n");
        write(containers, "wiki/keep.log", "x");
        let pg = home.sandbox.path(data).join("wiki/db");
        let compose = format!(
            "services: {{db: {{image: postgres, volumes: ['{}:/var/lib/postgresql/data']}}}}\n",
            pg.display()
        );
        write(containers, "wiki/compose.yaml", &compose);
        // A rule above both roots holds in both.
        let outer = if containers.starts_with("data") { data } else { containers };
        write(outer, ".resticignore", "*.bak\n");
        write(containers, "wiki/a.bak", "x");
        write(data, "wiki/a.bak", "x");
        fs::create_dir_all(home.sandbox.path(containers).join("backrest")).unwrap();

        let ran = home.run(&[]).expect_success();
        assert!(ran.stdout.contains("3 services with 5 rules"), "{}", ran.everything());
        let text = home.sandbox.read(format!("{containers}/backrest/ignorefile.txt"));
        let lines: Vec<&str> =
            text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        let unique: std::collections::BTreeSet<_> = lines.iter().collect();
        assert_eq!(unique.len(), lines.len(), "a line is written twice: {text}");
        assert!(lines.contains(&format!("{base}/cache/*").as_str()), "{text}");
        for service in ["data/wiki", "containers/wiki"] {
            assert!(text.contains(&format!("# == {service} (")), "{text}");
        }

        let ran = home.run(&["--report", "--json"]).expect_success();
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let files = |service: &str| {
            let numbers = &report["services"][service];
            [&numbers["files_kept"], &numbers["files_left_out"]].map(|count| count.as_u64().unwrap())
        };
        assert_eq!(files("data/wiki"), [2, 3], "{report:#}");
        assert_eq!(files("data/blog"), [1, 0], "{report:#}");
        assert_eq!(files("containers/wiki"), [3, 1], "{report:#}");
        let total: u64 =
            ["files_kept", "files_left_out"].map(|name| report["total"][name].as_u64().unwrap()).iter().sum();
        let on_disk = crate::oracle::all_files(&home.sandbox.home()).len() as u64;
        assert_eq!(total, on_disk, "{report:#}");

        // The compose file is found however deep its root lies.
        let ran = home.run(&["--coverage", "--json"]).expect_code(1);
        let coverage: Coverage = serde_json::from_str(&ran.stdout).unwrap();
        let services: Vec<_> = coverage.gaps.iter().map(|gap| gap.service.as_deref()).collect();
        assert_eq!(services, [Some("containers/wiki")], "{coverage:#?}");

        // Rules that vanish are noticed as those of the service.
        fs::remove_file(home.sandbox.path(data).join("wiki/.resticignore")).unwrap();
        let ran = home.run(&[]).expect_success();
        assert!(ran.stderr.contains("data/wiki"), "{}", ran.everything());
    }
}
