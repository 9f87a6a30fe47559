//! The parts that all examples share: log, port, database, the `curl` lines to try, and errors in
//! one line.
//!
//! A service binds its port *before* it starts a database server: an occupied port is reported at
//! once, and there is nothing to undo.
//!
//! ```ignore
//! #[tokio::main]
//! async fn main() -> ExitCode {
//!     example_support::exit_code(run().await)
//! }
//!
//! async fn run() -> anyhow::Result<()> {
//!     start_log("info");
//!     let listener = bind()?;
//!     let database = database().await?;
//!     // … the example …
//!     show(listener.local_addr()?, "the tenants are acme and globex", &lines);
//! }
//! ```

pub mod crud;
mod database;
mod failure;
mod listen;
mod log;
mod prepare;
mod show;
#[cfg(feature = "testing")]
pub mod testing;

pub use database::database;
pub use failure::exit_code;
pub use listen::{ListenError, bind};
pub use log::start_log;
pub use prepare::{acme_and_globex, migrate, prepare};
pub use show::{say, show};
pub use tenantry_devdb::Database;
