//! What `/proc/PID/stat` reports of a process (proc(5)).

use std::fs;

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcStat {
    /// It has exited and was not waited for.
    pub is_zombie: bool,
    /// The process that started it, or that it was left to.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// When it was started, in the kernel's ticks since boot: with the id it names one process of this boot.
    pub started: u64,
}

/// The process `pid`; `None` if there is no such process or /proc can't be read.
pub fn of(pid: i32) -> Option<ProcStat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Every process that /proc lists, with its id.
pub fn all() -> Vec<(i32, ProcStat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter_map(|id| Some((id, of(id)?))).collect()
}

fn parse(stat: &str) -> Option<ProcStat> {
    // The name in parentheses may hold anything, also a parenthesis.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
    // The first of these is field 3.
    let number = |field: usize| fields.get(field - 3)?.parse().ok();
    Some(ProcStat {
        is_zombie: fields.first() == Some(&"Z"),
        parent: number(4)?,
        group: number(5)?,
        session: number(6)?,
        started: fields.get(22 - 3)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "42 (a) Z (b) S 1 77 66 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 5555 9 9";
        let expected = ProcStat { is_zombie: false, parent: 1, group: 77, session: 66, started: 5555 };
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse("nothing"), None);
        assert_eq!(parse("1 (x) Z 1 2"), None);
    }

    #[test]
    fn this_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        let stat = of(own).unwrap();
        assert!(stat.started > 0 && !stat.is_zombie);
        assert!(all().contains(&(own, stat)));
    }
}
