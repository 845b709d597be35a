//! The client `backrest-send`: the one installed beside this program, and the copy of it in the bridge.
//!
//! What a reader gets wrong: the copy lies where the container can write, so it is opened without following a
//! symlink or waiting for a FIFO, and it is only ever compared, never run.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use common::contract::status::Check;
use common::regular_file;
use common::text::escape_path;

use crate::work::{failure, warning};

/// What helps if one of the tools is missing.
pub(crate) const INSTALL: &str = "install all the tools: install.sh of the archive, or cargo xtask install";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// No client was installed beside this program.
    NoSource,
    /// There is one that would not run in the container, or that can't be read; why.
    Unusable(String),
    /// The bridge holds the same file, executable.
    Current,
    /// It must be copied into the bridge.
    Outdated,
    /// A folder is in the copy's place.
    Blocked,
}

impl Client {
    /// What keeps the client at `source` from being installed, if anything does.
    pub(crate) fn obstacle(&self, source: &Path) -> Option<Check> {
        match self {
            Client::Current | Client::Outdated => None,
            Client::NoSource => Some(warning(
                "backrest-send is not installed beside create-backrest-pipe: hooks can send, but not wait for an answer",
                INSTALL,
            )),
            Client::Unusable(why) => {
                let what = format!(
                    "install backrest-send: {}: {why}, it would not run in the container",
                    escape_path(source)
                );
                Some(failure(what, INSTALL))
            }
            Client::Blocked => Some(failure(
                "install backrest-send: a folder is in its place in the bridge",
                "look at what is in it and remove it",
            )),
        }
    }
}

/// Mode of the copy: every user of the container may run it, only its owner may change it.
const CLIENT_MODE: u32 = 0o755;

pub(crate) fn look(source: &Path, copy: &Path) -> Client {
    let bytes = match fs::read(source) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Client::NoSource,
        Err(error) => return Client::Unusable(error.to_string()),
    };
    if let Err(why) = runs_anywhere(&bytes) {
        return Client::Unusable(why.into());
    }
    match fs::symlink_metadata(copy) {
        Ok(there) if there.is_dir() => Client::Blocked,
        _ if is_copy(copy, &bytes).unwrap_or(false) => Client::Current,
        _ => Client::Outdated,
    }
}

/// Copies `source` to `copy`. A file that the container has put in its place is replaced, not written to.
pub(crate) fn install(source: &Path, copy: &Path) -> Result<()> {
    let bytes = fs::read(source).with_context(|| format!("read: {}", escape_path(source)))?;
    let is_ours = |there: fs::Metadata| {
        there.uid() == nix::unistd::geteuid().as_raw() && there.mode() & 0o7777 == CLIENT_MODE
    };
    // A write keeps owner and mode of a file that is there.
    if fs::symlink_metadata(copy).is_ok_and(|there| !is_ours(there)) {
        fs::remove_file(copy).with_context(|| format!("remove: {}", escape_path(copy)))?;
    }
    common::atomic::write(copy, &bytes, CLIENT_MODE)?;
    Ok(())
}

fn is_copy(copy: &Path, bytes: &[u8]) -> io::Result<bool> {
    // Opening a device can do something; what comes in the file's place after this look is at least not waited for.
    if !fs::symlink_metadata(copy)?.is_file() {
        return Ok(false);
    }
    let file = regular_file::open_unlinked(copy)?;
    let metadata = file.metadata()?;
    let mut there = Vec::with_capacity(bytes.len());
    file.take(bytes.len() as u64 + 1).read_to_end(&mut there)?;
    let is_mine = metadata.uid() == nix::unistd::geteuid().as_raw();
    Ok(is_mine && metadata.mode() & 0o7777 == CLIENT_MODE && there == bytes)
}

/// Whether `bytes` are a program that needs no other file to run: an ELF file without an interpreter (elf(5),
/// `PT_INTERP`). The container may hold another libc, or none at all.
fn runs_anywhere(bytes: &[u8]) -> Result<(), &'static str> {
    const CUT: &str = "the file is cut off";
    const PT_INTERP: u32 = 3;
    let number = |at: usize, length: usize| -> Option<usize> {
        let field = bytes.get(at..at.checked_add(length)?)?;
        let value = match bytes.get(5)? {
            2 => field.iter().fold(0_u64, |value, &byte| (value << 8) | u64::from(byte)),
            _ => field.iter().rev().fold(0_u64, |value, &byte| (value << 8) | u64::from(byte)),
        };
        usize::try_from(value).ok()
    };
    if !bytes.starts_with(b"\x7fELF") {
        return Err("it is not a program");
    }
    let wide = bytes.get(4) == Some(&2);
    let (table, size, count) = match wide {
        true => (number(32, 8), number(54, 2), number(56, 2)),
        false => (number(28, 4), number(42, 2), number(44, 2)),
    };
    let (Some(table), Some(size), Some(count)) = (table, size, count) else { return Err(CUT) };
    for index in 0..count {
        let kind = index.checked_mul(size).and_then(|offset| number(table.checked_add(offset)?, 4));
        match kind {
            Some(kind) if kind == PT_INTERP as usize => return Err("it is linked dynamically"),
            Some(_) => {}
            None => return Err(CUT),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_static_program_is_taken() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        // A test binary is linked dynamically, unless all of the workspace is built static.
        if !cfg!(target_feature = "crt-static") {
            assert_eq!(runs_anywhere(&own), Err("it is linked dynamically"));
        }
        assert_eq!(runs_anywhere(b"#!/bin/sh\n"), Err("it is not a program"));
        assert_eq!(runs_anywhere(&own[..50]), Err("the file is cut off"));
        let mut still = own[..64].to_vec();
        still[56..58].fill(0);
        assert_eq!(runs_anywhere(&still), Ok(()), "no program headers, so no interpreter");
    }

    #[test]
    fn a_symlink_or_a_fifo_in_the_copys_place_is_no_copy() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("backrest-send");
        std::os::unix::fs::symlink("/etc/passwd", &copy).unwrap();
        assert!(!is_copy(&copy, b"x").unwrap());
        fs::remove_file(&copy).unwrap();
        nix::unistd::mkfifo(&copy, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(!is_copy(&copy, b"x").unwrap());
    }
}
