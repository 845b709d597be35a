//! When the last backup was verified, and how that ended.

use std::time::Duration;

use common::contract::status::{Check, Fix};
use common::contract::verification::{Outcome, Verification};
use common::exit::one_line;
use common::settings::Settings;
use common::units;

use crate::verify::summary;

const NAME: &str = "verified";
/// A monthly run that came once is not late yet.
const LATE: Duration = Duration::from_secs(45 * 24 * 3600);

pub(super) fn check(settings: &Settings) -> Check {
    let again = Fix::ours("create-backrest-pipe verify");
    let last = match Verification::load(&settings.layout().verification()) {
        Ok(Some(last)) => last,
        Ok(None) => return Check::note(NAME, "no backup was verified yet", Some(again)),
        Err(error) => return Check::unknown(NAME, one_line(&error), again),
    };
    let age = super::age(last.at);
    let what = format!("{} ago: {}", units::duration(age), summary(&last));
    match last.outcome {
        Outcome::Proved if age > LATE => Check::note(NAME, what, Some(again)),
        Outcome::Proved => Check::good(NAME, what),
        Outcome::Wrong | Outcome::Failed => Check::bad(NAME, what, again),
    }
}
