//! `ssh-key-setup HOST`: the key, the server's access and the folder that the container mounts as `/root/.ssh`.
//!
//! In comes a host as typed after `ssh`; out go a folder and a proof. Resolve → generate → host keys → install → write →
//! prove, by the user's own `ssh` and `sftp`; the server's shell is never used.

mod cli;
mod connection;
mod dispatch;
mod jump_hosts;
mod keys_file;
mod names;
mod output;
mod prove;
mod question;
mod remove;
mod request;
mod rotate;
mod route;
mod run;
mod set_up;

mod ssh_folder;
mod stage;
mod targets;

fn main() -> std::process::ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first() {
        if first == connection::container_view::ENTER {
            return connection::container_view::entered(rest);
        }
    }
    common::exit::main("ssh-key-setup", dispatch::run)
}
