//! All tenants of a server, for operations on many of them at once.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::Stream;
use parking_lot::Mutex;
use sqlx::PgConnection;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::{Asked, CatalogChange, Lookup, Site},
    db::{Handle, SharedDb, TenantDb},
    error::{Error, ErrorKind},
    event::EvictReason,
    pool::{Class, Lease, Occupant, OccupantId, Server},
    tenant::{Binding, Ident, Isolation, TenantId, TenantRecord, TenantState},
};

/// Finds, lists and works on the tenants of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    server: Arc<Server>,
    /// The shared schema as the application uses it.
    shared: SharedDb,
    /// Catalog queries of the library itself: they may use the reserve and go first in the queue.
    asked: Asked,
    lookup: Lookup,
    /// Limits how many tenants may be in creation for longer than a transaction: each holds up to
    /// two connections while its seeds need another.
    underway: Arc<Semaphore>,
    first_use: Arc<Mutex<FirstUse>>,
    /// Cancels the background watcher.
    watch: Arc<Mutex<Option<CancellationToken>>>,
}

/// Callback for each tenant that this process sees for the first time.
#[derive(Clone, Default)]
struct FirstUse(Option<Arc<Tell>>);

type Tell = dyn Fn(&Fleet, &TenantId) + Send + Sync;

impl fmt::Debug for FirstUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FirstUse").field(&self.0.is_some()).finish()
    }
}

impl Fleet {
    pub(crate) fn new(server: Arc<Server>, shared: SharedDb, asked: Asked, lookup: Lookup) -> Self {
        server.set_shared(shared.occupant());
        let underway = Arc::new(Semaphore::new((server.places_for_upkeep() / 3).max(1)));
        Self {
            server,
            shared,
            asked,
            lookup,
            underway,
            first_use: Arc::default(),
            watch: Arc::default(),
        }
    }

    /// Creates a fleet of scratch schemas over a pool that was made for them. The shared schema is
    /// one of them.
    pub(crate) fn of_scratch(
        &self,
        server: Arc<Server>,
        isolation: Isolation,
        shared_schema: Ident,
    ) -> Self {
        let db = |id, class, binding| {
            let occupant = Arc::new(Occupant::new(id, class, binding));
            SharedDb::new(Handle::new(Arc::clone(&server), occupant))
        };
        let library = Arc::clone(server.system());
        let library = SharedDb::new(Handle::new(Arc::clone(&server), library));
        let shared = Binding::shared(&shared_schema).reaching(self.lookup.extension_schemas());
        let asked =
            Asked { library, shared: db(OccupantId::Catalog, Class::System, shared.clone()) };
        let shared = db(OccupantId::Shared, Class::Shared, shared);
        let lookup = self.lookup.of_scratch(isolation, shared_schema);
        Self::new(server, shared, asked, lookup)
    }

    /// Calls `tell` for each tenant whose handle is requested right after a catalog look-up.
    /// Replaces the previous callback.
    pub(crate) fn on_first_use(&self, tell: impl Fn(&Self, &TenantId) + Send + Sync + 'static) {
        *self.first_use.lock() = FirstUse(Some(Arc::new(tell)));
    }

    /// Cancels the current background watcher and returns the token for the next one. Closing the
    /// server cancels it, too.
    pub(crate) fn next_watch(&self) -> CancellationToken {
        let next = self.server.shutdown().child_token();
        if let Some(last) = self.watch.lock().replace(next.clone()) {
            last.cancel();
        }
        next
    }

    /// Waits for a slot among the tenants that are in creation for longer than a transaction.
    pub(crate) async fn place_underway(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.underway).acquire_owned().await.ok()
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    pub(crate) fn shared(&self) -> &SharedDb {
        &self.shared
    }

    /// Returns what the library's own statements run on: they may use the reserve and go first in
    /// the queue. They qualify every name with its schema, so no object of the application is
    /// resolved for them.
    pub(crate) fn system(&self) -> &SharedDb {
        &self.asked.library
    }

    pub(crate) fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// Returns the database of a tenant that may be served.
    pub(crate) async fn tenant(&self, id: &TenantId) -> Result<TenantDb, Error> {
        let db = self.tenant_in_any_state(id).await?;
        match db.tenant().state() {
            TenantState::Active => Ok(db),
            _ => Err(Error::new(ErrorKind::Suspended, "looking the tenant up").with_tenant(id)),
        }
    }

