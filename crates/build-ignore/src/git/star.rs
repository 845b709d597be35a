//! Matching a sequence against a pattern in which some elements stand for any run, also an empty one.
//!
//! Used twice: bytes against `*` in a name, names against `**` in a path. Only the last star is ever tried again
//! (an earlier one could only have matched less), so the time is at most the product of both lengths.

/// Whether `pattern` matches all of `items`; a star matches any run, every other element the one item that it `fits`.
pub(super) fn matches<P, I>(
    pattern: &[P],
    items: &[I],
    is_star: impl Fn(&P) -> bool,
    fits: impl Fn(&P, &I) -> bool,
) -> bool {
    let (mut element, mut item) = (0, 0);
    // Where the last star stands, and the first item that it has not been tried with.
    let mut retry: Option<(usize, usize)> = None;
    while item < items.len() {
        match pattern.get(element) {
            Some(star) if is_star(star) => {
                retry = Some((element, item));
                element += 1;
            }
            Some(other) if fits(other, &items[item]) => {
                element += 1;
                item += 1;
            }
            _ => {
                let Some((star, from)) = retry else { return false };
                retry = Some((star, from + 1));
                (element, item) = (star + 1, from + 1);
            }
        }
    }
    pattern[element..].iter().all(is_star)
}
