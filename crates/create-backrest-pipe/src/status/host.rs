//! What a backup needs besides: usable settings, the network, the monitor, the clock, room on the disk.
//!
//! What a reader gets wrong: what needs no right, because the network is
//! always up, is not a fault; and the monitor's push address is never asked, since that would be a push.

use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use common::contract::push::{Answer, Push, Pushes};
use common::contract::status::{Check, Fix};
use common::process::{self, Captured, Limits};
use common::settings::{PUSH_URL, Settings, plan_of};
use common::tailscale::Right;
use common::text::escape_path;
use common::units;
use ureq::http::Uri;

use crate::cli::Supervisor;
use crate::hooks::wiring::is_on_path;
use crate::init::find;
use crate::inspect::client::INSTALL;

/// What can't be used in `.env`, and what only this shell knows.
pub(super) fn settings(settings: &Settings) -> Vec<Check> {
    let fix = format!("correct the line in {}", escape_path(&settings.env_file));
    let problems = settings.problems.iter();
    let mut checks: Vec<_> =
        problems.map(|problem| Check::bad("settings", problem.to_string(), fix.as_str())).collect();
    // Flags go to the listener's command line; these it takes from its own environment, which cron does not set.
    for variable in ["IGNORE_FILE", "BACKUP_MOUNT", PUSH_URL] {
        if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            let what =
                format!("{variable} is set in this shell; after a reboot the listener does not have it");
            let fix = format!("set it in {} instead", escape_path(&settings.env_file));
            checks.push(Check::bad("settings", what, fix));
        }
    }
    for folder in find::instead_of(settings) {
        let folder = escape_path(folder);
        let what = format!("the services seem to be in {folder}, which is not a root");
        let fix = match settings.env_file.exists() {
            true => format!(
                "add the lines CONTAINER_ROOT={folder} and DATA_ROOT={folder} to {}",
                escape_path(&settings.env_file)
            ),
            false => format!("create-backrest-pipe init --container-root {folder} --data-root {folder}"),
        };
        checks.push(Check::bad("settings", what, fix));
    }
    for (root, flag) in [(&settings.container_root, "container"), (&settings.data_root, "data")] {
        if !root.is_dir() {
            let what = format!("the {flag} root is not there: {}", escape_path(root));
            let fix =
                format!("name the right folder with --{flag}-root; for a new one: create-backrest-pipe init");
            checks.push(Check::bad("settings", what, Fix::Ours(fix)));
        }
    }
    if checks.is_empty() {
        let (containers, data) = (escape_path(&settings.container_root), escape_path(&settings.data_root));
        let what = match containers == data {
            true => format!("one root for both: {data}"),
            false => format!("roots {containers} and {data}"),
        };
        checks.push(Check::good("settings", what));
    }
    checks
}

pub(super) fn checks(settings: &Settings, supervisor: Option<Supervisor>) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.extend(is_on_path("tailscale").then(|| tailscale(supervisor)));
    checks.extend(monitors(settings));
    checks.push(clock());
    checks.extend(disk(settings));
    checks
}

/// Whether the network can be brought up and taken down without a password.
fn tailscale(supervisor: Option<Supervisor>) -> Check {
    let name = "tailscale";
    let fix = "sudo tailscale set --operator=$USER";
    match common::tailscale::right(None) {
        Right::Root => Check::good(name, "root may bring it up and down"),
        Right::Operator => Check::good(name, "you are its operator"),
        Right::Sudo if supervisor == Some(Supervisor::Systemd) => {
            let what = "only sudo lets you bring it up and down, and the systemd unit forbids sudo";
            Check::bad(name, what, fix)
        }
        Right::Sudo => Check::good(name, "sudo lets you bring it up and down without a password"),
        // A network that is always up needs no rights.
        Right::None if common::tailscale::status(None).is_ok_and(|status| status.is_up()) => {
            Check::unknown(name, "it is up, but you may not bring it up for a backup", fix)
        }
        Right::None => {
            Check::bad(name, "you may not bring it up and down, so a backup to elsewhere fails", fix)
        }
    }
}

