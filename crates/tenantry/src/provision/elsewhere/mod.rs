//! Tenants in a database of their own, or on a further server.
//!
//! Their row in the catalog and their container are in different databases, so no transaction has both. Every change
//! is a sequence of steps that the row records, and that any process can continue:
//!
//! ```text
//! create: row with the step `making` ─▶ database ─▶ schema ─▶ migrations ─▶ seeds ─▶ row without a step
//! failed: step `undoing` ─▶ container removed ─▶ row deleted
//! drop:   step `dropping` ─▶ container removed ─▶ row deleted
//! ```
//!
//! A spare database is made without a row. A creation takes it where it would create one: one transaction gives it the
//! creation's mark and the tenant's name.
//!
//! A tenant with a step is not served. A container carries the [mark](super::mark::Mark) of the creation that made it, so that
//! the container of another tenant or application is never used or removed.

mod create;
mod database;
mod drop;
mod for_move;
mod found;
mod rename;
mod rights;
mod schema;
mod spare;
mod spare_filling;
mod spare_taking;
mod undo;

pub(super) use create::refuse_elsewhere;
pub(crate) use schema::{
    ensure as ensure_schema, name_of as name_of_schema, oid_of as oid_of_schema,
};
pub(crate) use spare::SpareDatabases;
pub(super) use spare_filling::home_of;
