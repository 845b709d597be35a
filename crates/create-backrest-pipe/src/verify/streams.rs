//! What Backrest streams: the content of a file, and the log of an operation.
//!
//! A download that breaks just ends, so that only its length shows it; a log has an end of its own, and without it is cut.

use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::text::escape;
use serde::Deserialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Value, json};

use crate::hooks::api::Backrest;

/// More than an operation's output can be.
const LARGEST_OUTPUT: u64 = 8 << 20;

/// Hands on what comes, and returns how many bytes that were. The end of the connection is the end of the content.
pub(super) fn pump(
    mut body: impl Read,
    size: u64,
    each: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut read = 0;
    while let Ok(count @ 1..) = body.read(&mut buffer) {
        each(read, &buffer[..count])?;
        read += count as u64;
        super::READ.fetch_add(count as u64, Ordering::Relaxed);
        if read > size {
            break;
        }
    }
    Ok(read)
}

/// Reads a JSON object and hands on each element of the list `field`, without keeping any.
pub(super) fn each_of<T: DeserializeOwned>(
    field: &'static str,
    input: impl Read,
    each: &mut dyn FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut failed = None;
    let mut each = |element: T| each(element).map_err(|error| failed = Some(error));
    let mut json = serde_json::Deserializer::from_reader(input);
    let read = Elements { field, each: &mut each }.deserialize(&mut json);
    match (failed, read) {
        (Some(error), _) => Err(error),
        (None, read) => read.and_then(|()| json.end()).map_err(|error| match error.is_io() {
            // serde_json hides the cause by which a failed connection is known.
            true => io::Error::from(error).into(),
            false => error.into(),
        }),
    }
}

/// The object, then the list in it.
struct Elements<'a, T> {
    field: &'static str,
    each: &'a mut dyn FnMut(T) -> Result<(), ()>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Elements<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with a list of {}", self.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == self.field {
                map.next_value_seed(Elements { field: self.field, each: &mut *self.each })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.each)(element).map_err(|()| A::Error::custom("an element was refused"))?;
        }
        Ok(())
    }
}

/// The path of a signed download: `./download/TOKEN/`.
pub(super) fn download_path(address: &str) -> Option<String> {
    let token = address.strip_prefix("./download/")?.strip_suffix('/')?;
    let is_token =
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_token.then(|| format!("download/{token}/"))
}

/// A whole log. It comes as Connect's stream: envelopes of a byte of flags, four of length, and JSON.
pub(super) fn read_log(backrest: &Backrest, log: &str, limit: Duration) -> Result<Vec<u8>> {
    let message = serde_json::to_vec(&json!({ "ref": log }))?;
    let mut body = vec![0];
    body.extend(u32::try_from(message.len())?.to_be_bytes());
    body.extend(message);
    let answer = backrest.post("v1.Backrest/GetLogs", "application/connect+json", &body, limit)?;
    let mut stream = answer.into_body().into_with_config().limit(2 * LARGEST_OUTPUT).reader();
    let mut output = Vec::new();
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).context("its output broke off")?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        ensure!(u64::from(length) <= LARGEST_OUTPUT, "its output is larger than it can be");
        let mut message = vec![0; length as usize];
        stream.read_exact(&mut message).context("its output broke off")?;
        let message: Value = serde_json::from_slice(&message).context("its output can't be read")?;
        const LAST: u8 = 2;
        if head[0] & LAST != 0 {
            let error = message["error"]["message"].as_str();
            return error
                .map_or(Ok(output), |error| bail!("its output broke off: {}", escape(error.as_bytes())));
        }
        output.extend(STANDARD.decode(message["value"].as_str().unwrap_or_default())?);
        ensure!(output.len() as u64 <= LARGEST_OUTPUT, "its output is larger than it can be");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_one_by_one_and_a_cut_list_is_an_error() {
        let text = r#"{"path": "/x", "entries": [1, 2], "more": {"entries": [3]}}"#;
        let read = |text: &str| {
            let mut seen = Vec::new();
            let read = each_of("entries", text.as_bytes(), &mut |number: u32| {
                ensure!(number < 9, "nine");
                seen.push(number);
                Ok(())
            });
            (seen, read.map_err(|error| error.to_string()))
        };
        assert_eq!(read(text), (vec![1, 2], Ok(())));
        for cut in 1..text.len() {
            assert!(read(&text[..cut]).1.is_err(), "cut at {cut}");
        }
        assert_eq!(read("{}"), (vec![], Ok(())));
        assert_eq!(read(r#"{"entries": [1, 9, 2]}"#), (vec![1], Err("nine".into())));
    }

    #[test]
    fn only_a_download_is_followed() {
        assert_eq!(download_path("./download/aB3._-x/").as_deref(), Some("download/aB3._-x/"));
        for wrong in ["", "http://evil/download/x/", "./download//", "./download/../v1/", "./download/a/b/"] {
            assert_eq!(download_path(wrong), None, "{wrong}");
        }
    }
}
