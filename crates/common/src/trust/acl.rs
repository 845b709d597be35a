//! Whom a POSIX ACL lets write a file (acl(5)), read from the attribute in which the kernel keeps it.

use std::path::Path;

/// Who can write besides the owner.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Writers {
    pub(super) users: Vec<u32>,
    pub(super) groups: Vec<u32>,
    /// The group that the file belongs to.
    pub(super) owning_group: bool,
}

const ATTRIBUTE: &str = "system.posix_acl_access";
/// The kernel's limit for an attribute.
const MOST_BYTES: usize = 64 << 10;
const WRITE: u16 = 2;

/// The writers of the file at `path`, whose mode lets its group write. Without an ACL that is the owning group.
pub(super) fn writers(path: &Path) -> Writers {
    let mut text = vec![0; MOST_BYTES];
    match rustix::fs::lgetxattr(path, ATTRIBUTE, text.as_mut_slice()) {
        Ok(length) => parse(text.get(..length).unwrap_or_default()),
        // There is none, or the file system knows of none.
        Err(_) => parse(&[]),
    }
}

/// A version of four bytes, then eight for each entry: tag, permissions, id (linux/posix_acl_xattr.h).
fn parse(text: &[u8]) -> Writers {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, &byte| (sum << 8) | u32::from(byte));
    let entries: Vec<(u32, u16, u32)> = text
        .get(4..)
        .unwrap_or_default()
        .chunks_exact(8)
        .map(|entry| (number(&entry[..2]), number(&entry[2..4]) as u16, number(&entry[4..])))
        .collect();
    let mask =
        entries.iter().find(|(tag, ..)| *tag == 0x10).map_or(u16::MAX, |(_, permissions, _)| *permissions);
    let of = |wanted: u32| {
        let writing = entries
            .iter()
            .filter(move |(tag, permissions, _)| *tag == wanted && permissions & mask & WRITE != 0);
        writing.map(|(_, _, id)| *id).collect::<Vec<_>>()
    };
    Writers { users: of(0x02), groups: of(0x08), owning_group: entries.is_empty() || !of(0x04).is_empty() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_decides_what_a_named_entry_grants() {
        let entry = |tag: u16, permissions: u16, id: u32| {
            [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        let acl = |mask| {
            let entries =
                [entry(1, 6, 0), entry(2, 6, 1001), entry(4, 4, 0), entry(8, 7, 5), entry(0x10, mask, 0)];
            parse(&[&2_u32.to_le_bytes()[..], &entries.concat()].concat())
        };
        assert_eq!(acl(7), Writers { users: vec![1001], groups: vec![5], owning_group: false });
        assert_eq!(acl(5), Writers { users: vec![], groups: vec![], owning_group: false });
        assert!(parse(&[]).owning_group);
    }
}
