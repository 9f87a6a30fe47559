//! All tenants of a manager, for operations on many of them at once.
//!
//! Maintenance runs in one database, which is the manager's database unless [`Fleet::at`] names
//! another one. The catalog and the shared schema stay in the manager's database.

mod homes;
mod places;
mod side_by_side;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures_util::{Stream, TryStreamExt};
use parking_lot::Mutex;
use sqlx::PgConnection;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

pub(crate) use homes::{InHome, in_each_home, while_alive};
use places::Places;
use side_by_side::SideBySide;

use crate::{
    catalog::{Asked, CatalogChange, Isolations, Known, Lookup, Site},
    citus::Citus,
    db::{Handle, SharedDb, TenantDb},
    error::{Error, ErrorKind},
    event::EvictReason,
    pool::{Class, Lease, Occupant, OccupantId, Server},
    servers::{Servers, TenantsByServer},
    tenant::{Binding, Home, Ident, IsolationKind, TenantId, TenantRecord},
};

/// Finds, lists and works on the tenants of a manager. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    servers: Servers,
    upkeep: Upkeep,
    /// The shared schema as the application uses it.
    shared: SharedDb,
    /// Catalog queries of the library itself: they may use the reserve and go first in the queue.
    asked: Asked,
    lookup: Lookup,
    /// Where handles look for tenants that have moved.
    places: Arc<Places>,
    /// Limits how many tenants may be in creation for longer than a transaction: each holds up to
    /// two connections while its seeds need another.
    underway: Arc<Semaphore>,
    /// By server: what hangs on one of them holds up nothing of the others.
    creations: Arc<Mutex<BTreeMap<String, Arc<SideBySide>>>>,
    first_use: Arc<Mutex<FirstUse>>,
    /// Cancels the background watcher.
    watch: Arc<Mutex<Option<CancellationToken>>>,
}

/// Where maintenance runs.
#[derive(Debug, Clone)]
struct Upkeep {
    home: Home,
    server: Arc<Server>,
    occupant: Arc<Occupant>,
}

impl Upkeep {
    fn at(home: Home, servers: &Servers) -> Self {
        let server = Arc::clone(servers.at(&home));
        let occupant = server.upkeep_at(&home);
        Self { home, server, occupant }
    }
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
    pub(crate) fn new(servers: Servers, shared: SharedDb, asked: Asked, lookup: Lookup) -> Self {
        for (_, server) in servers.all() {
            server.set_shared(shared.occupant());
        }
        let underway = Arc::new(Semaphore::new((servers.main().places_for_upkeep() / 3).max(1)));
        let places = Places::new(&servers, &asked, &lookup);
        Self {
            upkeep: Upkeep::at(Home::MANAGERS, &servers),
            servers,
            shared,
            asked,
            lookup,
            places,
            underway,
            creations: Arc::default(),
            first_use: Arc::default(),
            watch: Arc::default(),
        }
    }

    /// Creates a fleet of scratch schemas over a pool that was made for them. The shared schema is
    /// one of them.
    pub(crate) fn of_scratch(
        &self,
        server: Arc<Server>,
        isolations: Isolations,
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
        let lookup = self.lookup.of_scratch(isolations, shared_schema);
        Self::new(Servers::new(server, BTreeMap::new()), shared, asked, lookup)
    }

    /// Calls `tell` for each tenant whose handle is requested right after a catalog look-up.
    /// Replaces the previous callback.
    pub(crate) fn on_first_use(&self, tell: impl Fn(&Self, &TenantId) + Send + Sync + 'static) {
        *self.first_use.lock() = FirstUse(Some(Arc::new(tell)));
    }

    /// Cancels the current background watcher and returns the token for the next one. Closing the
    /// server cancels it, too.
    pub(crate) fn next_watch(&self) -> CancellationToken {
        let next = self.main().shutdown().child_token();
        if let Some(last) = self.watch.lock().replace(next.clone()) {
            last.cancel();
        }
        next
    }

