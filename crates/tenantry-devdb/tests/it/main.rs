//! Every promise of the crate, kept against real servers.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod child;
mod children;
mod database;
mod database_url;
mod discovery;
mod folder;
mod no_server_left;
mod server;
mod shared_database;
mod template;
mod wait;
