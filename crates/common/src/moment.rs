//! A moment by two clocks, so that its age is known after the clock was set or the machine restarted.
//!
//! Within one boot the time since boot counts, which no clock change touches. Across boots only the wall clock is
//! left; if it puts the moment into the future, the age is unknown.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment by both clocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Milliseconds since 1970 by the wall clock.
    wall: i64,
    /// Milliseconds since boot, suspended time included; negative for what was before it, as an old file's change.
    up: i64,
    /// Which boot that was.
    boot: String,
}

impl Moment {
    /// This moment.
    pub fn now() -> Moment {
        Moment::at(SystemTime::now())
    }

    /// The moment of a file's change.
    pub fn at(time: SystemTime) -> Moment {
        let back = SystemTime::now().duration_since(time).unwrap_or_default();
        let wall = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let up = milliseconds(since_boot()).saturating_sub(milliseconds(back));
        Moment { wall: milliseconds(wall), up, boot: boot_id().into() }
    }

    /// How long before `now` it was; `None` if that is unknown.
    pub fn age(&self, now: &Moment) -> Option<Duration> {
        let (then, now) = if self.boot == now.boot { (self.up, now.up) } else { (self.wall, now.wall) };
        u64::try_from(now.checked_sub(then)?).ok().map(Duration::from_millis)
    }
}

/// The seconds since 1970, for the times in files that people and other tools read; negative before it.
pub fn unix_seconds(time: SystemTime) -> i64 {
    let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|before| -whole(before.duration()), whole)
}

/// [`unix_seconds`] of this moment.
pub fn unix_now() -> i64 {
    unix_seconds(SystemTime::now())
}

/// Whole milliseconds, at most `i64::MAX`.
pub fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// The time since boot, suspended time included.
fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// The kernel's name for this boot; empty if /proc does not have it. A process never outlives a boot, so it is read once.
pub fn boot_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.map(|id| id.trim().to_string()).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(wall: i64, up: i64, boot: &str) -> Moment {
        Moment { wall, up, boot: boot.into() }
    }

    #[test]
    fn a_clock_set_back_does_not_change_an_age() {
        let age = moment(9_000_000, 1_000, "a").age(&moment(10, 4_000, "a"));
        assert_eq!(age, Some(Duration::from_secs(3)));
    }

    #[test]
    fn what_was_before_the_boot_has_an_age() {
        assert_eq!(moment(0, -2_000, "a").age(&moment(0, 4_000, "a")), Some(Duration::from_secs(6)));
        assert_eq!(moment(0, 4_001, "a").age(&moment(0, 4_000, "a")), None);
    }

    #[test]
    fn across_boots_the_wall_clock_counts_unless_it_can_not_be_right() {
        let now = moment(60_000, 5, "b");
        assert_eq!(moment(50_000, 900_000, "a").age(&now), Some(Duration::from_secs(10)));
        assert_eq!(moment(70_000, 1, "a").age(&now), None);
    }
}
