//! Runs the real `xtask` with homes of its own: installing, taking away, and the demo.
//!
//! What it builds is built without optimisation into the target folder that the tests themselves are built into.

#![cfg(test)]

mod completions;
mod demo;
mod dist;
mod install;
mod install_script;
mod pictures;
mod world;
