//! A substitute for Uptime Kuma: takes pushes on a port of this host, accepts each, and keeps it.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use super::http::{head, read_request};

const ANSWER: &str = "{\"ok\":true}";

/// A server that runs until the process ends.
pub(crate) struct Kuma {
    address: SocketAddr,
    pushes: Mutex<Receiver<String>>,
}

impl Kuma {
    pub(crate) fn start() -> Result<Kuma> {
        let server = TcpListener::bind("127.0.0.1:0").context("listen to pushes")?;
        let address = server.local_addr().context("listen to pushes")?;
        let (sender, pushes) = channel();
        thread::spawn(move || {
            let pushed = server.incoming().flatten().filter_map(|stream| answer(&stream));
            pushed.for_each(|path| drop(sender.send(path)));
        });
        Ok(Kuma { address, pushes: Mutex::new(pushes) })
    }

    pub(crate) fn push_url(&self) -> String {
        format!("http://{}/api/push/e2e-token", self.address)
    }

    /// The paths of the pushes that came since this was asked last.
    pub(crate) fn take(&self) -> Vec<String> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner).try_iter().collect()
    }
}

fn answer(mut stream: &TcpStream) -> Option<String> {
    let request = read_request(&mut BufReader::new(stream)).ok()??;
    head(stream, 200, "application/json", ANSWER.len()).ok()?;
    stream.write_all(ANSWER.as_bytes()).ok()?;
    Some(request.path)
}
