//! Installing into scratch prefixes with made-up binaries: what is there afterwards, byte for byte.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::layout::{self, Item};
use super::manifest;
use super::place::{self, Done};

fn items(version: &str) -> Vec<Item> {
    let names = ["backrest-send", "new-container"].into_iter().chain(layout::OLD_NAMES.map(|(_, tool)| tool));
    let names: BTreeSet<_> = names.collect();
    let binaries = names.into_iter().map(|name| (name.to_string(), format!("{name} {version}").into_bytes()));
    layout::items(binaries.collect(), b"alias dn=new-container\n".to_vec())
}

/// Every path below `folder` with its kind, mode and content.
fn tree(folder: &Path) -> Vec<String> {
    let mut lines: Vec<String> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let content = match metadata.is_symlink() {
                true => format!("-> {}", fs::read_link(entry.path()).unwrap().display()),
                false => fs::read_to_string(entry.path()).unwrap_or_default(),
            };
            let path = entry.path().strip_prefix(folder).unwrap().display().to_string();
            format!("{path} {:o} {content:?}", metadata.mode())
        })
        .collect();
    lines.sort();
    lines
}

fn done_at(told: &[(PathBuf, Done)], name: &str) -> Done {
    told.iter().find(|(path, _)| path.ends_with(name)).map(|(_, done)| done.clone()).unwrap()
}

#[test]
fn every_old_name_leads_to_a_tool_that_is_installed() {
    let home = tempfile::tempdir().unwrap();
    let prefix = home.path().join(".local");
    place::put(&prefix, &items("1")).unwrap();
    for (name, tool) in layout::OLD_NAMES {
        assert_eq!(fs::read_to_string(prefix.join("bin").join(name)).unwrap(), format!("{tool} 1"), "{name}");
    }
    let mode = fs::metadata(prefix.join("bin/pipe-listener")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn twice_changes_nothing_and_uninstall_leaves_what_was_there_before() {
    let home = tempfile::tempdir().unwrap();
    let prefix = home.path().join(".local");
    let before = tree(home.path());
    place::put(&prefix, &items("1")).unwrap();
    let first = tree(home.path());
    let told = place::put(&prefix, &items("1")).unwrap();
    assert!(told.iter().all(|(_, done)| *done == Done::Unchanged), "{told:?}");
    assert_eq!(tree(home.path()), first);
    assert!(place::take_away(&prefix).unwrap().is_some());
    assert_eq!(tree(home.path()), before);
    assert_eq!(place::take_away(&prefix).unwrap(), None);
    assert_eq!(tree(home.path()), before);
}

#[test]
fn the_users_own_files_come_back_as_they_were() {
    let home = tempfile::tempdir().unwrap();
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let script = bin.join("backrest-trigger.sh");
    fs::write(&script, "#!/bin/bash\n# mine\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    symlink("/opt/mine", bin.join("build-ignore-file.sh")).unwrap();
    fs::write(bin.join("dn.sh"), "mine").unwrap();
    fs::write(bin.join("other"), "untouched").unwrap();
    let before = tree(home.path());
    let told = place::put(home.path(), &items("1")).unwrap();
    let kept = PathBuf::from("bin/backrest-trigger.sh.before-backrest-helpers");
    assert_eq!(done_at(&told, "backrest-trigger.sh"), Done::KeptAside(kept.clone()));
    assert_eq!(fs::read_to_string(home.path().join(kept)).unwrap(), "#!/bin/bash\n# mine\n");
    assert_eq!(fs::read_to_string(&script).unwrap(), "pipe-listener 1");
    let installed = tree(home.path());
    place::put(home.path(), &items("1")).unwrap();
    assert_eq!(tree(home.path()), installed, "the second install keeps nothing aside");
    place::take_away(home.path()).unwrap();
    assert_eq!(tree(home.path()), before);
}

#[test]
fn a_new_version_replaces_the_old_one_and_nothing_is_kept_aside() {
    let home = tempfile::tempdir().unwrap();
    place::put(home.path(), &items("1")).unwrap();
    let told = place::put(home.path(), &items("2")).unwrap();
    assert_eq!(done_at(&told, "build-ignore"), Done::Updated);
    assert_eq!(done_at(&told, "build-ignore-file.sh"), Done::Unchanged);
    assert_eq!(fs::read_to_string(home.path().join("bin/build-ignore")).unwrap(), "build-ignore 2");
    assert!(tree(home.path()).iter().all(|line| !line.contains("before-backrest")));
    place::take_away(home.path()).unwrap();
    assert_eq!(tree(home.path()).len(), 1);
}

#[test]
fn what_a_newer_version_no_longer_has_goes_away() {
    let home = tempfile::tempdir().unwrap();
    let mut more = items("1");
    more.push(Item { path: "bin/obsolete".into(), content: layout::Content::Link("build-ignore".into()) });
    place::put(home.path(), &more).unwrap();
    let told = place::put(home.path(), &items("1")).unwrap();
    assert_eq!(done_at(&told, "obsolete"), Done::Removed);
    assert!(fs::symlink_metadata(home.path().join("bin/obsolete")).is_err());
}

#[test]
fn a_file_that_the_user_changed_afterwards_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    place::put(home.path(), &items("1")).unwrap();
    let tool = home.path().join("bin/ssh-key-setup");
    fs::write(&tool, "patched").unwrap();
    let told = place::take_away(home.path()).unwrap().unwrap();
    assert_eq!(done_at(&told, "ssh-key-setup"), Done::NotOurs);
    assert_eq!(fs::read_to_string(&tool).unwrap(), "patched");
}

#[test]
fn an_install_that_was_cut_short_is_finished_or_taken_away_by_the_next_command() {
    let complete = tempfile::tempdir().unwrap();
    place::put(complete.path(), &items("2")).unwrap();
    for uninstall in [false, true] {
        let home = tempfile::tempdir().unwrap();
        place::put(home.path(), &items("1")).unwrap();
        // As it stands after the list was written and one file was replaced.
        let both = {
            let old = fs::read_to_string(home.path().join(manifest::PLACE)).unwrap();
            let new = fs::read_to_string(complete.path().join(manifest::PLACE)).unwrap();
            format!("{old}{}", new.replace("folder", "# folder"))
        };
        fs::write(home.path().join(manifest::PLACE), both).unwrap();
        fs::write(home.path().join("bin/build-ignore"), "build-ignore 2").unwrap();
        if uninstall {
            place::take_away(home.path()).unwrap();
            assert_eq!(tree(home.path()).len(), 1);
        } else {
            place::put(home.path(), &items("2")).unwrap();
            assert_eq!(tree(home.path()), tree(complete.path()));
        }
    }
}

#[test]
fn a_folder_in_the_way_is_named_and_nothing_is_touched() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("bin/build-ignore")).unwrap();
    let before = tree(home.path());
    let error = place::put(home.path(), &items("1")).unwrap_err();
    assert!(format!("{error:#}").contains("bin/build-ignore"), "{error:#}");
    assert_eq!(tree(home.path()), before);
}

#[test]
fn the_alias_names_the_installed_binary() {
    let printed = "# comment\nalias dn=/build/new-container\n";
    let to = Path::new("/home/me/my tools/bin/new-container");
    let text = super::moved(printed, Path::new("/build/new-container"), to).unwrap();
    assert_eq!(text, "# comment\nalias dn=\"'/home/me/my tools/bin/new-container'\"\n");
    assert!(super::moved("alias dn=other\n", Path::new("/build/new-container"), to).is_err());
}
