//! Tenants that are isolated by row: they are rows in the catalog, and in tables that all of them use.
//!
//! Whatever works on the schema of a tenant never gets here, and nothing here works on schemas: see
//! [`Site::rows`](crate::catalog::Site).

mod advance;
mod clone;
mod collected;
mod columns;
mod copies;
mod create;
mod delete;
mod drop;
mod export;
mod file;
mod fit;
mod inherited;
mod key;
mod moving;
mod order;
mod pair;
mod received;
mod rename;
mod restore;
mod sifted;
mod tables;

pub(crate) use moving::{Catching, ChangeLog, RowsAt};
