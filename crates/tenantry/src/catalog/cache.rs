use std::{
    collections::HashMap,
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{Expiry, future::Cache};
use parking_lot::Mutex;
use sqlx::PgConnection;
use tokio::time::timeout;

use super::{
    Ask, Asked, Catalog, CatalogChange, Write,
    fixed::{collision, container_of},
};
use crate::{
    error::{Error, ErrorKind, OptionsError},
    event::{Retry, RetryOf},
    pool::{AskForCredentials, Class, Login, Occupant, OccupantId},
    retry::{Retrier, RetryPolicy},
    tenant::{
        Binding, Ident, Isolation, PROVISIONAL, Placement, Schema, Tenant, TenantId, TenantRecord,
        TenantState,
    },
};

/// How long the catalog may take, and for how long its answers are used.
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
    /// How long the catalog may take to answer, with all attempts. Default: 5 s.
    ///
    /// A tenant that cannot be looked up is looked up again as
    /// [`PoolOptions::retry`](crate::PoolOptions::retry) says, within this time. Listing all tenants has
    /// as long.
    pub timeout: Duration,
}

impl CatalogOptions {
    /// Checks that the options can be used.
    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        match self.timeout.is_zero() {
            true => Err(OptionsError::new("catalog.timeout", "be longer than zero")),
            false => Ok(()),
        }
    }
}

impl Default for CatalogOptions {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            ttl: Duration::from_secs(60),
            negative_ttl: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
        }
    }
}

/// Decides whether a tenant's connections are its own for good.
pub(crate) type Decide = Arc<dyn Fn(&TenantRecord) -> bool + Send + Sync>;

/// Which tenants' connections are their own for good, and how those log in.
pub(crate) struct Dedicate {
    pub(crate) decide: Decide,
    pub(crate) credentials: Option<AskForCredentials>,
}

/// A tenant with its session's identity.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) tenant: Tenant,
    pub(crate) occupant: Arc<Occupant>,
}

/// A tenant as the library's own upkeep reaches it, whatever its state.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The tenant; `None` for the shared schema, and for one that is no tenant's yet.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) schema: Ident,
    /// Binds a session to the schema as the role of the connection, without the tenant's settings.
    /// Dedicated, when a connection that has served the tenant may serve nobody else.
    pub(crate) occupant: Arc<Occupant>,
}

/// What the catalog has said about an id.
#[derive(Debug, Clone)]
enum Verdict {
    Known(Arc<Known>),
    Unknown,
    /// With an occupant that is refused every connection.
    Suspended(Arc<Known>),
}

/// A verdict, and whether it may be remembered.
#[derive(Debug, Clone)]
struct Heard {
    verdict: Verdict,
    lasting: Lasting,
}

impl Heard {
    /// Says whether it is about a tenant that was found to be another one since.
    fn is_retired(&self) -> bool {
        matches!(&self.verdict, Verdict::Known(known) if known.occupant.is_retired())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    /// Nothing was forgotten while the catalog answered.
    Yes,
    /// It may be out of date already: good for those who have asked, and for nobody else.
    No,
}

/// Tables of a schema that upkeep comes across, more or less: those of the library, and what a migration
/// changes.
const TABLES_OF_UPKEEP: u32 = 3;

/// How often the catalog is asked again because something was forgotten while it answered. What was
/// forgotten may have been about other tenants, so it is not asked for ever.
const ATTEMPTS: usize = 3;

/// Finds tenants: the catalog behind a cache. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Lookup {
    cache: Cache<TenantId, Heard>,
    rules: Arc<Rules>,
}

