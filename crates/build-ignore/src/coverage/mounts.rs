//! File systems that are mounted below a root, and disks that should be mounted there and are not.
//!
//! From /proc/self/mountinfo and /etc/fstab alone; both are in memory or on the root file system.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use common::contract::coverage::{Gap, GapKind};
use common::regular_file;
use common::text::escape_path;

use crate::root::Root;

const LARGEST: u64 = 16 << 20;

/// The gaps of `roots`.
pub(super) fn gaps(roots: &[Root]) -> Vec<Gap> {
    let read = |path: &str| std::fs::read(path).unwrap_or_default();
    let mounted = mount_points(&read("/proc/self/mountinfo"));
    let fstab = regular_file::read(Path::new("/etc/fstab"), LARGEST).unwrap_or_default();
    let expected = expected(&fstab);
    roots.iter().flat_map(|root| root_gaps(root, &mounted, &expected)).collect()
}

fn root_gaps(root: &Root, mounted: &[PathBuf], expected: &[PathBuf]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for point in mounted
        .iter()
        .filter(|point| root.holds(point) && **point != root.place.path && **point != root.real_path)
    {
        gaps.push(gap(
            GapKind::OtherFileSystem,
            root,
            point,
            "another file system: restic leaves it out with --one-file-system, and Backrest's container sees it only \
             if it was mounted before the container started",
            None,
        ));
    }
    for point in expected.iter().filter(|point| !mounted.contains(point)) {
        let concerns =
            root.holds(point) || root.place.path.starts_with(point) || root.real_path.starts_with(point);
        if concerns {
            let what = "listed in /etc/fstab and not mounted: what is on this disk is in no backup";
            gaps.push(gap(
                GapKind::UnmountedDisk,
                root,
                point,
                what,
                Some(format!("sudo mount {}", escape_path(point))),
            ));
        }
    }
    if root.is_empty() {
        let what = "empty: is its disk mounted?";
        gaps.push(gap(GapKind::UnmountedDisk, root, &root.place.path, what, None));
    }
    gaps
}

fn gap(kind: GapKind, root: &Root, path: &Path, what: &str, hint: Option<String>) -> Gap {
    let names = root.names_of(path).unwrap_or_default();
    let service = (!names.is_empty()).then(|| root.place.service(&names));
    super::gap(kind, service, path, what, hint)
}

/// The mount points of mountinfo (proc(5)): the fifth field of each line.
fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    let lines = mountinfo.split(|&byte| byte == b'\n');
    lines.filter_map(|line| line.split(|&byte| byte == b' ').nth(4)).map(unescaped).collect()
}

/// The mount points of fstab (fstab(5)) that are mounted at boot, apart from `/`.
fn expected(fstab: &[u8]) -> Vec<PathBuf> {
    let mut points = Vec::new();
    for line in fstab.split(|&byte| byte == b'\n') {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let (Some(device), Some(point), Some(kind)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let options = fields.next().unwrap_or_default();
        let is_at_boot = !options.split(|&byte| byte == b',').any(|option| option == b"noauto");
        if !device.starts_with(b"#")
            && kind != b"swap"
            && is_at_boot
            && point.starts_with(b"/")
            && point != b"/"
        {
            points.push(unescaped(point));
        }
    }
    points
}

/// Both files write blanks and the like as `\040`.
fn unescaped(field: &[u8]) -> PathBuf {
    if !field.contains(&b'\\') {
        return OsString::from_vec(field.to_vec()).into();
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match (byte, digits) {
            (b'\\', Some(digits)) => {
                let value = digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                bytes.push(value as u8);
                rest = &after[3..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let mountinfo = b"36 35 98:0 / /mnt/my\\040disk rw,noatime master:1 - ext4 /dev/root rw\n";
        assert_eq!(mount_points(mountinfo), [PathBuf::from("/mnt/my disk")]);
        let fstab = b"# x\n/dev/a / ext4 defaults 0 1\nUUID=b\t/mnt/b\text4\tnofail 0 2\nc /mnt/c nfs noauto\nd none swap sw\n";
        assert_eq!(expected(fstab), [PathBuf::from("/mnt/b")]);
    }
}
