//! The two programs that decide what is right: git, which says what is kept, and restic, which says what is in the
//! backup. Both are run for real; restic's answer is what comes out of a restore.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::process::{self, Limits};
use common::testing::newest_restic;
use tempfile::TempDir;

/// Paths below a root, as bytes with slashes.
pub(crate) type Paths = BTreeSet<Vec<u8>>;

#[track_caller]
pub(crate) fn output_of(command: &mut Command) -> Vec<u8> {
    let captured = process::capture(command, b"", Limits::within(Duration::from_secs(300)), None);
    captured.and_then(process::Captured::success).unwrap_or_else(|error| panic!("{error:#}"))
}

/// A folder for a hundred thousand small files: in memory where the machine has such a place.
#[track_caller]
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap()
}

/// git in `root`, with a repository beside it.
#[track_caller]
fn git(root: &Path, scratch: &Path) -> Command {
    let git_dir = scratch.join("git");
    if !git_dir.exists() {
        output_of(Command::new("git").args(["init", "--quiet", "--bare"]).arg(&git_dir));
    }
    let mut git = Command::new("git");
    git.current_dir(root).arg(format!("--git-dir={}", git_dir.display())).arg("--work-tree=.");
    git.args(["-c", "core.bare=false"]);
    git
}

/// Every file below `root` that git keeps.
#[track_caller]
pub(crate) fn kept_by_git(root: &Path, scratch: &Path) -> Paths {
    let mut git = git(root, scratch);
    git.args(["ls-files", "--others", "--exclude-per-directory=.resticignore", "-z"]);
    let listed = output_of(&mut git);
    listed.split(|&byte| byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect()
}

/// A rule's file, line and text.
pub(crate) type Decision = (Vec<u8>, u64, Vec<u8>);

/// What `git check-ignore -v` says of each path below `root`, by the files called `.gitignore`; nothing where no rule
/// matches.
#[track_caller]
pub(crate) fn check_ignore(root: &Path, scratch: &Path, paths: &[Vec<u8>]) -> Vec<Option<Decision>> {
    let mut git = git(root, scratch);
    git.args(["check-ignore", "--verbose", "--non-matching", "-z", "--stdin", "--no-index"]);
    let input: Vec<u8> = paths.iter().flat_map(|path| [path.as_slice(), b"\0"].concat()).collect();
    let captured =
        process::capture(&mut git, &input, Limits::within(Duration::from_secs(120)), None).unwrap();
    let fields: Vec<&[u8]> = captured.stdout.split(|&byte| byte == 0).collect();
    let answers = fields.chunks_exact(4).map(|answer| {
        let line = std::str::from_utf8(answer[1]).unwrap();
        (!line.is_empty()).then(|| (answer[0].to_vec(), line.parse().unwrap(), answer[2].to_vec()))
    });
    answers.collect()
}

/// Every file below `root`.
pub(crate) fn all_files(root: &Path) -> Paths {
    let mut paths = Paths::new();
    collect(root, b"", &mut paths);
    paths
}

fn collect(folder: &Path, prefix: &[u8], paths: &mut Paths) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = [prefix, entry.file_name().as_bytes()].concat();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), &[path.as_slice(), b"/"].concat(), paths);
        } else {
            paths.insert(path);
        }
    }
}

/// Files with their content.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// A restic of some version with a repository of its own.
pub(crate) struct Restic {
    program: PathBuf,
    folder: TempDir,
    runs: AtomicU32,
}

impl Restic {
    /// Debian's, and the newest that Debian has.
    #[track_caller]
    pub(crate) fn both() -> [Restic; 2] {
        [Restic::debian(), Restic::new(newest_restic())]
    }

    #[track_caller]
    fn new(program: PathBuf) -> Restic {
        let restic = Restic { program, folder: scratch(), runs: AtomicU32::new(0) };
        // `init` takes seconds, because restic measures how hard it can make the key: it runs once for each program.
        static MADE: Mutex<BTreeMap<PathBuf, Files>> = Mutex::new(BTreeMap::new());
        let repository = restic.folder.path().join("repository");
        let mut made = MADE.lock().unwrap();
        match made.get(&restic.program) {
            Some(files) => {
                for (path, content) in files {
                    fs::create_dir_all(repository.join(path).parent().unwrap()).unwrap();
                    fs::write(repository.join(path), content).unwrap();
                }
            }
            None => {
                output_of(restic.command().arg("init"));
                let paths =
                    all_files(&repository).into_iter().map(|path| PathBuf::from(OsString::from_vec(path)));
                let files =
                    paths.map(|path| (path.clone(), fs::read(repository.join(&path)).unwrap())).collect();
                made.insert(restic.program.clone(), files);
            }
        }
        drop(made);
        restic
    }

    /// Debian's.
    #[track_caller]
    pub(crate) fn debian() -> Restic {
        Restic::new(PathBuf::from("restic"))
    }

    #[track_caller]
    pub(crate) fn version(&self) -> String {
        String::from_utf8_lossy(&output_of(self.command().arg("version"))).trim().to_string()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("RESTIC_REPOSITORY", self.folder.path().join("repository"));
        command
            .env("RESTIC_PASSWORD", "for a test")
            .env("RESTIC_CACHE_DIR", self.folder.path().join("cache"));
        command
    }

    /// Whether it will not even begin with this exclude file.
    #[track_caller]
    pub(crate) fn refuses(&self, root: &Path, exclude_file: &Path) -> bool {
        let mut backup = self.command();
        backup.args(["backup", "--quiet", "--dry-run", "--exclude-file"]).arg(exclude_file).arg(root);
        let captured =
            process::capture(&mut backup, b"", Limits::within(Duration::from_secs(60)), None).unwrap();
        !captured.end.is_success() && String::from_utf8_lossy(&captured.stderr).contains("invalid pattern")
    }

    /// Every file below `root` that is in a backup of it with this exclude file.
    #[track_caller]
    pub(crate) fn backed_up(&self, root: &Path, exclude_file: &Path) -> Paths {
        let target =
            self.folder.path().join(format!("restored-{}", self.runs.fetch_add(1, Ordering::Relaxed)));
        let mut backup = self.command();
        backup
            .args(["backup", "--quiet", "--force", "--host", "test", "--exclude-file"])
            .arg(exclude_file)
            .arg(root);
        output_of(&mut backup);
        output_of(self.command().args(["restore", "latest", "--quiet", "--target"]).arg(&target));
        let inside = target.join(root.strip_prefix("/").unwrap_or(root));
        let files = all_files(&inside);
        fs::remove_dir_all(&target).unwrap();
        files
    }
}

/// What git and restic disagree on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) lost: Paths,
    pub(crate) extra: Paths,
}

impl Verdict {
    pub(crate) fn of(kept: &Paths, backed_up: &Paths) -> Verdict {
        Verdict {
            lost: kept.difference(backed_up).cloned().collect(),
            extra: backed_up.difference(kept).cloned().collect(),
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.extra.is_empty()
    }

    /// The services that the paths lie in.
    pub(crate) fn services(&self) -> BTreeSet<&OsStr> {
        let paths = self.lost.iter().chain(&self.extra);
        paths.map(|path| OsStr::from_bytes(path.split(|&byte| byte == b'/').next().unwrap_or(path))).collect()
    }
}
