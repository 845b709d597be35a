//! Runs the real `new-container` in a home of its own, and what it writes through the programs that read it.

#![cfg(test)]

mod adopt;
mod compose;
mod databases;
mod dialogue;
mod docs;
mod layouts;
mod make;
mod output;
mod restore;
mod shells;
mod stopped;
mod templates;