struct Rules {
    cache: Cache<TenantId, Heard>,
    catalog: Box<dyn Catalog>,
    isolation: Isolation,
    shared_schema: Ident,
    tenants_see_shared: bool,
    dedicate: Dedicate,
    retry: RetryPolicy,
    timeout: Duration,
    /// Counts what was forgotten, so that an answer that was on its way meanwhile is not kept.
    forgotten: AtomicU64,
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
        retry: RetryPolicy,
    ) -> Self {
        let cache = Cache::builder()
            .max_capacity(options.capacity)
            .expire_after(Ttl { known: options.ttl, other: options.negative_ttl })
            .build();
        let holders = Mutex::new(HashMap::new());
        let forgotten = AtomicU64::new(0);
        let rules = Rules {
            cache: cache.clone(),
            catalog,
            isolation,
            shared_schema,
            tenants_see_shared,
            dedicate,
            retry,
            timeout: options.timeout,
            forgotten,
            holders,
        };
        Self { cache, rules: Arc::new(rules) }
    }

    /// Finds a tenant, whatever its state. Callers that ask for one id at once wait for one answer.
    ///
    /// # Cancel safety
    ///
    /// When dropped, another caller that waits for the same id takes over.
    pub(crate) async fn find(&self, asked: &Asked, id: &TenantId) -> Result<Arc<Known>, Error> {
        let meters = &asked.library.observer().meters;
        let heard = match self.cache.get(id).await.filter(|heard| !heard.is_retired()) {
            Some(heard) => {
                meters.catalog_hits.inc();
                heard
            }
            None => {
                // What is retired is there, and would be taken for an answer.
                self.retire(id).await;
                meters.catalog_misses.inc();
                let load = self.rules.in_time(self.rules.load_lasting(asked, id));
                let loaded = self.cache.try_get_with_by_ref(id, load).await;
                loaded.map_err(|error| Error::shared(&error).with_tenant(id))?
            }
        };
        match heard.verdict {
            Verdict::Known(known) | Verdict::Suspended(known) => Ok(known),
            Verdict::Unknown => {
                let unknown = Error::new(ErrorKind::UnknownTenant, "looking the tenant up");
                Err(unknown.with_tenant(id))
            }
        }
    }

    pub(crate) async fn list(&self, asked: &Asked) -> Result<Vec<TenantRecord>, Error> {
        self.rules.in_time(self.rules.catalog.list(self.rules.ask(asked))).await
    }

    pub(crate) fn tenants_see_shared(&self) -> bool {
        self.rules.tenants_see_shared
    }

    pub(crate) fn channel(&self) -> Option<&str> {
        self.rules.catalog.channel()
    }

    /// Looks a tenant up past the cache, whatever its state.
    pub(crate) async fn record(
        &self,
        asked: &Asked,
        id: &TenantId,
    ) -> Result<Option<TenantRecord>, Error> {
        self.rules.in_time(self.rules.resolve(asked, id)).await
    }

    /// Returns how upkeep reaches a tenant.
    pub(crate) fn site(&self, record: &TenantRecord) -> Result<Site, Error> {
        let schema = self.rules.container(record)?;
        let (tenant, class) = (record.id.clone(), self.rules.class(record));
        let occupant = self.rules.upkeep(OccupantId::Tenant(tenant.clone()), class, &schema);
        Ok(Site { tenant: Some(tenant), schema, occupant })
    }

    /// Returns how upkeep reaches a schema that is no tenant's yet.
    pub(crate) fn site_of(&self, schema: &Ident) -> Site {
        let occupant = self.rules.upkeep(OccupantId::Upkeep, Class::Shared, schema);
        Site { tenant: None, schema: schema.clone(), occupant }
    }

    /// Returns how upkeep reaches the shared schema.
    pub(crate) fn shared_site(&self) -> Site {
        let schema = self.rules.shared_schema.clone();
        let binding = Binding::upkeep(&schema, None);
        let occupant = Arc::new(Occupant::new(OccupantId::Shared, Class::Shared, binding));
        Site { tenant: None, schema, occupant }
    }

    /// Writes a change of the list of tenants in the transaction that is open on the connection.
    pub(crate) async fn write(
        &self,
        conn: &mut PgConnection,
        change: CatalogChange<'_>,
    ) -> Result<(), Error> {
        let write = Write { conn, shared_schema: &self.rules.shared_schema };
        self.rules.catalog.write(write, change).await
    }

    /// Has the sessions of handles that were looked up drop their prepared statements.
    pub(crate) async fn note_change(&self, id: &TenantId) {
        if let Some(Heard { verdict: Verdict::Known(known), .. }) = self.cache.get(id).await {
            known.occupant.note_change();
        }
    }

    /// Forgets a tenant that was found to be another one than the one that is remembered.
    async fn retire(&self, id: &TenantId) {
        if self.cache.get(id).await.is_some_and(|heard| heard.is_retired()) {
            self.forget(id.as_str()).await;
        }
    }

    /// Has the handles that were made of what is remembered of a tenant refused, and forgets it.
    pub(crate) async fn retire_and_forget(&self, id: &TenantId) {
        if let Some(Heard { verdict: Verdict::Known(known), .. }) = self.cache.get(id).await {
            known.occupant.retire();
        }
        self.forget(id.as_str()).await;
    }

    pub(crate) async fn forget(&self, id: &str) {
        self.rules.forgotten.fetch_add(1, Ordering::Relaxed);
        self.cache.invalidate(id).await;
    }

    pub(crate) fn forget_all(&self) {
        self.rules.forgotten.fetch_add(1, Ordering::Relaxed);
        self.cache.invalidate_all();
    }
}

