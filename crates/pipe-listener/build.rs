//! Lets the static listener start a program in another folder without fork(2), as a dynamic one does.
//!
//! The standard library uses posix_spawn(3) if the C library can change the folder there, and asks for that function in
//! a way that takes nothing out of a static archive. A fork copies the listener's page tables first.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    io::stdout().write_all(
        b"cargo:rerun-if-changed=build.rs\n\
          cargo:rustc-link-arg-bins=-Wl,-u,posix_spawn_file_actions_addchdir_np\n",
    )
}
