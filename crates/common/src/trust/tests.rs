//! Real files with owners, modes, links and ACLs. These tests need root, to give files away.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    #[track_caller]
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    #[track_caller]
    fn script(&self, path: &str) -> PathBuf {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }
}

fn cause(path: &Path) -> Option<Cause> {
    Trust::only_us_and_root().check_program(path).err().map(|distrust| distrust.cause)
}

#[track_caller]
fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_file_and_each_folder_above_it_count() {
    let folder = Folder::new();
    let file = folder.script("a/b/script");
    assert_eq!(cause(&file), None);
    let above = folder.0.path().join("a");
    for path in [&file, &above] {
        chown(path, Some(4711), None).unwrap();
        let distrust = Trust::only_us_and_root().check(&file).unwrap_err();
        assert_eq!(distrust, Distrust { path: path.clone(), cause: Cause::Owner(4711) });
        assert_eq!(distrust.fix().unwrap(), format!("sudo chown 0 '{}'", path.display()));
        chown(path, Some(0), None).unwrap();
        let old = fs::metadata(path).unwrap().mode();
        set_mode(path, 0o757);
        assert_eq!(cause(&file), Some(Cause::Everyone));
        set_mode(path, old);
    }
    set_mode(&above, 0o1777);
    assert_eq!(cause(&file), None, "in a sticky folder no one can replace it");
}

#[test]
fn a_group_that_can_write_has_to_be_our_own() {
    let folder = Folder::new();
    let file = folder.script("script");
    set_mode(&file, 0o775);
    assert_eq!(cause(&file), None, "root's own group");
    chown(&file, None, Some(54321)).unwrap();
    assert_eq!(cause(&file), Some(Cause::Group(54321)));
    set_mode(&file, 0o755);
    assert_eq!(cause(&file), None);
}

#[test]
fn links_are_followed_as_the_kernel_does() {
    let folder = Folder::new();
    let file = folder.script("real/script");
    let link = folder.0.path().join("link");
    symlink("real", &link).unwrap();
    assert_eq!(cause(&link.join("script")), None);
    std::os::unix::fs::lchown(&link, Some(4711), None).unwrap();
    assert_eq!(cause(&link.join("script")), Some(Cause::Owner(4711)));
    let loops = folder.0.path().join("loop");
    symlink("loop", &loops).unwrap();
    assert_eq!(cause(&loops), Some(Cause::TooManyLinks));
    set_mode(&file, 0o644);
    assert_eq!(cause(&file), Some(Cause::NotExecutable));
    assert_eq!(cause(folder.0.path()), Some(Cause::NotAFile));
}

#[test]
fn an_acl_that_lets_someone_else_write_is_seen() {
    let folder = Folder::new();
    let file = folder.script("script");
    let set = |entry: &str| {
        let done = Command::new("setfacl").args(["-m", entry]).arg(&file).status();
        assert!(done.expect("this test needs setfacl").success());
    };
    set("u:4711:r");
    assert_eq!(cause(&file), None);
    set("u:4711:rw");
    let distrust = Trust::only_us_and_root().check(&file).unwrap_err();
    assert_eq!(distrust.cause, Cause::AclUser(4711));
    let fix = distrust.fix().unwrap();
    assert!(Command::new("sh").args(["-c", &fix]).status().unwrap().success(), "{fix}");
    assert_eq!(cause(&file), None, "after {fix}");
    set("g:4711:rw");
    assert_eq!(cause(&file), Some(Cause::AclGroup(4711)));
}

#[test]
fn what_the_settings_trust_passes_and_nothing_else() {
    let folder = Folder::new();
    let file = folder.script("open/script");
    let open = folder.0.path().join("open");
    chown(&file, Some(999), Some(999)).unwrap();
    set_mode(&file, 0o775);
    let mut trust = Trust::only_us_and_root();
    trust.uids.insert(999);
    assert!(trust.check(&file).is_ok(), "a container's user with the group of the same number");
    set_mode(&open, 0o777);
    assert_eq!(trust.check(&file).unwrap_err().cause, Cause::Everyone);
    trust.folders.push(open.canonicalize().unwrap());
    assert!(trust.check(&file).is_ok());
    let outside = folder.script("outside/script");
    chown(&outside, Some(4711), None).unwrap();
    symlink(&outside, open.join("link")).unwrap();
    assert_eq!(
        trust.check(&open.join("link")).unwrap_err().cause,
        Cause::Owner(4711),
        "a link that leads out"
    );
}
