//! PostgreSQL's own programs: `psql`, `pg_dump` and `pg_restore`.

mod archive;
mod child;
mod connection;
mod program;

pub(crate) use archive::Archive;
pub(crate) use child::{Child, Ran};
pub(crate) use connection::Connection;
pub(crate) use program::Program;
