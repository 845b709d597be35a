//! The key pair in the folder: found, or made; never over an existing one.
//!
//! It is ed25519 in `id_ed25519`. A folder of the old script has an ed25519 key named `id_rsa`: it is used as it is.
//! The public half is derived from the private one, so a run after an interruption between the two files completes the pair.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use common::atomic;
use common::exit::HintExt;
use common::process::{self, Limits};
use common::text::escape_path;
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey};

/// What a key's comment starts with.
pub(crate) const COMMENT: &str = "backrest-backup-key";

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) path: PathBuf,
    /// The private half's file name.
    pub(crate) name: String,
    pub(crate) public: String,
    pub(crate) fingerprint: String,
    pub(crate) made: bool,
}

impl Key {
    /// For people: the fingerprint, and whether the key is new.
    pub(crate) fn summary(&self) -> String {
        format!("{}, {}", self.fingerprint, if self.made { "made" } else { "kept" })
    }

    /// The public half as RFC 4716 has it, for servers that read no other form.
    pub(crate) fn rfc4716(&self) -> Result<String> {
        let mut command = Command::new("ssh-keygen");
        command.args(["-e", "-m", "RFC4716", "-f"]).arg(&self.path);
        let limits = Limits::within(Duration::from_secs(20));
        let text = process::capture(&mut command, b"", limits, None)?.success()?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// The key `name` in `folder`; made, with a comment for `host`, if it is missing.
pub(crate) fn find_or_make(folder: &Path, name: &str, host: Option<&str>) -> Result<Key> {
    let path = folder.join(name);
    let made = fs::symlink_metadata(&path).is_err();
    if made {
        make(&path, host)?;
    }
    Ok(Key { made, ..read(&path)? })
}

/// `path` with `suffix` after its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The key pair whose private half is `path`; the public file is written if it is missing or of another key.
pub(crate) fn read(path: &Path) -> Result<Key> {
    let key = read_only(path)?;
    let public_path = beside(path, ".pub");
    let line = format!("{}\n", key.public);
    if fs::read_to_string(&public_path).ok().as_deref().map(str::trim) != Some(line.trim()) {
        atomic::write(&public_path, line.as_bytes(), 0o600)?;
    }
    Ok(key)
}

/// The key pair whose private half is `path`; nothing is written.
pub(crate) fn read_only(path: &Path) -> Result<Key> {
    let naming = || format!("read the key: {}", escape_path(path));
    let derived = public_half(path).with_context(naming)?;
    let written = fs::read_to_string(beside(path, ".pub")).ok();
    let written = written.as_deref().and_then(|text| PublicKey::from_openssh(text.trim()).ok());
    // The public file has the comment if the private one has none.
    let public = written.filter(|written| written.key_data() == derived.key_data()).unwrap_or(derived);
    Ok(Key {
        path: path.to_path_buf(),
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        public: public.to_openssh().with_context(naming)?,
        fingerprint: public.fingerprint(HashAlg::Sha256).to_string(),
        made: false,
    })
}

fn make(path: &Path, host: Option<&str>) -> Result<()> {
    let naming = || format!("make the key: {}", escape_path(path));
    let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).with_context(naming)?;
    key.set_comment(host.map_or_else(|| COMMENT.to_owned(), |host| format!("{COMMENT} {host}")));
    let text = key.to_openssh(LineEnding::LF).with_context(naming)?;
    atomic::create_new(path, text.as_bytes(), 0o600)
}

/// Of a private key that OpenSSH can read. Old formats (PEM) are left to `ssh-keygen`.
fn public_half(path: &Path) -> Result<PublicKey> {
    let text = fs::read(path)?;
    match PrivateKey::from_openssh(&text) {
        Ok(key) if key.is_encrypted() => {
            Err(anyhow::anyhow!("it has a passphrase, which the container can't type"))
                .hint("move the key away and run this again to make one without")
        }
        Ok(key) => Ok(key.public_key().clone()),
        Err(_) => {
            let mut command = Command::new("ssh-keygen");
            command.args(["-y", "-P", "", "-f"]).arg(path);
            let captured =
                process::capture(&mut command, b"", Limits::within(Duration::from_secs(20)), None)?;
            let public = captured
                .success()
                .hint("it is not a private key that OpenSSH reads without a passphrase: move it away and run this again")?;
            Ok(PublicKey::from_openssh(String::from_utf8_lossy(&public).trim())?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_left_alone_and_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("id_ed25519"), "my notes").unwrap();
        let error = find_or_make(folder.path(), "id_ed25519", None).unwrap_err();
        assert!(format!("{error:#}").contains("id_ed25519"), "{error:#}");
        assert_eq!(fs::read(folder.path().join("id_ed25519")).unwrap(), b"my notes");
    }
}
