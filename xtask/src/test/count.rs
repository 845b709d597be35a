//! Counts tests from what `cargo test` prints.
//!
//! Each test binary ends with a line `test result: ok. 3 passed; 0 failed; 0 ignored; …`; the sums of those are the
//! result. A test's own output is only shown if it failed, so a stray line of that form can't raise the count of a
//! good run.

/// The sums over all binaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) ignored: usize,
}

impl Count {
    pub(super) fn read(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        for part in rest.split(['.', ';']) {
            let Some((number, word)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_binaries_are_added() {
        let mut count = Count::default();
        let output = "running 3 tests\ntest a ... ok\n\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; \
                      2 filtered out; finished in 0.01s\n\nerror: 1 target failed\n\
                      test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s";
        output.lines().for_each(|line| count.read(line));
        assert_eq!(count, Count { passed: 7, failed: 2, ignored: 1 });
    }
}
