//! Where everything is: flag, then environment, then Backrest's own `.env`, then the default.
//!
//! What a reader gets wrong: `DATA_DIR` and `CONTAINER_DIR` are taken from `.env` but never from the process's
//! environment, because every service's `.env` sets variables of these names for itself. Relative paths in `.env`
//! lie below the folder of that file, as they do for Compose; those in a flag or in the environment below the
//! working directory.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::env_file::{self, Value};
use crate::exit::{self, HintExt};
use crate::layout::Layout;
use crate::paths;
use crate::problem::Problem;
use crate::regular_file;
use crate::text::escape_path;

/// The flags that every tool has. Not given: environment, `.env`, default.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Locations")]
pub struct Flags {
    /// Folder with one folder per service that holds its compose.yaml [env: CONTAINER_ROOT] [default: ~/containers]
    #[arg(long, value_name = "DIR", global = true)]
    pub container_root: Option<PathBuf>,
    /// Folder with one folder per service that holds its data [env: DATA_ROOT] [default: ~/data]
    #[arg(long, value_name = "DIR", global = true)]
    pub data_root: Option<PathBuf>,
    /// Backrest's folder in the container root [default: <container root>/backrest]
    #[arg(long, value_name = "DIR", global = true)]
    pub container_dir: Option<PathBuf>,
    /// Backrest's folder in the data root [default: <data root>/backrest]
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
}

impl Flags {
    /// The flags that make another tool work in the same places.
    pub fn of(settings: &Settings) -> Flags {
        Flags {
            container_root: Some(settings.container_root.clone()),
            data_root: Some(settings.data_root.clone()),
            container_dir: Some(settings.container_dir.clone()),
            data_dir: Some(settings.data_dir.clone()),
        }
    }

    /// The flags that are given, as arguments.
    pub fn to_arguments(&self) -> Vec<OsString> {
        let flags = [
            ("--container-root", &self.container_root),
            ("--data-root", &self.data_root),
            ("--container-dir", &self.container_dir),
            ("--data-dir", &self.data_dir),
        ];
        let given = flags.into_iter().filter_map(|(flag, value)| Some((flag, value.as_ref()?)));
        given.flat_map(|(flag, value)| [OsString::from(flag), value.clone().into_os_string()]).collect()
    }
}

/// A value that must not be shown: it has no `Display`, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A value that must not be shown.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// The value, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Everything a tool needs to know about where it works. All paths are absolute.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `~/containers`.
    pub container_root: PathBuf,
    /// `~/data`.
    pub data_root: PathBuf,
    /// Backrest's folder in the container root.
    pub container_dir: PathBuf,
    /// Backrest's folder in the data root.
    pub data_dir: PathBuf,
    /// Where Backrest sees both roots, as `data` and `containers`; `/userdata`.
    pub mount: PathBuf,
    /// The unified ignore file.
    pub ignore_file: PathBuf,
    /// Backrest's `.env`, which may not exist.
    pub env_file: PathBuf,
    /// What could not be used in `.env`; to be shown once.
    pub problems: Vec<Problem>,
    others: BTreeMap<String, String>,
}

impl Settings {
    /// The settings of the same places as they are now: the user may change them while a tool runs.
    pub fn again(&self) -> Result<Settings> {
        Settings::load(&Flags::of(self), None, None)
    }

