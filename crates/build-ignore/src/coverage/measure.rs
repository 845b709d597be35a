//! How large what is missing is: asked of du(1), which is killed when it takes too long.
//!
//! A sleeping disk or a dead NFS server makes any program wait that looks at it, and not every one can be killed then;
//! "not measured" is an answer.

use std::process::Command;
use std::time::{Duration, Instant};

use common::contract::coverage::Gap;
use common::process::{self, End, Limits};

/// For one path, and for all together.
const FOR_ONE: Duration = Duration::from_secs(5);
const FOR_ALL: Duration = Duration::from_secs(20);

/// Measures each gap that leads to a folder or file of the host.
pub(super) fn sizes(gaps: &mut [Gap]) {
    let end = Instant::now() + FOR_ALL;
    for gap in gaps.iter_mut().filter(|gap| gap.kind.is_measured()) {
        let left = end.saturating_duration_since(Instant::now()).min(FOR_ONE);
        if left.is_zero() {
            return;
        }
        let path = gap.leads_to.as_deref().unwrap_or(&gap.path);
        gap.bytes = size(path, left);
        if gap.bytes.is_none() && gap.leads_to.is_some() && is_missing(path, left) {
            gap.what = "a symlink to something that is not there".into();
            gap.hint = None;
        }
    }
}

/// Whether nothing is there. That it is not known in time is not an answer.
fn is_missing(path: &str, deadline: Duration) -> bool {
    let mut command = Command::new("test");
    let captured = process::capture(command.args(["-e", path]), b"", Limits::within(deadline), None);
    captured.is_ok_and(|captured| captured.end == End::Exited(1))
}

fn size(path: &str, deadline: Duration) -> Option<u64> {
    let mut command = Command::new("du");
    command.env("LC_ALL", "C").args([
        "--summarize",
        "--bytes",
        "--dereference-args",
        "--one-file-system",
        "--",
        path,
    ]);
    let captured = process::capture(&mut command, b"", Limits::within(deadline), None).ok()?;
    // With exit code 1 it could not look at all of it; what it counted is a lower bound, so no answer.
    let text = captured.success().ok()?;
    std::str::from_utf8(&text).ok()?.split_whitespace().next()?.parse().ok()
}
