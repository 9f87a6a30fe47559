use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{Expiry, future::Cache};
use parking_lot::Mutex;

use super::{
    Ask, Catalog,
    fixed::{collision, container_of},
};
use crate::{
    db::SharedDb,
    error::{Error, ErrorKind},
    pool::{Class, Occupant, OccupantId},
    tenant::{Binding, Ident, Isolation, Placement, Tenant, TenantId, TenantRecord, TenantState},
};

/// For how long the answers of the catalog are used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogOptions {
    /// Tenants that are remembered, at most. Default: 100,000.
    pub capacity: u64,
    /// How long a tenant is remembered. Default: 1 min.
    ///
    /// This is also how long a tenant that was suspended is still served, unless the catalog
    /// announces changes or [`TenantManager::invalidate`](crate::TenantManager::invalidate) is called.
    pub ttl: Duration,
    /// How long it is remembered that there is no such tenant, or that it is suspended. Default: 5 s.
    ///
    /// It keeps a client that guesses from reaching the database with every guess.
    pub negative_ttl: Duration,
}

impl Default for CatalogOptions {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            ttl: Duration::from_secs(60),
            negative_ttl: Duration::from_secs(5),
        }
    }
}

/// Decides whether a tenant's connections are its own for good.
pub(crate) type Dedicate = Arc<dyn Fn(&TenantRecord) -> bool + Send + Sync>;

/// A tenant that may be served, with its session's identity.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) tenant: Tenant,
    pub(crate) occupant: Arc<Occupant>,
}

/// What the catalog has said about an id.
#[derive(Debug, Clone)]
enum Verdict {
    Known(Arc<Known>),
    Unknown,
    Suspended,
}

/// Finds tenants: the catalog behind a cache. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Lookup {
    cache: Cache<TenantId, Verdict>,
    rules: Arc<Rules>,
}

struct Rules {
    catalog: Box<dyn Catalog>,
    isolation: Isolation,
    shared_schema: Ident,
    tenants_see_shared: bool,
    dedicate: Dedicate,
    /// Which tenant has which container, for as long as the process runs.
    holders: Mutex<HashMap<Ident, TenantId>>,
}

impl Lookup {
    pub(crate) fn new(
        options: &CatalogOptions,
        catalog: Box<dyn Catalog>,
        isolation: Isolation,
        shared_schema: Ident,
        tenants_see_shared: bool,
        dedicate: Dedicate,
    ) -> Self {
        let cache = Cache::builder()
            .max_capacity(options.capacity)
            .expire_after(Ttl { known: options.ttl, other: options.negative_ttl })
            .build();
        let holders = Mutex::new(HashMap::new());
        let rules =
            Rules { catalog, isolation, shared_schema, tenants_see_shared, dedicate, holders };
        Self { cache, rules: Arc::new(rules) }
    }

    /// Finds a tenant that may be served. Callers that ask for one id at once wait for one answer.
    ///
    /// # Cancel safety
    ///
    /// When dropped, another caller that waits for the same id takes over.
    pub(crate) async fn find(&self, shared: &SharedDb, id: &TenantId) -> Result<Arc<Known>, Error> {
        let verdict = match self.cache.get(id).await {
            Some(verdict) => verdict,
            None => {
                let load = self.rules.load(shared, id);
                let loaded = self.cache.try_get_with_by_ref(id, load).await;
                loaded.map_err(|error| Error::shared(&error))?
            }
        };
        match verdict {
            Verdict::Known(known) => Ok(known),
            Verdict::Unknown => Err(refused(ErrorKind::UnknownTenant, id)),
            Verdict::Suspended => Err(refused(ErrorKind::Suspended, id)),
        }
    }

    pub(crate) async fn list(&self, shared: &SharedDb) -> Result<Vec<TenantRecord>, Error> {
        self.rules.catalog.list(self.rules.ask(shared)).await
    }

    pub(crate) fn channel(&self) -> Option<&str> {
        self.rules.catalog.channel()
    }

    pub(crate) async fn forget(&self, id: &str) {
        self.cache.invalidate(id).await;
    }

    pub(crate) fn forget_all(&self) {
        self.cache.invalidate_all();
    }
}

impl Rules {
    fn ask<'a>(&'a self, shared: &'a SharedDb) -> Ask<'a> {
        Ask { shared, shared_schema: &self.shared_schema, isolation: &self.isolation }
    }

    async fn load(&self, shared: &SharedDb, id: &TenantId) -> Result<Verdict, Error> {
        let Some(record) = self.catalog.resolve(self.ask(shared), id).await? else {
            return Ok(Verdict::Unknown);
        };
        if record.id != *id {
            let attempted = format!("the catalog answered with tenant {}", record.id);
            return Err(Error::new(ErrorKind::Catalog, attempted).with_tenant(id));
        }
        if record.state != TenantState::Active {
            return Ok(Verdict::Suspended);
        }
        let container = container_of(&record, &self.isolation)?;
        if container.is_reserved_schema() || container == self.shared_schema {
            let attempted = "its container is a schema that belongs to everybody";
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(id));
        }
        self.claim(shared, &record, &container).await?;
        Ok(Verdict::Known(Arc::new(self.known(record, container)?)))
    }

    /// Notes that the container is this tenant's. When it was another's before, that one is looked
    /// up anew: if it still has it, two tenants would share their data, and this one is refused.
    async fn claim(
        &self,
        shared: &SharedDb,
        record: &TenantRecord,
        container: &Ident,
    ) -> Result<(), Error> {
        let holder = self.holders.lock().get(container).cloned();
        if let Some(holder) = holder.filter(|holder| *holder != record.id)
            && let Some(other) = self.catalog.resolve(self.ask(shared), &holder).await?
            && container_of(&other, &self.isolation)? == *container
        {
            return Err(collision(record, &holder));
        }
        self.holders.lock().insert(container.clone(), record.id.clone());
        Ok(())
    }

    fn known(&self, record: TenantRecord, container: Ident) -> Result<Known, Error> {
        let class = if (self.dedicate)(&record) { Class::Dedicated } else { Class::Pooled };
        let placement = Placement::Schema(container);
        let shared = self.tenants_see_shared.then_some(&self.shared_schema);
        let binding = Binding::tenant(&record, &placement, shared);
        if let Some(name) = binding.forbidden_setting() {
            let attempted = format!("its record sets {name}, which is how tenants are kept apart");
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        }
        let id = OccupantId::Tenant(record.id.clone());
        let occupant = Arc::new(Occupant::new(id, class, binding));
        Ok(Known { tenant: Tenant::new(record, placement), occupant })
    }
}

fn refused(kind: ErrorKind, id: &TenantId) -> Error {
    Error::new(kind, "looking the tenant up").with_tenant(id)
}

struct Ttl {
    known: Duration,
    other: Duration,
}

impl Expiry<TenantId, Verdict> for Ttl {
    fn expire_after_create(&self, _: &TenantId, verdict: &Verdict, _: Instant) -> Option<Duration> {
        Some(match verdict {
            Verdict::Known(_) => self.known,
            Verdict::Unknown | Verdict::Suspended => self.other,
        })
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").field("catalog", &self.rules.catalog).finish_non_exhaustive()
    }
}
