//! The command line of [Tenantry](tenantry): the `tenantry` binary, and the same commands for a service's own binary.
//!
//! The library does the work; a command parses its arguments, calls the library and prints the result. The guide is
//! `docs/cli.md` in the repository.
//!
//! # In a service's own binary
//!
//! A service with seeds in Rust, embedded migrations or a custom catalog passes them to [`Cli`], and has all
//! commands:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use tenantry::{TenantManager, migrate::Migrations, seed::Seed};
//! use tenantry_cli::Cli;
//!
//! #[tokio::main]
//! async fn main() -> ExitCode {
//!     let manager = TenantManager::builder("postgres://app@localhost/saas").build().unwrap();
//!     if std::env::args_os().len() > 1 {
//!         let roles = Seed::sql("roles", "insert into roles (name) values ('admin')");
//!         return Cli::new()
//!             .name("my-service")
//!             .manager(manager)
//!             .migrations(Migrations::from_dir("migrations/tenants").unwrap())
//!             .seeds([roles])
//!             .run()
//!             .await;
//!     }
//!     // serve …
//!     ExitCode::SUCCESS
//! }
//! ```
//!
//! `my-service migrate --all`, `my-service seed --all`, `my-service doctor` and all others then work like the
//! `tenantry` binary, on this manager.
//!
//! # Features
//!
//! | feature | default | what it does |
//! |---|---|---|
//! | `download` | on | `doctor --demo` and `prepare` download server binaries if this machine has none |
//! | `top` | on | the command `top`, with a crate for terminal user interfaces |
//!
//! Without these features a service's own binary builds faster: `default-features = false`.
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | success, possibly with warnings unless `--strict` is given |
//! | 1 | problems were found: drift, failed tenants, an unhealthy database |
//! | 2 | the command could not run, or was interrupted |

mod cli;
mod command;
mod context;
mod exit;
mod failure;
mod given;
mod global;
mod interrupt;
mod output;
mod own_schema;
mod postgres;
mod scrape;
mod selection;
mod settings;
mod words;

pub use cli::Cli;

/// Returns the JSON Schema of each command's `--json` output, keyed by the name of its file in `docs/schemas`.
#[doc(hidden)]
#[must_use]
pub fn json_schemas() -> std::collections::BTreeMap<&'static str, serde_json::Value> {
    command::json_schemas()
}
