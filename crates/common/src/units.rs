//! Sizes and times as people read and type them.
//!
//! Sizes are binary (1 KiB is 1,024 bytes), as restic prints them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{Timestamp, Zoned, tz::TimeZone};

/// `12 B`, `3.4 KiB`, `120 MiB`: three digits at most before the unit.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "";
    for next in UNITS {
        value /= 1024.0;
        unit = next;
        if value < 999.5 {
            break;
        }
    }
    if value < 9.995 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// `4 ms`, `1.2 s`, `3 m 12 s`, `2 h 05 m`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else if seconds < 3600 {
        format!("{} m {:02} s", seconds / 60, seconds % 60)
    } else if seconds < 48 * 3600 {
        format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60)
    } else {
        format!("{} d {:02} h", seconds / 86400, seconds % 86400 / 3600)
    }
}

/// This moment in the user's own time zone, `2026-03-01T03:00:07+01:00`: sortable, and plain to read.
pub fn now() -> String {
    local(Timestamp::now())
}

/// `moment` as [`now`] writes it.
pub fn local(moment: Timestamp) -> String {
    Zoned::new(moment, zone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The zone may be changed while the listener runs.
const ZONE_LASTS: Duration = Duration::from_secs(300);

/// The user's time zone.
fn zone() -> TimeZone {
    static ZONE: Mutex<Option<(Instant, TimeZone)>> = Mutex::new(None);
    let mut known = ZONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, zone)) = known.as_ref().filter(|(read, _)| read.elapsed() < ZONE_LASTS) {
        return zone.clone();
    }
    let zone = zone_of(std::env::var_os("TZ").as_deref());
    *known = Some((Instant::now(), zone.clone()));
    zone
}

/// The zone that TZ names (tzset(3)), read from its own file: jiff lists the folders of all zones first (0.7 ms).
fn zone_of(tz: Option<&OsStr>) -> TimeZone {
    let path = tz.map_or("/etc/localtime".into(), |name| {
        let name = name.as_encoded_bytes();
        Path::new("/usr/share/zoneinfo").join(OsStr::from_bytes(name.strip_prefix(b":").unwrap_or(name)))
    });
    let file = std::fs::read(path).ok();
    file.and_then(|bytes| TimeZone::tzif("", &bytes).ok()).unwrap_or_else(TimeZone::system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_read_from_the_file_that_tz_names() {
        // Nothing but one type of local time, five hours east.
        let data =
            [&b"TZif2"[..], &[0; 15 + 4 * 4], &[0, 0, 0, 1, 0, 0, 0, 4], &[0, 0, 70, 80, 0, 0], b"+05\0"];
        let data = data.concat();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [&data[..], &data, b"\n<+05>-5\n"].concat()).unwrap();
        let path = file.path().to_str().unwrap();
        for name in [path, &format!(":{path}")] {
            let shown = Zoned::new(Timestamp::UNIX_EPOCH, zone_of(Some(name.as_ref())));
            assert_eq!(shown.offset().seconds(), 5 * 3600, "{name}");
        }
    }

    #[test]
    fn sizes_keep_to_three_digits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 * 1024, "10 KiB"),
            (1_048_575, "1.0 MiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn the_zone_is_the_one_that_the_system_names() {
        for half_years in 0..4 {
            let moment = Timestamp::from_second(1_790_000_000 + half_years * 15_800_000).unwrap();
            assert_eq!(zone().to_offset(moment), TimeZone::system().to_offset(moment));
        }
    }

    #[test]
    fn times_read_as_a_person_writes_them() {
        assert_eq!(duration(Duration::from_millis(7)), "7 ms");
        assert_eq!(duration(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(duration(Duration::from_secs(192)), "3 m 12 s");
        assert_eq!(duration(Duration::from_secs(7500)), "2 h 05 m");
    }
}
