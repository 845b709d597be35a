//! As much of HTTP as the server needs: one request after another on a connection.
//!
//! In comes what a client sends; a body without a length is not read.

use std::io::{BufRead, Write};
use std::net::TcpStream;

use serde_json::json;

/// A request.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) kind: String,
    pub(super) token: String,
    pub(super) body: Vec<u8>,
}

pub(super) fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_string);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { method, path, kind: String::new(), token: String::new(), body: Vec::new() };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => request.body = vec![0; value.parse().unwrap()],
            "content-type" => request.kind = value.into(),
            "authorization" => request.token = value.into(),
            _ => {}
        }
    }
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

pub(super) fn head(
    mut connection: &TcpStream,
    status: u16,
    kind: &str,
    length: usize,
) -> std::io::Result<()> {
    write!(connection, "HTTP/1.1 {status} S\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")
}

pub(super) fn refused(status: u16, code: &str, message: &str) -> (u16, String) {
    (status, json!({ "code": code, "message": message }).to_string())
}
