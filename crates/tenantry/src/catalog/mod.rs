//! Where tenants are listed, with state and placement.
//!
//! A [`Catalog`] answers two questions: who is this tenant, and who are all of them. There is one
//! that [discovers schemas](SchemaDiscovery) by their name, one that reads a [table](TableCatalog), a
//! [fixed list](FixedCatalog) and a [closure](CatalogFn). The manager remembers the answers for a
//! while, the negative ones too, and never asks twice at once for one tenant.

mod cache;
mod change;
mod closure;
mod discovery;
mod fixed;
mod listen;
mod table;

use std::fmt;

use futures_util::future::BoxFuture;

pub use cache::CatalogOptions;
pub(crate) use cache::{Decide, Dedicate, Lookup, Site};
pub use change::{CatalogChange, Write};
pub use closure::CatalogFn;
pub use discovery::SchemaDiscovery;
pub use fixed::FixedCatalog;
pub(crate) use listen::listen;
pub use table::TableCatalog;

use crate::{
    db::SharedDb,
    error::Error,
    tenant::{Ident, Isolation, TenantId, TenantRecord},
};

/// Where tenants are listed.
///
/// Implement it to keep tenants anywhere else. It is asked through a cache: an answer may be used for
/// as long as [`CatalogOptions`] says.
pub trait Catalog: fmt::Debug + Send + Sync + 'static {
    /// Looks one tenant up. `None` when there is no such tenant.
    ///
    /// # Errors
    ///
    /// Only when the question could not be answered; see [`Error::catalog`]. Failures are not
    /// remembered.
    fn resolve<'a>(&'a self, ask: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>>;

    /// Lists all tenants, the suspended ones too.
    ///
    /// # Errors
    ///
    /// When the list could not be read, or when this catalog cannot list.
    fn list<'a>(&'a self, ask: Ask<'a>) -> Answer<'a, Vec<TenantRecord>>;

    /// Checks what can be checked without asking anybody. Called when the manager is built.
    ///
    /// # Errors
    ///
    /// When the catalog contradicts itself, such as two tenants in one container.
    fn check(&self, isolation: &Isolation) -> Result<(), Error> {
        let _ = isolation;
        Ok(())
    }

    /// Writes a change of the list, in the transaction in which the container is changed: both happen
    /// or neither.
    ///
    /// By default nothing is written for a tenant that was [created](CatalogChange::Created) or
    /// [dropped](CatalogChange::Dropped), for catalogs that are kept elsewhere or find tenants by
    /// themselves, and every other change is refused.
    ///
    /// # Errors
    ///
    /// When it could not be written, or when this catalog cannot be written.
    fn write<'a>(&'a self, write: Write<'a>, change: CatalogChange<'a>) -> Answer<'a, ()> {
        let _ = write;
        Box::pin(std::future::ready(change.unwritten()))
    }

    /// Names the channel on which changes are announced with `NOTIFY`, if they are: the payload is a
    /// tenant id, or empty for all of them. The manager then keeps one connection of its budget for
    /// listening.
    fn channel(&self) -> Option<&str> {
        None
    }
}

/// What a [`Catalog`] returns.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// What a [`Catalog`] may use to find its answer.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Ask<'a> {
    /// The same connections for the library's own catalogs, which name every schema: nothing that an
    /// application has created is looked up for them.
    pub(crate) library: &'a SharedDb,
    /// The shared schema. These connections come from the reserve, so a flood of requests does not
    /// keep the catalog from being read.
    pub shared: &'a SharedDb,
    /// The name of the shared schema.
    pub shared_schema: &'a Ident,
    /// How tenants are kept apart.
    pub isolation: &'a Isolation,
}

/// The connections that a catalog is asked with.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) library: SharedDb,
    pub(crate) shared: SharedDb,
}
