//! The tool against real OpenSSH servers, in namespaces of their own.

#![cfg(test)]

mod asyncssh;
mod bare;
mod documented;
mod dropbear;
mod failures;
mod host_keys;
mod install;
mod jump;
mod killed;
mod later;
mod meanwhile;
mod no_namespaces;
mod odd_files;
mod ordinary_user;
mod other_paths;
mod output;
mod own_config;
mod people;
mod plain;
mod restriction;
mod rotation;
mod servers;
mod world;
