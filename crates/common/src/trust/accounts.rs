//! Which accounts are in a group, as /etc/passwd and /etc/group list them.
//!
//! Accounts of a directory service (LDAP) are not in these files; a group that has members there is not the private
//! group of a local account, or its administrator has made it so.

use std::collections::BTreeSet;
use std::path::Path;

use crate::regular_file;

/// Far more than any machine has.
const MOST_BYTES: u64 = 64 << 20;

#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    /// Name, user id and primary group of each account.
    users: Vec<(String, u32, u32)>,
    /// Each group's id with the names of its members.
    groups: Vec<(u32, Vec<String>)>,
}

impl Accounts {
    pub(super) fn read() -> Accounts {
        let text = |path: &str| {
            let bytes = regular_file::read(Path::new(path), MOST_BYTES).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Accounts::parse(&text("/etc/passwd"), &text("/etc/group"))
    }

    /// Both files as passwd(5) and group(5) describe them.
    pub(super) fn parse(passwd: &str, group: &str) -> Accounts {
        let fields = |line: &'_ str| line.split(':').map(String::from).collect::<Vec<_>>();
        let users = passwd.lines().map(fields).filter_map(|user| {
            Some((user.first()?.clone(), user.get(2)?.parse().ok()?, user.get(3)?.parse().ok()?))
        });
        let groups = group.lines().map(fields).filter_map(|group| {
            let members = group.get(3)?.split(',').filter(|name| !name.is_empty());
            Some((group.get(2)?.parse().ok()?, members.map(String::from).collect()))
        });
        Accounts { users: users.collect(), groups: groups.collect() }
    }

    /// Whether the group is the primary one of any of `uids`.
    pub(super) fn is_primary_of(&self, gid: u32, uids: &BTreeSet<u32>) -> bool {
        self.users.iter().any(|(_, uid, primary)| *primary == gid && uids.contains(uid))
    }

    /// Whether no account but `uids` is in the group, be it as a member or because it is its primary group.
    pub(super) fn holds_only(&self, gid: u32, uids: &BTreeSet<u32>) -> bool {
        let is_trusted =
            |name: &String| self.users.iter().any(|(user, uid, _)| user == name && uids.contains(uid));
        let mut members = self.groups.iter().filter(|(id, _)| *id == gid).flat_map(|(_, members)| members);
        let mut primary = self.users.iter().filter(|(_, _, primary)| *primary == gid);
        members.all(is_trusted) && primary.all(|(_, uid, _)| uids.contains(uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_private_if_no_other_account_is_in_it() {
        let accounts = Accounts::parse(
            "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/:\nother:x:1001:1001::/:\nguest:x:1002:1003::/:\n",
            "root:x:0:\nme:x:1000:\nshared:x:1003:me\nteam:x:1004:me,other\nmine:x:1005:me\n",
        );
        let uids = BTreeSet::from([0, 1000]);
        let alone: Vec<_> = (1000..=1006).filter(|gid| accounts.holds_only(*gid, &uids)).collect();
        assert_eq!(alone, [1000, 1002, 1005, 1006]);
        assert!(accounts.is_primary_of(1000, &uids) && !accounts.is_primary_of(1005, &uids));
    }
}