    /// Waits for a slot among the tenants that are in creation for longer than a transaction.
    pub(crate) async fn place_underway(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.underway).acquire_owned().await.ok()
    }

    /// Returns the creations on this server that run in one transaction each.
    pub(crate) fn creations(&self) -> Arc<SideBySide> {
        let mut creations = self.creations.lock();
        Arc::clone(creations.entry(self.server().name().to_owned()).or_default())
    }

    /// Returns this fleet with maintenance in another database: it checks connections out there, and
    /// has only sites there. The catalog is the same.
    pub(crate) fn at(&self, home: &Home) -> Self {
        let mut fleet = self.clone();
        if *home != self.upkeep.home {
            fleet.upkeep = Upkeep::at(home.clone(), &self.servers);
        }
        fleet
    }

    /// Returns this fleet with maintenance where a tenant is.
    pub(crate) fn at_tenant(&self, record: &TenantRecord) -> Result<Self, Error> {
        Ok(self.at(&self.home_of(record)?))
    }

    /// Returns the database that a tenant is in.
    pub(crate) fn home_of(&self, record: &TenantRecord) -> Result<Home, Error> {
        self.lookup.place(record).map(|placement| placement.home())
    }

    /// Returns the names by which reports call a database: that of the server if there are several, and its own if it
    /// is not the one in the URL of the server.
    pub(crate) fn names_of(&self, home: Option<&Home>) -> (Option<Arc<str>>, Option<Arc<str>>) {
        let server = home.filter(|_| self.servers.are_several()).map(|home| home.server().into());
        (server, home.and_then(Home::database).map(Ident::shared).cloned())
    }

    /// Returns the same for a tenant that was found.
    pub(crate) fn names_of_placed(&self, db: &TenantDb) -> (Option<Arc<str>>, Option<Arc<str>>) {
        self.names_of(Some(&db.tenant().placement().home()))
    }

    /// Returns the database in which maintenance runs.
    pub(crate) fn home(&self) -> &Home {
        &self.upkeep.home
    }

    /// Returns the server on which maintenance runs: the main one, unless [`at`](Self::at) named
    /// another one.
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.upkeep.server
    }

    /// Returns the server that has the catalog and the shared schema.
    pub(crate) fn main(&self) -> &Arc<Server> {
        self.servers.main()
    }

    /// Finds out what the database in which maintenance runs has of Citus, on a connection of its own unless it is known.
    pub(crate) async fn find_citus(&self) -> Result<Option<Citus>, Error> {
        if let Some(known) = self.server().citus().known(self.home().database()) {
            return Ok(known);
        }
        let mut lease = self.lease().await?;
        let found = self.citus(&mut lease).await;
        lease.settle().await;
        found
    }

    /// Returns what the database in which maintenance runs has of Citus. The connection leads there.
    pub(crate) async fn citus(&self, conn: &mut PgConnection) -> Result<Option<Citus>, Error> {
        Ok(self.server().citus().of(self.home().database(), conn).await?)
    }

    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
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

    /// Returns the same on this fleet's server.
    pub(crate) fn system_here(&self) -> SharedDb {
        let system = Arc::clone(self.server().system());
        SharedDb::new(Handle::new(Arc::clone(self.server()), system))
    }

    pub(crate) fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// Returns the database of a tenant that may be served.
    pub(crate) async fn tenant(&self, id: &TenantId) -> Result<TenantDb, Error> {
        let db = self.tenant_in_any_state(id).await?;
        match db.tenant().state().is_served() {
            true => Ok(db),
            false => Err(Error::new(ErrorKind::Suspended, "looking the tenant up").with_tenant(id)),
        }
    }

    /// Returns the database of a tenant in any state. Nothing can run on it while the tenant is
    /// suspended.
    pub(crate) async fn tenant_in_any_state(&self, id: &TenantId) -> Result<TenantDb, Error> {
        if self.main().is_closed() {
            return Err(Error::new(ErrorKind::Closed, "looking a tenant up").with_tenant(id));
        }
        let known = self.lookup.find(&self.asked, id).await?;
        if known.occupant.is_new() {
            self.servers.read_anew(id);
            if known.occupant.limits.version() != 0 {
                // Requests that wait have the new limits, too.
                self.servers.of(known.tenant.placement()).follow_limits(&known.occupant);
            }
            let first_use = self.first_use.lock().clone();
            if let Some(tell) = first_use.0 {
                tell(self, id);
            }
        }
        let handle = self.handle(&known);
        let handle = handle.following(known.tenant.clone(), Arc::clone(&self.places) as _);
        Ok(TenantDb::new(handle, known.tenant.clone()))
    }

    /// Returns a handle on a tenant where it is placed.
    fn handle(&self, known: &Known) -> Handle {
        let server = self.servers.of(known.tenant.placement());
        if self.servers.are_several() {
            // Its tasks deliver the events of all servers.
            self.main().start();
        }
        Handle::new(Arc::clone(server), Arc::clone(&known.occupant))
    }

    /// Lists all tenants, including suspended ones.
    pub(crate) async fn list(&self) -> Result<Vec<TenantRecord>, Error> {
        let tenants = self.lookup.list(&self.asked).await?;
        let served = tenants.iter().filter(|tenant| tenant.state.is_served()).count();
        self.main().observer.meters.listed(served, tenants.len() - served);
        Ok(tenants)
    }

    /// Counts the tenants of each server, including suspended ones. It holds one page of them at a time.
    pub(crate) async fn count_by_server(&self) -> Result<TenantsByServer, Error> {
        let mut counts = TenantsByServer::default();
        let [mut served, mut others] = [0, 0];
        let mut tenants = self.stream();
        while let Some(tenant) = tenants.try_next().await? {
            *if tenant.state.is_served() { &mut served } else { &mut others } += 1;
            counts.add(&tenant);
        }
        self.main().observer.meters.listed(served, others);
        Ok(counts)
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

    /// Returns `true` if a new tenant can be outside the manager's database without an option that
    /// says so.
    pub(crate) fn may_place_elsewhere(&self) -> bool {
        let default = self.lookup.isolations().by_default().kind();
        self.servers.are_several() || default == IsolationKind::Database
    }

    /// Returns the record that a tenant to be created gets without options: its role and placement
    /// as the catalog already has them, if it stores roles, there are tiers or it is `asked`, otherwise
    /// as the application assigns them.
    pub(crate) async fn before_creation(
        &self,
        id: &TenantId,
        asked: bool,
    ) -> Result<TenantRecord, Error> {
        let asked = asked || self.lookup.names_roles() || self.lookup.has_tiers();
        let on_record = match asked {
            true => self.lookup.record(&self.asked, id).await?,
            false => None,
        };
        let by_rule = self.lookup.by_rule(id);
        Ok(match on_record {
            Some(record) => TenantRecord { role: record.role.or(by_rule.role), ..record },
            None => by_rule,
        })
    }

    /// Gives the record of a tenant to be created the isolation and the server of its tier, where it
    /// names none.
    pub(crate) fn placed_by_tier(&self, record: TenantRecord) -> TenantRecord {
        self.lookup.placed_by_tier(record)
    }

    /// Returns the site through which maintenance reaches a tenant.
    ///
    /// # Errors
    ///
    /// [`Placement`](ErrorKind::Placement) when it has no schema of its own in this fleet's database.
    pub(crate) fn site(&self, record: &TenantRecord) -> Result<Site, Error> {
        self.lookup.site(record, &self.upkeep.home)
    }

    /// Returns the site through which maintenance of the tenant's database reaches it.
    ///
    /// # Errors
    ///
    /// [`Placement`](ErrorKind::Placement) when it has no schema of its own.
    pub(crate) fn site_anywhere(&self, record: &TenantRecord) -> Result<Site, Error> {
        self.lookup.site(record, &self.home_of(record)?)
    }

    /// Returns the site through which maintenance of the tenant's server reaches its rows.
    pub(crate) fn site_of_rows_anywhere(&self, record: &TenantRecord) -> Result<Site, Error> {
        self.lookup.site_of_rows(record, &self.home_of(record)?)
    }

    /// Returns the site through which maintenance reaches a tenant's rows.
    pub(crate) fn site_of_rows(&self, record: &TenantRecord) -> Result<Site, Error> {
        self.lookup.site_of_rows(record, &self.upkeep.home)
    }

    /// Returns the site through which maintenance reaches the tables that hold the rows of all
    /// tenants.
    pub(crate) fn site_of_row_tables(&self) -> Site {
        self.lookup.site_of_row_tables(&self.upkeep.home)
    }

    /// Returns `true` if a tenant's rows are in tables of all tenants.
    pub(crate) fn is_in_rows(&self, record: &TenantRecord) -> bool {
        self.lookup.isolations().kind_of(record) == IsolationKind::Row
    }

    /// Returns `true` if tenants' rows are in tables of all tenants, unless a record says otherwise.
    pub(crate) fn is_in_rows_by_default(&self) -> bool {
        self.lookup.isolations().by_default().kind() == IsolationKind::Row
    }

    /// Returns `true` if the tables of all tenants are to be there before there is a tenant in them. In
    /// the shared schema, they would lie among the application's own tables, which it may not want: a
    /// manager can have rows configured for the keys of tenants in schemas alone.
    pub(crate) fn has_row_tables_before_tenants(&self) -> bool {
        let is_wanted =
            self.lookup.isolations().has_rows() && !self.lookup.rows_are_in_shared_schema();
        is_wanted || self.is_in_rows_by_default()
    }

    /// Returns the site through which maintenance reaches a tenant whose schema has a temporary
    /// name.
    pub(crate) fn site_at(&self, record: &TenantRecord, schema: &Ident) -> Site {
        self.lookup.site_at(record, &self.upkeep.home, schema)
    }

    /// Returns the database of a tenant in creation; no request can get it.
    pub(crate) fn in_the_making(
        &self,
        record: &TenantRecord,
        schema: &Ident,
    ) -> Result<TenantDb, Error> {
        let known = self.lookup.in_the_making(record, &self.upkeep.home, schema)?;
        Ok(TenantDb::new(self.handle(&known), known.tenant.clone()))
    }

    /// Returns the database of a tenant in creation whose rows are in tables of all tenants; no
    /// request can get it.
    pub(crate) fn rows_in_the_making(&self, record: &TenantRecord) -> Result<TenantDb, Error> {
        let known = self.lookup.rows_in_the_making(record)?;
        Ok(TenantDb::new(self.handle(&known), known.tenant.clone()))
    }

    /// Returns `true` if the catalog can record a tenant whose creation is incomplete.
    pub(crate) async fn keeps_steps(&self, conn: &mut PgConnection) -> Result<bool, Error> {
        self.lookup.keeps_steps(conn).await
    }

    /// Returns the site through which maintenance reaches a schema that belongs to no tenant yet.
    pub(crate) fn site_of(&self, schema: &Ident) -> Site {
        self.lookup.site_of(schema, &self.upkeep.home)
    }

    pub(crate) fn shared_site(&self) -> Site {
        self.lookup.shared_site()
    }

    /// Returns the role that works on the tables of a site, if it is not the maintenance role. For
    /// a tenant with a separate login, the role may have to be asked for.
    pub(crate) async fn role_of(&self, site: &Site) -> Result<Option<Ident>, Error> {
        match &site.grantee {
            Some(grantee) => self.server().role_of(grantee).await,
            None => Ok(None),
        }
    }

    /// Checks out an unbound connection for maintenance in this fleet's database.
    pub(crate) async fn lease(&self) -> Result<Lease, Error> {
        self.server().acquire_for_upkeep_by(&self.upkeep.occupant).await
    }

    /// Checks out a connection for maintenance and binds it to a site, which has to be in this
    /// fleet's place.
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
                self.servers.note_change(&OccupantId::Tenant(tenant.clone()));
                self.lookup.note_change(tenant);
            }
            None => {
                for of in [OccupantId::Shared, OccupantId::Catalog, OccupantId::System] {
                    self.servers.note_change(&of);
                }
                self.lookup.note_change_of_rows(&site.schema);
            }
        }
    }

    /// Forgets a tenant that has changed: its catalog entry and its tenant pool.
    pub(crate) fn forget(&self, id: &TenantId) {
        self.lookup.forget(id.as_str());
        self.servers.evict(&OccupantId::Tenant(id.clone()), EvictReason::Changed);
    }

    /// Forgets these tenants when the guard is dropped, and again once an abandoned commit must
    /// have ended: until then the outcome is unknown.
    pub(crate) fn forget_after(&self, ids: Vec<TenantId>) -> Forgetting {
        Forgetting { fleet: self.clone(), ids }
    }

    /// Invalidates the handles of a tenant that no longer exists under this id, and forgets it.
    pub(crate) fn retire(&self, record: &TenantRecord) {
        self.lookup.retire(record);
        self.servers.retire(&record.id);
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
        self.fleet.main().spawn(async move {
            for pause in [Duration::ZERO, COMMITTED_BY] {
                sleep(pause).await;
                for id in &ids {
                    fleet.forget(id);
                }
            }
        });
    }
}
