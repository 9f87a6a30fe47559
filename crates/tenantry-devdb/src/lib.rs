//! A throwaway PostgreSQL for examples, tests and benches.
//!
//! [`DevDatabase`] is a fresh database in a server that many share; [`DevServer`] is a server of
//! one's own, for tests that stop or freeze it. Both go away with their value. [`SharedDatabase`] is one
//! that all processes of a test run find again. [`Database`] is for programs
//! that work on a database which they are given, and on a throwaway one if they are given none.
//!
//! ```no_run
//! # async fn example() -> Result<(), tenantry_devdb::Error> {
//! use tenantry_devdb::DevDatabase;
//!
//! let database = DevDatabase::create().await?;
//! println!("{}", database.url());
//! # Ok(()) }
//! ```
//!
//! # Where the server comes from
//!
//! In this order:
//!
//! 1. `DATABASE_URL`, if it is set. Databases of our own are made in that server and dropped
//!    afterwards. (A [`DevServer`] passes this by: nobody else's server may be stopped.)
//! 2. Server binaries on this machine, the newest first: those in `TENANTRY_PG_BIN`, which if set
//!    is the only place looked at, so that tests can run on any version; else those on `PATH`,
//!    where `pg_config --bindir` says, and where Debian, Red Hat, Alpine, Homebrew and Postgres.app
//!    put them.
//! 3. Binaries that are downloaded, if the feature `download` is on, and kept for the next time.
//!
//! If no way works, one [`Error`] lists what was tried and what to do.
//!
//! PostgreSQL refuses to run as root; for root the server runs as the user `postgres`, or else
//! `nobody`.
//!
//! # How many servers there are, and for how long
//!
//! All processes of one user that want a [`DevDatabase`] share one server: the tests of a
//! binary, the binaries of `cargo test --workspace`, the process per test of `cargo nextest`.
//! It stays ten to twenty seconds after the last of them has gone, so that the next one finds it
//! running.
//!
//! No server outlives its users for longer than that, whether they end, panic or are killed.
//! Each server has a watchdog, a small shell process that reads pipes whose other ends the using
//! processes hold; the kernel closes those when a process dies, of whatever. The watchdog then
//! stops the server and removes its files. Should the watchdog itself be killed, the next process
//! to start a server cleans up.
//!
//! Files are in `$TMPDIR` if that is set, else in `/dev/shm` if that holds 4 GiB or more, else in
//! `/tmp`. Set `TMPDIR` to have much data on a disk instead of in memory.
//!
//! # Features
//!
//! | feature | default | what it does |
//! |---|---|---|
//! | `download` | off | fetches server binaries from GitHub where a machine has none |
//!
//! # Limits
//!
//! Unix only. PostgreSQL 13 or newer, for `drop database … with (force)`.

#[cfg(not(unix))]
compile_error!("tenantry-devdb works on Unix only: it relies on sockets, pipes and signals there");

mod abandoned;
mod account;
mod admin;
mod blocking;
mod cluster;
mod database;
mod database_name;
mod discover;
#[cfg(feature = "download")]
mod download;
mod error;
mod given;
mod host;
mod installation;
mod runtime_dir;
mod server;
mod settings;
mod shared;
mod shared_database;
mod template;
mod version;
mod watchdog;

pub use database::DevDatabase;
pub use error::Error;
pub use given::Database;
pub use server::{DevServer, DevServerBuilder};
pub use shared_database::{SharedDatabase, keep_server_up};
pub use version::Version;
