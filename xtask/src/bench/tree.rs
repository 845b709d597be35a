//! The homes that are measured: services with rules, and files a few folders deep.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A home.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) services: usize,
    /// Of each service. The first of each thousand holds 10,000 bytes, the others nothing.
    pub(super) files: usize,
    /// In one folder.
    pub(super) together: usize,
    /// The ends of their names, in turn.
    pub(super) endings: &'a [&'a str],
    /// The text of each service's `.resticignore`.
    pub(super) rules: &'a str,
}

/// Services without files or rules.
pub(super) const EMPTY: Tree<'_> = Tree { services: 1, files: 0, together: 50, endings: &["jpg"], rules: "" };

pub(super) fn service(number: usize) -> String {
    format!("service-{number:04}")
}

impl Tree<'_> {
    pub(super) fn make(&self, home: &Path) -> Result<()> {
        fs::create_dir_all(home.join("containers/backrest")).context("make Backrest's folder")?;
        for number in 0..self.services {
            let root = home.join("data").join(service(number));
            for folder in [&root, &home.join("containers").join(service(number))] {
                fs::create_dir_all(folder).context("make a service")?;
            }
            for file in 0..self.files {
                let group = file / self.together;
                let folder = root.join(format!("library/{}/{group}", group % 7));
                if file % self.together == 0 {
                    fs::create_dir_all(&folder).context("make a folder")?;
                }
                let content = if file % 1000 == 0 { "x".repeat(10_000) } else { String::new() };
                let name = format!("file-{file:07}.{}", self.endings[file % self.endings.len()]);
                fs::write(folder.join(name), content).context("make a file")?;
            }
            if !self.rules.is_empty() {
                fs::write(root.join(".resticignore"), self.rules).context("write the rules")?;
            }
        }
        Ok(())
    }
}
