//! Catalogs: the lists of tenants, with state and placement.
//!
//! A [`Catalog`] looks up a tenant and lists all tenants. One [discovers schemas](SchemaDiscovery)
//! by their name, one reads a [table, view or query](TableCatalog), and there are a
//! [fixed list](FixedCatalog) and a [closure](CatalogFn). The manager caches the answers for a
//! while, including negative ones, and never runs two concurrent look-ups for one tenant. Waiting
//! ids are looked up together, and known tenants are served while the catalog does not answer: see
//! [`CatalogOptions`].

mod change;
mod closure;
mod desk;
mod discovery;
mod fixed;
mod holders;
mod listen;
mod load;
mod lookup;
mod memory;
mod moved;
mod options;
mod outage;
mod page;
mod placing;
mod questions;
mod rules;
mod shared_place;
mod table;

use std::{collections::HashMap, fmt, io, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::timeout;

pub use change::{CatalogChange, Write};
pub use closure::CatalogFn;
pub use discovery::SchemaDiscovery;
pub use fixed::FixedCatalog;
pub(crate) use listen::listen;
pub(crate) use lookup::Lookup;
pub(crate) use moved::Moved;
pub use options::CatalogOptions;
pub use page::Page;
pub(crate) use placing::Isolations;
pub(crate) use rules::{
    ChooseTier, Complete, Decide, Dedicate, Known, RowsOfTenant, Rules, Site, refuse_moving,
};
pub(crate) use shared_place::SharedPlace;
pub use table::{CatalogColumns, TableCatalog};

use crate::{
    db::SharedDb,
    error::Error,
    tenant::{Ident, Isolation, TenantId, TenantRecord},
};

/// The list of tenants.
///
/// Implement it to store tenants elsewhere. The manager caches the answers for as long as
/// [`CatalogOptions`] says.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a catalog of tenants",
    label = "not a `Catalog`",
    note = "use `SchemaDiscovery`, `TableCatalog` or `FixedCatalog`; wrap a closure in `CatalogFn::new`"
)]
pub trait Catalog: fmt::Debug + Send + Sync + 'static {
    /// Looks up one tenant. `None` if there is no such tenant.
    ///
    /// # Errors
    ///
    /// Only when the look-up fails; see [`Error::catalog`]. Failures are not cached.
    fn resolve<'a>(&'a self, ask: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>>;

    /// Looks up several tenants at once, at most [`batch`](Self::batch). An id missing from the
    /// answer is not a tenant; an error in it affects only that tenant.
    ///
    /// By default, [resolves](Self::resolve) each separately, one after the other.
    ///
    /// # Errors
    ///
    /// Only when the look-up fails: then no answer is known for any of the tenants.
    fn resolve_many<'a>(&'a self, ask: Ask<'a>, ids: &'a [TenantId]) -> Answer<'a, Resolved> {
        Box::pin(async move {
            let mut resolved = Resolved::new();
            for id in ids {
                if let Some(record) = self.resolve(ask, id).await? {
                    resolved.insert(id.clone(), Ok(record));
                }
            }
            Ok(resolved)
        })
    }

    /// Maximum number of tenants that [`resolve_many`](Self::resolve_many) looks up at once.
    /// Default: 1; each tenant is [resolved](Self::resolve) separately.
    ///
    /// Increase it for a catalog that can answer for many ids: look-ups use only as many
    /// connections as the pool reserves, often a single one.
    fn batch(&self) -> usize {
        1
    }

    /// Returns `true` if look-ups use the connections of [`Ask`]. Default: `true`, so that only as
    /// many look-ups run at a time as the pool has
    /// [reserved connections](crate::PoolOptions::reserved_connections), and at least one.
    ///
    /// A catalog that queries another service returns `false`: up to 100 of its look-ups run at a
    /// time.
    fn takes_connections(&self) -> bool {
        true
    }

    /// Lists all tenants, including suspended ones.
    ///
    /// # Errors
    ///
    /// When the list could not be read, or when this catalog cannot list tenants.
    fn list<'a>(&'a self, ask: Ask<'a>) -> Answer<'a, Vec<TenantRecord>>;

    /// Lists one page of the tenants: the first, or the one that [`Page::next`] of the previous
    /// page names. Each page may take up to [`CatalogOptions::timeout`].
    ///
    /// By default all tenants are on one page. Tenants that are created or renamed while pages are
    /// read may be missing, and a renamed one may appear twice.
    ///
    /// # Errors
    ///
    /// Like [`list`](Self::list).
    fn list_page<'a>(&'a self, ask: Ask<'a>, from: Option<&'a str>) -> Answer<'a, Page> {
        let _ = from;
        Box::pin(async move { Ok(Page::last(self.list(ask).await?)) })
    }

    /// Checks the configuration without I/O. Called when the manager is built.
    ///
    /// # Errors
    ///
    /// When the catalog is contradictory, such as with two tenants in one container.
    fn check(&self, isolation: &Isolation) -> Result<(), Error> {
        let _ = isolation;
        Ok(())
    }

    /// Writes a change to the list, in the transaction that changes the container: both happen or
    /// neither.
    ///
    /// By default, a [creation](CatalogChange::Created) or [drop](CatalogChange::Dropped) writes
    /// nothing, for catalogs that are maintained elsewhere or discover tenants, and every other
    /// change is refused.
    ///
    /// # Errors
    ///
    /// When the write fails, or when this catalog is read-only.
    fn write<'a>(&'a self, write: Write<'a>, change: CatalogChange<'a>) -> Answer<'a, ()> {
        let _ = write;
        Box::pin(std::future::ready(change.unwritten()))
    }

    /// Returns `true` if tenants are listed as soon as this catalog has [written](Self::write)
    /// their creation, or [discovers schemas](Self::finds_schemas). Default: `true`.
    ///
    /// If it is `false`, because the list is read-only and maintained elsewhere, no schema is
    /// [adopted](crate::provision::Provisioner::adopt): it would get a tenant's name but no tenant.
    fn lists_new(&self) -> bool {
        true
    }

    /// Returns `true` if a tenant exists as soon as its schema does. An unfinished schema then
    /// never has a tenant's name. Default: `false`.
    fn finds_schemas(&self) -> bool {
        false
    }

    /// Returns `true` if a schema is never a tenant's, whatever its name. Default: `false`.
    ///
    /// No tenant is created in such a schema, and the doctor does not report it as orphaned.
    fn excludes(&self, schema: &Ident) -> bool {
        let _ = schema;
        false
    }

    /// Returns the table or view of the shared schema that this catalog reads, if it reads one. Default: `None`.
    ///
    /// It belongs to no tenant, so it needs no policy where the shared schema also has the rows of all tenants.
    fn table_in_shared_schema(&self) -> Option<&Ident> {
        None
    }

    /// Returns `true` if records can have a [role](TenantRecord::role). Default: `true`, so that
    /// the record is looked up before a tenant is created, and its role gets its privileges from
    /// the start.
    fn names_roles(&self) -> bool {
        true
    }

    /// Returns `true` if incomplete tenants can be recorded: this catalog writes the
    /// [step](TenantRecord::step) of a record, and its [progress](CatalogChange::Step). Default:
    /// `false`; the schema of such a tenant then has another name until the tenant is complete.
    ///
    /// # Errors
    ///
    /// When that could not be determined.
    fn keeps_steps<'a>(&'a self, write: Write<'a>) -> Answer<'a, bool> {
        let _ = write;
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Returns the channel on which changes are announced with `NOTIFY`, if they are: the payload
    /// is a tenant id, or empty for all tenants. The manager then uses one connection of its budget
    /// for listening.
    fn channel(&self) -> Option<&str> {
        None
    }
}

