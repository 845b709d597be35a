//! The host's side of the bridge: the folder, the FIFO, the listener, what starts it again.
//!
//! In come the facts that were inspected, out goes one check each, with the command that fixes what is wrong.

use std::fs;
use std::process::Command;
use std::time::Duration;

use common::contract::status::{Check, CheckState, Fix};
use common::process::{self, Limits};
use common::text::escape_path;

use crate::cli::Supervisor;
use crate::crontab::{Crontab, lines};
use crate::inspect::Facts;
use crate::inspect::client::{Client, INSTALL};
use crate::places::Places;
use crate::setup;

/// Run again, the set-up puts right what is missing; without a container root there is nothing yet.
fn set_up(facts: &Facts) -> Fix {
    Fix::ours(match facts.container_root.is_folder() {
        true => "create-backrest-pipe",
        false => "create-backrest-pipe init",
    })
}

pub(super) fn checks(facts: &Facts, places: &Places) -> Vec<Check> {
    let mut checks = vec![folder(facts, places), listener(facts, places)];
    if facts.listener.is_some() {
        checks.push(answer(places));
    }
    checks.push(client(facts, places));
    checks.push(after_reboot(facts, places));
    checks.extend(facts.bash_listeners.iter().map(|old| {
        Check::bad("listener", format!("a Bash listener takes messages away: {}", old.command), set_up(facts))
    }));
    checks
}

fn folder(facts: &Facts, places: &Places) -> Check {
    let name = "bridge";
    if let Some(complaint) = setup::refuse(facts, places).into_iter().next() {
        let fix = complaint.fix.filter(|_| facts.container_root.is_folder());
        return Check::bad(name, complaint.what, fix.unwrap_or_else(|| set_up(facts)));
    }
    match setup::lacks(facts).first() {
        Some((verb, object)) => Check::bad(name, format!("not complete: {} {object}", verb.0), set_up(facts)),
        None => {
            Check::good(name, format!("folder and FIFO are in place: {}", escape_path(&facts.bridge.path)))
        }
    }
}

fn listener(facts: &Facts, places: &Places) -> Check {
    let Some(holder) = &facts.listener else {
        let fix = match facts.record.supervisor {
            Some(Supervisor::None) => {
                format!("start it in your own way: {}", escape_path(&places.listener[0])).into()
            }
            _ => set_up(facts),
        };
        let what = "no listener runs: hooks fail, or hang if they write to the FIFO";
        return Check::bad("listener", what, fix);
    };
    let Some(other) = &facts.other_program else {
        return Check::good("listener", format!("it listens: {holder}"));
    };
    let fix = match (facts.record.supervisor, holder.process) {
        (Some(Supervisor::None), Some(process)) => {
            format!("stop it and start the installed one: kill {process}").into()
        }
        _ => set_up(facts),
    };
    let what = format!("another program than the installed one listens: {holder}: {}", escape_path(other));
    Check::bad("listener", what, fix)
}

/// Whether the socket answers, asked with the client that is installed on the host.
fn answer(places: &Places) -> Check {
    let mut command = Command::new(&places.client_source);
    command.arg("--bridge").arg(places.layout.bridge()).args(["--timeout", "10s", "ping"]);
    match process::capture(&mut command, b"", Limits::within(Duration::from_secs(15)), None) {
        Err(error) if process::is_not_installed(&error) => {
            Check::unknown("socket", "not tried: backrest-send is not installed", INSTALL)
        }
        Err(error) => {
            let what = format!("not tried: {}", common::exit::one_line(&error));
            Check::unknown("socket", what, format!("{} --version", escape_path(&places.client_source)))
        }
        Ok(asked) => match asked.success() {
            Ok(_) => Check::good("socket", "the listener answers over the socket"),
            Err(error) => {
                Check::bad("socket", common::exit::one_line(&error), Fix::ours("create-backrest-pipe log"))
            }
        },
    }
}

fn client(facts: &Facts, places: &Places) -> Check {
    let name = "client";
    if facts.client == Client::Current {
        let what = "backrest-send is in the bridge, linked statically, of this version";
        return Check::good(name, what);
    }
    match facts.client.obstacle(&places.client_source) {
        Some(obstacle) => Check { name: name.into(), state: CheckState::Bad, ..obstacle },
        None => Check::bad(
            name,
            "backrest-send is missing in the bridge, or not the installed one",
            set_up(facts),
        ),
    }
}

fn after_reboot(facts: &Facts, places: &Places) -> Check {
    let name = "reboot";
    match facts.record.supervisor.unwrap_or(Supervisor::Cron) {
        Supervisor::Systemd if !facts.unit.is_enabled => {
            let fix = Fix::ours("create-backrest-pipe --supervisor systemd");
            Check::bad(name, "the systemd unit is not enabled", fix)
        }
        Supervisor::Systemd if facts.unit.lingers == Some(false) => {
            let what = "the systemd unit starts when you log in, not with the machine";
            Check::bad(name, what, "loginctl enable-linger")
        }
        Supervisor::Systemd => Check::good(name, "systemd starts the listener with the machine"),
        Supervisor::Cron => {
            let Crontab::Text(text) = &facts.crontab else {
                return Check::bad(name, "nothing starts the listener after a reboot", set_up(facts));
            };
            match lines::with_listener(text, &places.listener, places.layout.container_dir()) {
                Ok(edited) if !edited.changes.is_empty() => {
                    Check::bad(name, "the listener's line is not in your crontab", set_up(facts))
                }
                _ if !is_cron_running() => {
                    let what = "the line is in your crontab, but cron does not run";
                    Check::bad(name, what, "sudo systemctl enable --now cron")
                }
                _ => Check::good(name, "a line in your crontab starts the listener"),
            }
        }
        Supervisor::None => {
            let fix = "let it be started with the machine: create-backrest-pipe --supervisor cron";
            Check::unknown(name, "you start the listener in your own way", Fix::ours(fix))
        }
    }
}

fn is_cron_running() -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    processes.flatten().any(|process| {
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        ["cron", "crond", "fcron", "anacron"].contains(&name.trim_end())
    })
}