impl Rules {
    fn ask<'a>(&'a self, asked: &'a Asked) -> Ask<'a> {
        Ask {
            library: &asked.library,
            shared: &asked.shared,
            shared_schema: &self.shared_schema,
            isolation: &self.isolation,
        }
    }

    /// Asks the catalog, and again when something was forgotten while it answered.
    async fn load_lasting(&self, asked: &Asked, id: &TenantId) -> Result<Heard, Error> {
        let mut attempts = 1..=ATTEMPTS;
        loop {
            let before = self.forgotten.load(Ordering::Relaxed);
            let verdict = self.load(asked, id).await?;
            let lasting = match self.forgotten.load(Ordering::Relaxed) == before {
                true => Lasting::Yes,
                false => Lasting::No,
            };
            if lasting == Lasting::Yes || attempts.next().is_none() {
                return Ok(Heard { verdict, lasting });
            }
        }
    }

    /// Asks the catalog for a tenant, and again when it may answer the next time.
    async fn resolve(&self, asked: &Asked, id: &TenantId) -> Result<Option<TenantRecord>, Error> {
        let most = self.retry.max_attempts;
        let (told, tenant) = (asked.library.clone(), id.clone());
        let retrier = Retrier::when(self.retry.clone(), is_worth_another_try);
        let retrier = retrier.on_retry(move |attempt, error, delay| {
            let cause = (error.class(), error.to_string());
            let retry = Retry::new(RetryOf::Catalog, Some(&tenant), (attempt, most), delay, cause);
            told.observer().retrying(retry);
        });
        retrier.run(|| self.catalog.resolve(self.ask(asked), id)).await
    }

