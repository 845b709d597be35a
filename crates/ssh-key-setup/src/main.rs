//! `ssh-key-setup HOST`: the key, the server's access and the folder that the container mounts as `/root/.ssh`.
//!
//! In comes a host as typed after `ssh`; out go a folder and a proof. Resolve → generate → host keys → install → write →
//! prove, by the user's own `ssh` and `sftp`; the server's shell is never used.

mod access;
mod algorithms;
mod authorized_keys;
mod chain;
mod cli;
mod config;
mod container;
mod container_view;
mod failure;
mod folder;
mod hops;
mod host_name;
mod install;
mod key;
mod known_hosts;
mod marks;
mod prove;
mod proxy_command;
mod reasons;
mod remove;
mod resolve;
mod rotate;
mod run;
mod say;
mod scratch;
mod server;
mod setup;
mod sftp;
mod ssh;
mod stage;
mod wishes;

fn main() -> std::process::ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first() {
        if first == container_view::ENTER {
            return container_view::entered(rest);
        }
    }
    common::exit::finish("ssh-key-setup", setup::run(&<cli::Cli as clap::Parser>::parse()))
}