/// How each monitor answered the last push. Before the first one only its server is asked: the push address itself is
/// never asked, since that would be a push.
fn monitors(settings: &Settings) -> Vec<Check> {
    let pushes = Pushes::load(&settings.layout().pushes());
    let names = settings.push_settings().into_iter();
    let check = |name: String| {
        let url = settings.other(&name)?;
        Some(is_push_address(&name, &url).err().unwrap_or_else(|| match pushes.last.get(&name) {
            Some(push) => last_push(&name, push),
            None => server(&name, &url),
        }))
    };
    let mut checks: Vec<_> = names.filter_map(check).collect();
    if checks.is_empty() {
        return checks;
    }
    let mut pusher = settings.command(PUSHER, &["--version"]);
    let tried = process::capture(&mut pusher, b"", Limits::within(Duration::from_secs(15)), None);
    if tried.is_err_and(|error| process::is_not_installed(&error)) {
        let what = format!("{PUSHER} is not installed beside create-backrest-pipe: nothing can be pushed");
        checks.push(Check::bad(MONITOR, what, INSTALL));
    }
    checks
}

const MONITOR: &str = "kuma";
const PUSHER: &str = "backrest-push";

fn is_push_address(name: &str, url: &str) -> Result<(), Check> {
    let fix = "copy the push address from the monitor's page in Uptime Kuma";
    let uri = url.parse::<Uri>().ok().filter(|uri| uri.scheme().is_some() && uri.authority().is_some());
    match uri {
        None => Err(Check::bad(MONITOR, format!("{name} is not a web address"), fix)),
        Some(uri) if !uri.path().contains("/api/push/") => {
            Err(Check::bad(MONITOR, format!("{name} does not contain /api/push/"), fix))
        }
        Some(_) => Ok(()),
    }
}

fn last_push(name: &str, push: &Push) -> Check {
    let age = units::duration(super::age(push.at));
    let what = format!("the last push ({}, {age} ago) to {name}", push.state.word());
    match &push.answer {
        Answer::Accepted => Check::good(MONITOR, format!("{what} was accepted")),
        Answer::Refused(why) => {
            let fix = "check that the token is the monitor's and that the monitor is not paused";
            Check::bad(MONITOR, format!("{what} was refused: {why}"), fix)
        }
        Answer::Failed(why) => {
            let fix = format!("check that Uptime Kuma runs, and the address in {name}");
            Check::bad(MONITOR, format!("{what} did not arrive: {why}"), fix)
        }
    }
}

fn server(name: &str, url: &str) -> Check {
    let uri = url.parse::<Uri>().unwrap_or_default();
    let (scheme, host) =
        (uri.scheme_str().unwrap_or("http"), uri.authority().map_or("", |host| host.as_str()));
    let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .tls_config(tls)
        .build()
        .into();
    match agent.get(format!("{scheme}://{host}/")).call() {
        Ok(_) => {
            let plan = plan_of(name).map(|plan| format!(" --plan {plan}")).unwrap_or_default();
            let what =
                format!("the server of {name} answers; nothing was pushed yet, so its token is not proved");
            Check::note(
                MONITOR,
                what,
                Some(Fix::ours(format!("push once: echo 'a test' | {PUSHER} up{plan}"))),
            )
        }
        // The error names no more than the address that was asked, which has no token.
        Err(error) => {
            let fix = format!("check that Uptime Kuma runs, and the address in {name}");
            Check::bad(MONITOR, format!("Uptime Kuma does not answer: {error}"), fix)
        }
    }
}

fn clock() -> Check {
    let name = "clock";
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]);
    let limits = Limits::within(Duration::from_secs(15));
    match process::capture(&mut command, b"", limits, None).and_then(Captured::success).as_deref() {
        Ok(b"yes\n") => Check::good(name, "it is synchronised over the network"),
        Ok(b"no\n") => {
            let what = "it is not synchronised: snapshots get wrong times, and forget removes the wrong ones";
            Check::bad(name, what, "sudo timedatectl set-ntp true")
        }
        _ => Check::unknown(name, "clock synchronisation could not be checked", "compare with: date"),
    }
}

/// Less room than this is too little for dumps.
const LEAST: u64 = 1 << 30;

fn disk(settings: &Settings) -> Vec<Check> {
    let folders = [&settings.container_dir, &settings.data_root];
    let mut seen = Vec::new();
    let mut checks = Vec::new();
    for folder in folders {
        let Ok(stat) = nix::sys::statvfs::statvfs(folder.as_path()) else { continue };
        let device = std::fs::metadata(folder).map(|there| there.dev()).unwrap_or_default();
        if seen.contains(&device) {
            continue;
        }
        seen.push(device);
        let free = stat.blocks_available() * stat.fragment_size();
        let what = format!("{} free at {}", units::bytes(free), escape_path(folder));
        checks.push(match free < LEAST {
            true => Check::bad("disk", format!("only {what}: dumps may not fit"), "make room"),
            false => Check::good("disk", what),
        });
    }
    checks
}
