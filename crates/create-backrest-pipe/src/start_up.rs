//! What starts the listener after a reboot: a line in the crontab, or a systemd user unit. Each is brought in and taken
//! away step by step.

pub(crate) mod cron;
pub(crate) mod systemd;
mod unit_text;
