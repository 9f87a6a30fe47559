//! The promises of the crate, each kept against a real PostgreSQL.

mod support;

mod isolation;
