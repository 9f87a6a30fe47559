//! The promises of the crate, each kept over a real socket and against a real PostgreSQL.

mod support;

mod authorize;
mod body;
mod disconnect;
mod errors;
mod isolation;
mod missing_middleware;
mod nesting;
#[cfg(feature = "ops")]
mod ops;
mod optional;
mod overhead;
mod panic;
mod rejection;
mod resolvers;
mod scope;
mod streaming;
mod transaction;
mod workers;
mod wrap;