    /// Waits for the catalog as long as it may take.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        timeout(self.timeout, answer).await.unwrap_or_else(|late| {
            Err(Error::catalog(io::Error::new(io::ErrorKind::TimedOut, late)))
        })
    }

    async fn load(&self, asked: &Asked, id: &TenantId) -> Result<Verdict, Error> {
        let Some(record) = self.resolve(asked, id).await? else {
            return Ok(Verdict::Unknown);
        };
        if record.id != *id {
            let attempted = format!("the catalog answered with tenant {}", record.id);
            return Err(Error::new(ErrorKind::Catalog, attempted).with_tenant(id));
        }
        let container = self.container(&record)?;
        if record.state != TenantState::Active {
            return Ok(Verdict::Suspended(Arc::new(self.known(record, container, None)?)));
        }
        self.claim(asked, &record, &container).await?;
        // A name is given away again; which schema it stands for now makes the handle's identity.
        let schema = match record.schema {
            Some(schema) => Some(schema),
            None => seen_now(asked, &container).await,
        };
        Ok(Verdict::Known(Arc::new(self.known(record, container, schema)?)))
    }

    /// Returns the container of a tenant, which is never a schema that belongs to everybody.
    fn container(&self, record: &TenantRecord) -> Result<Ident, Error> {
        let container = container_of(record, &self.isolation)?;
        let everybodys = container.is_reserved_schema()
            || container == self.shared_schema
            || container.as_str().starts_with(PROVISIONAL);
        if everybodys {
            let attempted = "its container is a schema that belongs to everybody";
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        }
        Ok(container)
    }

    /// Notes that the container is this tenant's. When it was another's before, that one is looked
    /// up anew: if it still has it, two tenants would share their data, and this one is refused. If
    /// not, what is remembered of it is out of date.
    async fn claim(
        &self,
        asked: &Asked,
        record: &TenantRecord,
        container: &Ident,
    ) -> Result<(), Error> {
        let mut gone = None;
        while let Some(holder) = self.hold(container, &record.id, gone.as_ref()) {
            let other = self.resolve(asked, &holder).await?;
            let other = other.map(|other| container_of(&other, &self.isolation));
            if other.is_some_and(|other| other.is_ok_and(|other| other == *container)) {
                return Err(collision(record, &holder));
            }
            self.forgotten.fetch_add(1, Ordering::Relaxed);
            self.cache.invalidate(&holder).await;
            gone = Some(holder);
        }
        Ok(())
    }

    /// Notes the holder of a container, unless there is another one than the one that has `gone`.
    fn hold(&self, container: &Ident, id: &TenantId, gone: Option<&TenantId>) -> Option<TenantId> {
        let mut holders = self.holders.lock();
        let other = holders.get(container).filter(|other| *other != id && Some(*other) != gone);
        let other = other.cloned();
        if other.is_none() {
            holders.insert(container.clone(), id.clone());
        }
        other
    }

    /// Returns an occupant of the library's own, that sees what the tenant of a schema sees.
    fn upkeep(&self, id: OccupantId, class: Class, schema: &Ident) -> Arc<Occupant> {
        let shared = self.tenants_see_shared.then_some(&self.shared_schema);
        let occupant = Occupant::new(id, class, Binding::upkeep(schema, shared));
        occupant.set_tables(TABLES_OF_UPKEEP);
        Arc::new(occupant)
    }

    fn class(&self, record: &TenantRecord) -> Class {
        if (self.dedicate.decide)(record) { Class::Dedicated } else { Class::Pooled }
    }

    fn known(
        &self,
        record: TenantRecord,
        container: Ident,
        schema: Option<Schema>,
    ) -> Result<Known, Error> {
        let class = self.class(&record);
        let placement = Placement::schema(container);
        let shared = self.tenants_see_shared.then_some(&self.shared_schema);
        let binding = Binding::tenant(&record, &placement, shared);
        if let Some(name) = binding.forbidden_setting() {
            let attempted = format!("its record sets {name}, which is how tenants are kept apart");
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        }
        let id = OccupantId::Tenant(record.id.clone());
        let login = self.dedicate.credentials.clone().filter(|_| class == Class::Dedicated);
        let login = login.map(|ask| Login::new(record.clone(), ask));
        let occupant = Occupant::new(id, class, binding).of(schema).logging_in(login);
        let occupant = Arc::new(match record.state {
            TenantState::Active => occupant,
            _ => occupant.suspended(),
        });
        Ok(Known { tenant: Tenant::new(record, placement), occupant })
    }
}

/// Asks which schema has a name, for a catalog that does not look at schemas itself. It has no need of
/// the server, and must not be kept waiting by it: where that has never answered, or does not do so
/// soon, the first session that is bound will tell.
async fn seen_now(asked: &Asked, container: &Ident) -> Option<Schema> {
    match asked.library.has_answered() {
        true => timeout(SOON, asked.library.schema_named(container)).await.ok()?.ok(),
        false => None,
    }
}

/// How long a look at a schema may keep the answer of a catalog back.
const SOON: Duration = Duration::from_millis(500);

/// Whoever has waited for a connection in vain would only wait again.
fn is_worth_another_try(error: &Error) -> bool {
    error.is_transient() && !matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Overloaded)
}

struct Ttl {
    known: Duration,
    other: Duration,
}

impl Expiry<TenantId, Heard> for Ttl {
    fn expire_after_create(&self, _: &TenantId, heard: &Heard, _: Instant) -> Option<Duration> {
        Some(match (heard.lasting, &heard.verdict) {
            (Lasting::No, _) => Duration::ZERO,
            (Lasting::Yes, Verdict::Known(_)) => self.known,
            (Lasting::Yes, Verdict::Unknown | Verdict::Suspended(_)) => self.other,
        })
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").field("catalog", &self.rules.catalog).finish_non_exhaustive()
    }
}