    /// Returns the database of a tenant in any state. Nothing can run on it while the tenant is
    /// suspended.
    pub(crate) async fn tenant_in_any_state(&self, id: &TenantId) -> Result<TenantDb, Error> {
        if self.server.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "looking a tenant up").with_tenant(id));
        }
        let known = self.lookup.find(&self.asked, id).await?;
        if known.occupant.is_new() {
            let first_use = self.first_use.lock().clone();
            if let Some(tell) = first_use.0 {
                tell(self, id);
            }
        }
        let handle = Handle::new(Arc::clone(&self.server), Arc::clone(&known.occupant));
        Ok(TenantDb::new(handle, known.tenant.clone()))
    }

    /// Lists all tenants, including suspended ones.
    pub(crate) async fn list(&self) -> Result<Vec<TenantRecord>, Error> {
        let tenants = self.lookup.list(&self.asked).await?;
        let count = |state| tenants.iter().filter(|tenant| tenant.state == state).count();
        let (active, suspended) = (count(TenantState::Active), count(TenantState::Suspended));
        self.server.observer.meters.listed(active, suspended);
        Ok(tenants)
    }

    /// Lists all tenants, including suspended ones, page by page.
    pub(crate) fn stream(
        &self,
    ) -> impl Stream<Item = Result<TenantRecord, Error>> + Send + Unpin + use<> {
        self.lookup.stream(&self.asked)
    }

    /// Reads a tenant from the catalog, bypassing the cache and regardless of its state.
    pub(crate) async fn record(&self, id: &TenantId) -> Result<TenantRecord, Error> {
        let record = self.lookup.record(&self.asked, id).await?;
        record.ok_or_else(|| {
            Error::new(ErrorKind::UnknownTenant, "looking the tenant up").with_tenant(id)
        })
    }

    /// Returns the role of a tenant that may not exist yet: the recorded role if the catalog stores
    /// roles, otherwise the one that the application assigns.
    pub(crate) async fn role_on_record(&self, id: &TenantId) -> Result<Option<Ident>, Error> {
        let on_record = match self.lookup.names_roles() {
            true => self.lookup.record(&self.asked, id).await?.and_then(|record| record.role),
            false => None,
        };
        Ok(on_record.or_else(|| self.lookup.role_by_rule(id)))
    }

    pub(crate) fn site(&self, record: &TenantRecord) -> Result<Site, Error> {
        self.lookup.site(record)
    }

    /// Returns the site through which maintenance reaches a tenant whose schema has a temporary
    /// name.
    pub(crate) fn site_at(&self, record: &TenantRecord, schema: &Ident) -> Site {
        self.lookup.site_at(record, schema)
    }

    /// Returns the database of a tenant in creation; no request can get it.
    pub(crate) fn in_the_making(
        &self,
        record: &TenantRecord,
        schema: &Ident,
    ) -> Result<TenantDb, Error> {
        let known = self.lookup.in_the_making(record, schema)?;
        let handle = Handle::new(Arc::clone(&self.server), Arc::clone(&known.occupant));
        Ok(TenantDb::new(handle, known.tenant.clone()))
    }

    /// Returns `true` if the catalog can record a tenant whose creation is incomplete.
    pub(crate) async fn keeps_steps(&self, conn: &mut PgConnection) -> Result<bool, Error> {
        self.lookup.keeps_steps(conn).await
    }

    /// Returns the site through which maintenance reaches a schema that belongs to no tenant yet.
    pub(crate) fn site_of(&self, schema: &Ident) -> Site {
        self.lookup.site_of(schema)
    }

    pub(crate) fn shared_site(&self) -> Site {
        self.lookup.shared_site()
    }

    /// Returns the role that works on the tables of a site, if it is not the maintenance role. For
    /// a tenant with a separate login, the role may have to be asked for.
    pub(crate) async fn role_of(&self, site: &Site) -> Result<Option<Ident>, Error> {
        match &site.grantee {
            Some(grantee) => self.server.role_of(grantee).await,
            None => Ok(None),
        }
    }

    /// Checks out an unbound connection for maintenance.
    pub(crate) async fn lease(&self) -> Result<Lease, Error> {
        self.server.acquire_for_upkeep().await
    }

    /// Checks out a connection for maintenance and binds it to a site.
    pub(crate) async fn lease_for(&self, site: &Site) -> Result<Lease, Error> {
        let mut lease = self.lease().await?;
        lease.serve(&site.occupant).await.map_err(|error| site.occupant.name(error.into()))?;
        Ok(lease)
    }

    /// Writes a change to the tenant list in the connection's open transaction.
    pub(crate) async fn write(
        &self,
        conn: &mut PgConnection,
        change: CatalogChange<'_>,
    ) -> Result<(), Error> {
        self.lookup.write(conn, change).await
    }

    /// Makes every session of a tenant, or of the shared schema, drop its prepared statements
    /// before its next use, because tables were changed.
    pub(crate) fn note_change(&self, site: &Site) {
        match &site.tenant {
            Some(tenant) => {
                self.server.note_change(&OccupantId::Tenant(tenant.clone()));
                self.lookup.note_change(tenant);
            }
            None => {
                for of in [OccupantId::Shared, OccupantId::Catalog, OccupantId::System] {
                    self.server.note_change(&of);
                }
            }
        }
    }

    /// Forgets a tenant that has changed: its catalog entry and its tenant pool.
    pub(crate) fn forget(&self, id: &TenantId) {
        self.lookup.forget(id.as_str());
        self.server.evict(&OccupantId::Tenant(id.clone()), EvictReason::Changed);
    }

    /// Forgets these tenants when the guard is dropped, and again once an abandoned commit must
    /// have ended: until then the outcome is unknown.
    pub(crate) fn forget_after(&self, ids: Vec<TenantId>) -> Forgetting {
        Forgetting { fleet: self.clone(), ids }
    }

    /// Invalidates the handles of a tenant that no longer exists under this id, and forgets it.
    pub(crate) fn retire(&self, id: &TenantId) {
        self.lookup.retire_and_forget(id);
        self.server.retire(id);
    }
}

/// How long an abandoned commit usually takes to end.
const COMMITTED_BY: Duration = Duration::from_millis(200);

/// Guard that forgets tenants when it is dropped, on every path.
#[derive(Debug)]
#[must_use = "it forgets when it is dropped"]
pub(crate) struct Forgetting {
    fleet: Fleet,
    ids: Vec<TenantId>,
}

impl Drop for Forgetting {
    fn drop(&mut self) {
        let (fleet, ids) = (self.fleet.clone(), std::mem::take(&mut self.ids));
        self.fleet.server.spawn(async move {
            for pause in [Duration::ZERO, COMMITTED_BY] {
                sleep(pause).await;
                for id in &ids {
                    fleet.forget(id);
                }
            }
        });
    }
}
