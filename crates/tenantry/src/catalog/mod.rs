//! Where tenants are listed, with state and placement.
//!
//! A [`Catalog`] answers two questions: who is this tenant, and who are all of them. There is one
//! that [discovers schemas](SchemaDiscovery) by their name, one that reads a [table, view or query](TableCatalog), a
//! [fixed list](FixedCatalog) and a [closure](CatalogFn). The manager remembers the answers for a
//! while, the negative ones too, and never asks twice at once for one tenant. Ids that wait are asked for
//! together, and tenants that are known are served while the catalog does not answer: see
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
mod options;
mod outage;
mod page;
mod rules;
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
pub use options::CatalogOptions;
pub use page::Page;
pub(crate) use rules::{Complete, Decide, Dedicate, Rules, Site};
pub use table::{CatalogColumns, TableCatalog};

use crate::{
    db::SharedDb,
    error::Error,
    tenant::{Ident, Isolation, TenantId, TenantRecord},
};

/// Where tenants are listed.
///
/// Implement it to keep tenants anywhere else. It is asked through a cache: an answer may be used for
/// as long as [`CatalogOptions`] says.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a catalog of tenants",
    label = "not a `Catalog`",
    note = "use `SchemaDiscovery`, `TableCatalog` or `FixedCatalog`; wrap a closure in `CatalogFn::new`"
)]
pub trait Catalog: fmt::Debug + Send + Sync + 'static {
    /// Looks one tenant up. `None` when there is no such tenant.
    ///
    /// # Errors
    ///
    /// Only when the question could not be answered; see [`Error::catalog`]. Failures are not
    /// remembered.
    fn resolve<'a>(&'a self, ask: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>>;

    /// Looks several tenants up with one question, at most [`batch`](Self::batch) of them. What is not in
    /// the answer is no tenant; an error in it is about one tenant alone.
    ///
    /// By default each is [resolved](Self::resolve) for itself, one after the other.
    ///
    /// # Errors
    ///
    /// Only when the question could not be answered: none of the tenants is known then.
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

    /// How many tenants [`resolve_many`](Self::resolve_many) looks up at once. Default: 1, each tenant is
    /// [resolved](Self::resolve) for itself.
    ///
    /// A catalog that can answer for many says so here: it is asked with as few connections as the pool
    /// reserves, often a single one.
    fn batch(&self) -> usize {
        1
    }

    /// Returns `true` if tenants are looked up with the connections of [`Ask`]. Default: `true`, so that
    /// only as many look-ups run at a time as the pool has
    /// [reserved connections](crate::PoolOptions::reserved_connections), and at least one.
    ///
    /// A catalog that asks another service returns `false`: up to 100 of its look-ups run at a time.
    fn takes_connections(&self) -> bool {
        true
    }

    /// Lists all tenants, the suspended ones too.
    ///
    /// # Errors
    ///
    /// When the list could not be read, or when this catalog cannot list.
    fn list<'a>(&'a self, ask: Ask<'a>) -> Answer<'a, Vec<TenantRecord>>;

    /// Lists a part of the tenants: the first page, or the one that [`Page::next`] of the page before
    /// names. Each page may take as long as [`CatalogOptions::timeout`] says.
    ///
    /// By default all tenants are on one page. Tenants that are created or renamed while pages are read
    /// may be missing, and a renamed one may be there twice.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    fn list_page<'a>(&'a self, ask: Ask<'a>, from: Option<&'a str>) -> Answer<'a, Page> {
        let _ = from;
        Box::pin(async move { Ok(Page::last(self.list(ask).await?)) })
    }

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

    /// Returns `true` if tenants are listed as soon as this catalog has [written](Self::write) that they were created,
    /// or [find themselves](Self::finds_schemas). Default: `true`.
    ///
    /// Where it is `false`, because the list is somebody else's and only read, no schema is
    /// [adopted](crate::provision::Provisioner::adopt): it would get a tenant's name and no tenant.
    fn lists_new(&self) -> bool {
        true
    }

    /// Returns `true` if a tenant is there as soon as its schema is. A schema that is not ready then never
    /// has a tenant's name. Default: `false`.
    fn finds_schemas(&self) -> bool {
        false
    }

    /// Returns `true` if a schema is never a tenant's, whatever its name. Default: `false`.
    ///
    /// No tenant is created in such a schema, and the doctor does not report it as left over.
    fn excludes(&self, schema: &Ident) -> bool {
        let _ = schema;
        false
    }

    /// Returns `true` if records can have a [role](TenantRecord::role). Default: `true`, so that a tenant
    /// that is created is looked up before, and its role gets its rights from the beginning.
    fn names_roles(&self) -> bool {
        true
    }

    /// Returns `true` if there is a place for a tenant that is not whole yet: this catalog writes the
    /// [step](TenantRecord::step) of a record, and [how it goes on](CatalogChange::Step). Default: `false`; the
    /// schema of such a tenant then has another name until the tenant is whole.
    ///
    /// # Errors
    ///
    /// When that could not be found out.
    fn keeps_steps<'a>(&'a self, write: Write<'a>) -> Answer<'a, bool> {
        let _ = write;
        Box::pin(std::future::ready(Ok(false)))
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

/// Tenants by their ids, or why one of them cannot be told.
pub type Resolved = HashMap<TenantId, Result<TenantRecord, Error>>;

/// How many tenants the library's own catalogs look up with one statement.
const BATCH: usize = 500;

/// Takes one tenant out of the answer to a question for it alone.
fn one(resolved: Answer<'_, Resolved>) -> Answer<'_, Option<TenantRecord>> {
    Box::pin(async move { resolved.await?.into_values().next().transpose() })
}

/// Waits for a catalog as long as it may take.
async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, answer)
        .await
        .unwrap_or_else(|late| Err(Error::catalog(io::Error::new(io::ErrorKind::TimedOut, late))))
}

/// What a [`Catalog`] may use to find its answer.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Ask<'a> {
    /// The same connections for the library's own catalogs, which name every schema: nothing that an
    /// application has created is looked up for them.
    pub(crate) library: &'a SharedDb,
    /// The shared schema. These connections come from the reserve, so a flood of requests does not
    /// keep the catalog from being read. A look-up should take one of them at a time: the reserve may
    /// have no more.
    pub shared: &'a SharedDb,
    /// The name of the shared schema.
    pub shared_schema: &'a Ident,
    /// The schemas of extensions, which are nobody's.
    pub(crate) extension_schemas: &'a [Ident],
    /// How tenants are kept apart.
    pub isolation: &'a Isolation,
}

/// The connections that a catalog is asked with.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) library: SharedDb,
    pub(crate) shared: SharedDb,
}