/// The return type of a [`Catalog`]'s methods.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Tenants by id, or the error of a tenant.
pub type Resolved = HashMap<TenantId, Result<TenantRecord, Error>>;

/// Number of tenants that the library's own catalogs look up with one statement.
const BATCH: usize = 500;

/// Extracts one tenant from the answer to a look-up of only that tenant.
fn one(resolved: Answer<'_, Resolved>) -> Answer<'_, Option<TenantRecord>> {
    Box::pin(async move { resolved.await?.into_values().next().transpose() })
}

/// Applies the catalog's timeout.
async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, answer)
        .await
        .unwrap_or_else(|late| Err(Error::catalog(io::Error::new(io::ErrorKind::TimedOut, late))))
}

/// Context in which a [`Catalog`] looks up tenants.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Ask<'a> {
    /// The same connections for the library's own catalogs, which qualify every name: no object of
    /// the application is resolved for them.
    pub(crate) library: &'a SharedDb,
    /// The shared schema. These connections come from the reserve, so a flood of requests does not
    /// block the catalog. A look-up should take one of them at a time: the reserve may have no
    /// more.
    pub shared: &'a SharedDb,
    /// The name of the shared schema.
    pub shared_schema: &'a Ident,
    /// The extension schemas, which belong to no tenant.
    pub(crate) extension_schemas: &'a [Ident],
    /// How tenants are isolated.
    pub isolation: &'a Isolation,
}

/// The connections for catalog queries.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) library: SharedDb,
    pub(crate) shared: SharedDb,
}