    /// Where the tools' own files lie.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.container_dir)
    }

    /// A call of another of the tools with these words, in the same places.
    pub fn command(&self, tool: &str, words: &[&str]) -> Command {
        let mut command = Command::new(paths::tool(tool));
        command.args(words).args(Flags::of(self).to_arguments());
        command
    }

    /// Reads environment and `.env`. `mount` and `output` are the flags that only some tools have.
    ///
    /// Fails if a default needs the home and there is none, and if the mount is not absolute. A `.env` that
    /// can't be read is a problem in the result, not an error.
    pub fn load(flags: &Flags, mount: Option<&Path>, output: Option<&Path>) -> Result<Settings> {
        let here = env::current_dir().context("find the working directory")?;
        let under_home = |name: &str| paths::home().map(|home| home.join(name));
        let given_root =
            flags.container_root.clone().or_else(|| environment("CONTAINER_ROOT").map(PathBuf::from));
        let env_folder = match (&flags.container_dir, given_root) {
            (Some(folder), _) => paths::absolute(folder, &here)?,
            (None, Some(root)) => paths::absolute(&root, &here)?.join("backrest"),
            (None, None) => under_home("containers")?.join("backrest"),
        };
        let env_file = env_folder.join(".env");
        let (values, mut problems) = read_env_file(&env_file);
        let value = |name: &str| values.get(name).filter(|value| !value.text.is_empty());
        let mut place = |flag: Option<&Path>, name: &str, default: &dyn Fn() -> Result<PathBuf>| {
            let in_environment =
                || environment(name).filter(|_| !is_set_by_services(name)).map(PathBuf::from);
            if let Some(given) = flag.map(Path::to_path_buf).or_else(in_environment) {
                return paths::absolute(&given, &here);
            }
            let Some(value) = value(name) else { return default() };
            paths::absolute(Path::new(&value.text), &env_folder).or_else(|error| {
                problems.push(Problem::at_line(&env_file, value.line, exit::one_line(&error)));
                default()
            })
        };
        let container_root =
            place(flags.container_root.as_deref(), "CONTAINER_ROOT", &|| under_home("containers"))?;
        let data_root = place(flags.data_root.as_deref(), "DATA_ROOT", &|| under_home("data"))?;
        let container_dir =
            place(flags.container_dir.as_deref(), "CONTAINER_DIR", &|| Ok(container_root.join("backrest")))?;
        let data_dir = place(flags.data_dir.as_deref(), "DATA_DIR", &|| Ok(data_root.join("backrest")))?;
        exit::know([&container_root, &container_dir, &data_root, &data_dir].map(Clone::clone));
        let ignore_file = place(output, "IGNORE_FILE", &|| Ok(container_dir.join("ignorefile.txt")))?;
        let mount = mount
            .map(Path::to_path_buf)
            .or_else(|| environment("BACKUP_MOUNT").map(PathBuf::from))
            .or_else(|| value("BACKUP_MOUNT").map(|value| PathBuf::from(&value.text)))
            .unwrap_or_else(|| PathBuf::from("/userdata"));
        if !mount.is_absolute() {
            return Err(anyhow::anyhow!("the mount is not an absolute path: {}", escape_path(&mount)))
                .hint("give the folder inside the container, such as --mount /userdata");
        }
        let others: BTreeMap<_, _> = values.into_iter().map(|(name, value)| (name, value.text)).collect();
        Ok(Settings {
            container_root,
            data_root,
            container_dir,
            data_dir,
            mount: paths::normal(&mount),
            ignore_file,
            env_file,
            problems,
            others,
        })
    }

    /// Where to push to for `plan`: the address of the plan if it has one, otherwise the one for all. With it comes the
    /// name of the setting that holds it.
    pub fn push_address(&self, plan: Option<&str>) -> Option<(String, Secret)> {
        let names = plan.map(push_setting).into_iter().chain([PUSH_URL.to_string()]);
        names.into_iter().find_map(|name| self.other(&name).map(|url| (name, Secret(url))))
    }

    /// The names of all settings that hold a push address.
    pub fn push_settings(&self) -> Vec<String> {
        let in_environment = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let names: BTreeSet<_> = self.others.keys().cloned().chain(in_environment).collect();
        let is_one = |name: &String| {
            name.strip_prefix(PUSH_URL).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        let names = names.into_iter().filter(is_one);
        names.filter(|name| self.other(name).is_some()).collect()
    }

    /// A setting that only one tool has: from the environment, otherwise from `.env`; empty counts as not set.
    pub fn other(&self, name: &str) -> Option<String> {
        environment(name).or_else(|| self.others.get(name).cloned().filter(|value| !value.is_empty()))
    }
}

/// The setting with Uptime Kuma's push address, and the beginning of those for one plan.
pub const PUSH_URL: &str = "UPTIME_KUMA_PUSH_URL";

/// The name of the setting with the push address of `plan`: its id in capitals, other characters as `_`.
pub fn push_setting(plan: &str) -> String {
    let id = plan.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    format!("{PUSH_URL}_{}", id.collect::<String>())
}

/// A plan whose push address the setting `name` holds; `None` for the setting for all.
pub fn plan_of(name: &str) -> Option<String> {
    name.strip_prefix(PUSH_URL)?.strip_prefix('_').map(str::to_string)
}

/// A variable of the process that is set and not empty.
fn environment(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether each service sets a variable of this name for itself: it is not looked up in the environment.
fn is_set_by_services(name: &str) -> bool {
    ["DATA_DIR", "CONTAINER_DIR"].contains(&name)
}

/// Far more than anyone writes.
const LONGEST_ENV_FILE: u64 = 1 << 20;

fn read_env_file(path: &Path) -> (BTreeMap<String, Value>, Vec<Problem>) {
    match regular_file::read(path, LONGEST_ENV_FILE) {
        Ok(text) => {
            let lookup = |name: &str| env::var(name).ok().filter(|_| !is_set_by_services(name));
            env_file::parse(&String::from_utf8_lossy(&text), path, &lookup)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (BTreeMap::new(), Vec::new()),
        Err(error) => {
            (BTreeMap::new(), vec![Problem::new(path, format!("not read, defaults are used: {error}"))])
        }
    }
}
