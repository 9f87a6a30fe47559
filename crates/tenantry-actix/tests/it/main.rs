//! The promises of the crate, each kept over a real socket and against a real PostgreSQL.

mod spans;
mod support;

mod acceptance;
mod authorize;
mod bodies;
mod bound;
mod compiler_messages;
mod disconnect;
mod errors;
mod forgotten;
mod missing_middleware;
mod nesting;
#[cfg(feature = "ops")]
mod ops;
mod optional;
mod overhead;
mod rejection;
mod resolvers;
mod scope;
#[cfg(all(feature = "ops", feature = "serve"))]
mod serve;
mod workers;
mod wrap;
