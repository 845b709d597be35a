//! A server of the world's that is no OpenSSH: Dropbear, as routers have it.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::world::World;

/// A running Dropbear.
pub(crate) struct Dropbear {
    child: Child,
    host_key: String,
}

impl Dropbear {
    /// Its public host key: `ssh-ed25519 AAAA…`.
    pub(crate) fn host_key(&self) -> &str {
        &self.host_key
    }
}

/// Ends what started it; the server itself ends with the world.
impl Drop for Dropbear {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl World {
    /// Starts a Dropbear.
    #[track_caller]
    pub(crate) fn dropbear(&self, port: u16) -> Dropbear {
        let script = format!(
            "dropbearkey -t ed25519 -f /srv/dropbear >/srv/dropbear.pub 2>&1 && \
             exec dropbear -F -E -p 127.0.0.1:{port} -r /srv/dropbear -P /srv/dropbear.pid"
        );
        let mut command = self.command("sh");
        command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("start dropbear");
        let end = Instant::now() + Duration::from_secs(20);
        while !self.srv("dropbear.pid").exists() {
            assert!(Instant::now() < end, "dropbear does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        let public = self.text(&self.srv("dropbear.pub"));
        let key = public.lines().find(|line| line.starts_with("ssh-ed25519 ")).expect("dropbear's host key");
        let host_key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        Dropbear { child, host_key }
    }
}
