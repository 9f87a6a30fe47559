//! Throwaway PostgreSQL databases and servers for examples, tests and benches.
//!
//! [`DevDatabase`] is a fresh database in a shared server; [`DevServer`] is a dedicated server, for tests that stop
//! or freeze it. Both are removed when their value is dropped. [`SharedDatabase`] is one that all processes of a test
//! run share. [`Database`] is for programs that work on a given database, or on a throwaway one if none is given.
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
//! 1. `DATABASE_URL`, if it is set. Databases are created in that server and dropped afterwards. (A [`DevServer`]
//!    ignores it, because it must not stop a server that it did not start.)
//! 2. Server binaries on this machine, the newest first: those in `TENANTRY_PG_BIN`, which if set is the only place
//!    that is searched, so that tests can run on any version; else those on `PATH`, in the folder that
//!    `pg_config --bindir` prints, and where Debian, Red Hat, Alpine, Homebrew and Postgres.app install them.
//! 3. Binaries that are downloaded, if the feature `download` is on, and cached.
//!
//! If none of these works, one [`Error`] lists what was tried and what to do.
//!
//! PostgreSQL refuses to run as root; for root the server runs as the user `postgres`, or else
//! `nobody`.
//!
//! # Shared servers and their lifetime
//!
//! All processes of one user that need a [`DevDatabase`] share one server: the tests of a binary, the binaries of
//! `cargo test --workspace`, the process per test of `cargo nextest`. It runs for another ten to twenty seconds after
//! the last of them has ended, so that the next one finds it running.
//!
//! No server outlives its users for longer than that, whether they exit, panic or are killed. Each server has a
//! watchdog, a small shell process that reads pipes whose other ends the using processes hold; the kernel closes
//! those when a process dies for any reason. The watchdog then stops the server and removes its files. If the
//! watchdog itself is killed, the next process that starts a server cleans up.
//!
//! Files are in `$TMPDIR` if that is set, else in `/dev/shm` if it has 4 GiB or more, else in `/tmp`. Set `TMPDIR` to
//! keep large data on a disk instead of in memory.
//!
//! # Features
//!
//! | feature | default | what it does |
//! |---|---|---|
//! | `download` | off | downloads server binaries from GitHub if the machine has none |
//!
//! # Limits
//!
//! Unix only. Requires PostgreSQL 13 or newer, for `drop database … with (force)`.

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
mod standby;
mod template;
mod version;
mod watchdog;

pub use database::DevDatabase;
pub use error::Error;
pub use given::Database;
pub use server::{DevServer, DevServerBuilder};
pub use shared_database::{SharedDatabase, keep_server_up};
pub use version::Version;
