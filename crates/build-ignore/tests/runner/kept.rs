//! `--kept0`: the same files as git keeps, in the order of restic's own listing.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use common::contract::kept::{Content, Record};
use common::testing::Sandbox;

use crate::command_line::PROGRAM;
use crate::oracle::{kept_by_git, output_of, scratch};

#[track_caller]
fn listed(sandbox: &Sandbox) -> Vec<Record> {
    let output = output_of(sandbox.command(PROGRAM).arg("--kept0"));
    let mut input = &output[..];
    let mut records = Vec::new();
    while records.last() != Some(&Record::End) {
        records.push(Record::read(&mut input).unwrap());
    }
    assert!(input.is_empty());
    records
}

#[test]
fn it_lists_what_git_keeps_and_measures_each_folder() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/.resticignore", "*.log\n!keep.log\ncache/\n");
    for file in ["a.log", "keep.log", "a/b", "a/c.log", "a.b", "a-b", "cache/x", "new\nline", "t/u/v"] {
        sandbox.write(format!("data/s/{file}"), "x");
    }
    sandbox.write("data/no-rules/deep/file", "x");
    sandbox.write("containers/web/compose.yaml", "x");
    fs::write(sandbox.path("data/s").join(OsStr::from_bytes(b"bad\xff")), "x").unwrap();
    std::os::unix::fs::symlink("nowhere", sandbox.path("data/s/link")).unwrap();
    let records = listed(&sandbox);
    let below_data = records
        .iter()
        .skip_while(|record| !matches!(record, Record::Root { seen_at, .. } if seen_at == b"/userdata/data"));
    let below_data: Vec<_> = below_data.collect();
    let files: Vec<_> = below_data
        .iter()
        .filter_map(|record| match record {
            Record::File(path) | Record::Other(path) => Some(path.clone()),
            _ => None,
        })
        .collect();
    let git = scratch();
    assert_eq!(
        files.iter().cloned().collect::<BTreeSet<_>>(),
        kept_by_git(&sandbox.path("data"), git.path())
    );
    let mut sorted = files.clone();
    sorted.sort_by(|a, b| a.split(|byte| *byte == b'/').cmp(b.split(|byte| *byte == b'/')));
    assert_eq!(files, sorted, "names are compared, not paths");
    let Record::Root { at, content, .. } = below_data[0] else { panic!("{below_data:?}") };
    assert_eq!(at, sandbox.path("data").as_os_str().as_bytes());
    let folders = below_data.iter().filter(|record| matches!(record, Record::Folder { .. })).count();
    assert_eq!(content.entries as usize, files.len() + folders);
    let of = |name: &[u8]| {
        below_data.iter().find_map(|record| match record {
            Record::Folder { path, content } if path == name => Some(*content),
            _ => None,
        })
    };
    assert_eq!(of(b"s/t"), Some(Content { entries: 2, name_bytes: 2, depth: 2 }));
    assert_eq!(of(b"s/cache"), None);
}

#[test]
fn a_folder_that_can_not_be_entered_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("data/s/open/file", "x");
    sandbox.write("data/s/closed/file", "x");
    let closed = sandbox.path("data/s/closed");
    // A user without the right to enter any folder but the user's own.
    let script = "chmod 000 \"$1\" && setpriv --reuid 65534 --regid 65534 --clear-groups \
                  --inh-caps=-all --bounding-set=-all \"$2\" --kept0 --data-root \"$3\" --container-root \"$4\"";
    let open = "chmod -R o+rX \"$0\"";
    output_of(Command::new("sh").args(["-c", open]).arg(sandbox.home().parent().unwrap()));
    let mut command = sandbox.command("sh");
    command.args(["-c", script, "sh"]).arg(&closed).arg(copied(&sandbox));
    command.arg(sandbox.path("data")).arg(sandbox.path("containers"));
    let output = output_of(&mut command);
    let mut input = &output[..];
    let records: Vec<_> = std::iter::from_fn(|| Record::read(&mut input).ok()).collect();
    assert!(records.contains(&Record::Closed(b"s/closed".to_vec())), "{records:?}");
    assert!(records.contains(&Record::File(b"s/open/file".to_vec())), "{records:?}");
    assert_eq!(records.last(), Some(&Record::End));
}

/// The program where every user can start it.
#[track_caller]
fn copied(sandbox: &Sandbox) -> std::path::PathBuf {
    let program = sandbox.home().with_file_name("build-ignore");
    common::testing::copy_program(PROGRAM, &program);
    program
}
