//! The pictures of the pages are those of today's programs.

use common::testing::Sandbox;

use super::world::{output_of, xtask};

#[test]
fn the_pictures_are_up_to_date() {
    let printed = output_of(xtask(&Sandbox::empty(), &["pictures", "--check"]));
    assert!(printed.ends_with(" pictures up to date\n"), "{printed}");
}
