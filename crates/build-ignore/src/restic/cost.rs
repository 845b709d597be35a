//! What a pattern costs restic: the processor time to try it on a path.
//!
//! restic tries every pattern on every path, the last name first. The constants were measured with restic 0.18 (500
//! patterns, 41,000 paths, six names deep); they are right within a factor of two, which is all that a warning and an
//! estimate need.

use crate::index::{Form, NamePattern};
use crate::restic::pattern::{Line, Part, Pattern, parse_line};

/// Nanoseconds for a pattern without `**` whose last name is plain.
const PLAIN: f64 = 40.0;
/// The same if it is not.
const GLOB: f64 = 275.0;
/// Nanoseconds for one way to fill the `**` of a pattern, before its last name is looked at.
const WAY: f64 = 90.0;
/// Nanoseconds for comparing a last name that is plain, or is not.
const LAST_PLAIN: f64 = 30.0;
const LAST_GLOB: f64 = 180.0;

/// How many paths have how many names, as restic sees them.
#[derive(Clone, Debug, Default)]
pub struct Depths(Vec<u64>);

impl Depths {
    /// From the number of paths by their depth below a folder that is `above` names deep.
    pub fn new(below: &[u64], above: usize) -> Depths {
        Depths(std::iter::repeat_n(0, above).chain(below.iter().copied()).collect())
    }

    /// How many paths there are.
    pub fn paths(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those of both.
    pub fn with(mut self, other: &Depths) -> Depths {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(one, other)| *one += other);
        self
    }

    /// The nanoseconds that restic takes to try a line of an exclude file on all of the paths.
    pub fn cost_of_line(&self, line: &[u8]) -> f64 {
        let Line::Pattern(pattern) = parse_line(line) else { return 0.0 };
        let by_depth = self.0.iter().enumerate().filter(|(_, count)| **count > 0);
        by_depth.map(|(depth, count)| *count as f64 * for_path(&pattern, depth)).sum()
    }
}

fn for_path(pattern: &Pattern, depth: usize) -> f64 {
    let ends_plain = match pattern.parts.last() {
        Some(Part::Name(glob)) => matches!(glob.form(), Form::Literal(_)),
        _ => false,
    };
    let stars = pattern.double_stars();
    if stars == 0 {
        return if ends_plain { PLAIN } else { GLOB };
    }
    // A `**` stands for as many names as the path has more than the pattern.
    let names = pattern.parts.len() - stars;
    let spare = (depth + 1).saturating_sub(names);
    // The ways to share `spare` names out: spare + stars over stars.
    let ways = (1..=stars).fold(1.0, |ways, k| ways * (spare + k) as f64 / k as f64);
    ways * (WAY + if ends_plain { LAST_PLAIN } else { LAST_GLOB })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn cost(line: &str, depth: usize) -> f64 {
        let mut below = vec![0; depth];
        below.push(10);
        Depths::new(&below, 0).cost_of_line(line.as_bytes()) / 10.0
    }

    #[test]
    fn the_estimate_is_within_a_factor_of_two_of_what_was_measured() {
        for (line, nanoseconds) in [
            ("/u/data/s/a/name", 40.0),
            ("/u/data/s/*/*/*.log", 275.0),
            ("/u/data/s/**/name", 357.0),
            ("/u/data/s/**/*.log", 807.0),
        ] {
            let estimate = cost(line, 6);
            assert!((0.5..=2.0).contains(&(estimate / nanoseconds)), "{line}: {estimate}");
        }
    }

    #[test]
    fn several_double_stars_in_a_deep_tree_cost_seconds() {
        assert!(cost("/u/data/s/**/a/**/a/**/z", 400) > 1e9);
        assert!(cost("/u/data/s/**/a/**/a/**/z", 8) < 20_000.0);
    }
}
