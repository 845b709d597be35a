//! Runs the real `pre-backup-actions` with real scripts in a home of its own.

#![cfg(test)]

mod after;
mod as_root;
mod bombs;
mod dumps;
mod keys;
mod killed;
mod output;
mod prepare;
mod proof;
mod refused;
mod scripts;
mod trust;
mod whole_way;
