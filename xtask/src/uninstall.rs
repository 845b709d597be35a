//! `cargo xtask uninstall`: takes away what install put below a prefix, and puts back what it had kept aside.
//!
//! In comes the list that install wrote; a file that is not the one that was put there stays and is named. Where there
//! is no list there is nothing to do, which is no error.

use anyhow::Result;
use common::exit::Exit;
use common::text::escape_path;

use crate::cli::UninstallOptions;
use crate::install::place::{self, Done};
use crate::install::prefix;

/// Takes away and says what.
pub(crate) fn run(options: &UninstallOptions) -> Result<Exit> {
    let prefix = prefix(options)?;
    let Some(told) = place::take_away(&prefix)? else {
        println!("Nothing to do: nothing is installed below {}.", escape_path(&prefix));
        return Ok(Exit::Done);
    };
    println!("Below {}:", escape_path(&prefix));
    for (path, done) in told {
        let name = escape_path(&path);
        match done {
            Done::PutBack => println!("  put back   {name}"),
            Done::NotOurs => println!("  left       {name}: it is not the file that install put there"),
            Done::StaysAside(kept) => println!("  left       {}: its old name is taken", escape_path(kept)),
            _ => println!("  removed    {name}"),
        }
    }
    println!("\nThe line for dn in your shell's start file, if you added it, is yours to remove.");
    Ok(Exit::Done)
}
