//! A service's name where it has to be text: in the journal, and as the name of a log or history file.
//!
//! A name is any bytes but `/` and NUL. Bytes that are no UTF-8, control characters and `%` are written as `%XX`, so
//! two names never become one and the name can be had back.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// `name` as text that stands for nothing else.
pub(crate) fn encode(name: &OsStr) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || c.is_control() {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(out, "%{byte:02X}");
                }
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The name that [`encode`] turned into `text`; `None` where it did not.
pub(crate) fn decode(text: &str) -> Option<OsString> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    Some(OsString::from_vec(bytes))
}

/// For serde, of a name or a path.
pub(crate) fn serialize<S: Serializer>(name: &impl AsRef<OsStr>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encode(name.as_ref()))
}

/// Likewise.
pub(crate) fn deserialize<'de, N: From<OsString>, D: Deserializer<'de>>(text: D) -> Result<N, D::Error> {
    let name = decode(&String::deserialize(text)?);
    name.map(N::from).ok_or_else(|| D::Error::custom("not a name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back() {
        for name in
            [&b"immich"[..], b"with blank", b"line\nbreak", b"100%", b"%41", b"\xff\xfe", "Käse".as_bytes()]
        {
            let name = OsStr::from_bytes(name);
            let text = encode(name);
            assert!(!text.contains('\n'), "{text}");
            assert_eq!(decode(&text).as_deref(), Some(name), "{text}");
        }
        assert_eq!(encode(OsStr::new("Käse 1")), "Käse 1");
    }

    #[test]
    fn damaged_text_is_no_name() {
        assert_eq!((decode("%4"), decode("%zz"), decode("%ä")), (None, None, None));
    }
}
