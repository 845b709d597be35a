//! A substitute for Uptime Kuma: takes pushes on a port of this host, accepts each, and keeps it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\
                      Connection: close\r\n\r\n{\"ok\":true}";

/// A server that runs until the process ends.
pub(super) struct Kuma {
    address: SocketAddr,
    pushes: Arc<Mutex<Vec<String>>>,
}

impl Kuma {
    pub(super) fn start() -> Result<Kuma> {
        let server = TcpListener::bind("127.0.0.1:0").context("listen to pushes")?;
        let address = server.local_addr().context("listen to pushes")?;
        let pushes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&pushes);
        thread::spawn(move || {
            for stream in server.incoming().flatten() {
                if let Some(line) = answer(stream) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            }
        });
        Ok(Kuma { address, pushes })
    }

    /// The address to push to.
    pub(super) fn push_url(&self) -> String {
        format!("http://{}/api/push/e2e-token", self.address)
    }

    /// The pushes that came since this was asked last: of each the first line of its request.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.pushes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads one request to the empty line after its head, and answers.
fn answer(mut stream: TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    while lines.next()?.ok().is_some_and(|line| !line.is_empty()) {}
    stream.write_all(ANSWER.as_bytes()).ok()?;
    Some(first)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_push_is_answered_and_kept_once() {
        let kuma = Kuma::start().unwrap();
        let mut stream = TcpStream::connect(kuma.address).unwrap();
        stream.write_all(b"GET /api/push/e2e-token?status=up HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("{\"ok\":true}"));
        // It is kept after it was answered.
        while kuma.pushes.lock().unwrap().is_empty() {
            thread::yield_now();
        }
        assert_eq!(kuma.take(), ["GET /api/push/e2e-token?status=up HTTP/1.1"]);
        assert!(kuma.take().is_empty());
    }
}
