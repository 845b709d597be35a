//! `create-backrest-pipe` as a user runs it: in a home of its own, with the real `crontab` program and the real
//! listener.

#![cfg(test)]

mod backrest;
mod compose;
mod doctor;
mod getting_started;
mod home;
mod hooks;
mod init;
mod interrupted;
mod layouts;
mod migrating;
mod output;
mod remove;
mod service_manager;
mod set_up;
mod status;
mod systemd;
mod take_over;
mod verify;
