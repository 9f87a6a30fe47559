//! Finds tenants: the catalog behind its cache.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use sqlx::PgConnection;
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout},
};

use super::{
    Ask, Asked, Catalog, CatalogChange, CatalogOptions, SchemaDiscovery, Write,
    desk::{Answered, Desk, Joined, Limits, Rank, Ticket},
    holders::Holders,
    in_time,
    memory::{Found, Memory, Verdict},
    outage::Outage,
    page,
    placing::Isolations,
    questions::Questions,
    rules::{Dedicate, Known, Rules, Site},
};
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    event::Event,
    pool::{Grantee, RowTables},
    retry::RetryPolicy,
    tenant::{
        Home, Ident, MAIN, NameTemplate, Placement, TenantId, TenantLimits, TenantRecord,
        TenantState,
    },
};

/// Result of asking the catalog for one id.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    Verdict(Verdict),
    /// The catalog has returned an unusable answer.
    Unusable(Arc<Error>),
    /// The catalog has not answered.
    NoAnswer(Arc<Error>),
}

/// Finds tenants: the catalog behind its cache. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Lookup(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) catalog: Box<dyn Catalog>,
    pub(super) rules: Rules,
    pub(super) memory: Memory,
    pub(super) holders: Holders,
    pub(super) outage: Outage,
    pub(super) retry: RetryPolicy,
    desk: Arc<Desk<Heard>>,
    /// What was asked past the cache.
    pub(super) questions: Questions,
    /// Notified whenever tenants are forgotten because they were changed.
    pub(super) changed: Notify,
    max_waiting: usize,
    pub(super) timeout: Duration,
    /// The library's share of connections. A catalog that uses connections takes its share at the
    /// desk.
    pub(super) connections: Option<Semaphore>,
    listening: AtomicBool,
}

/// Number of concurrent look-ups in a catalog that takes no connections.
const ELSEWHERE: usize = 100;

/// How often the catalog is asked again because the tenant was forgotten while it answered.
const ATTEMPTS: usize = 3;

/// How long a request waits for the renewal of a tenant that can be served without it.
const PATIENCE: Duration = Duration::from_millis(100);

/// Delay after a failed renewal before the next attempt.
const PAUSE: Duration = Duration::from_secs(1);

impl Lookup {
    /// Creates one that takes at most this many connections.
    pub(crate) fn new(
        options: &CatalogOptions,
        catalog: Box<dyn Catalog>,
        rules: Rules,
        retry: RetryPolicy,
        connections: usize,
    ) -> Self {
        let takes_connections = catalog.takes_connections();
        let limits = Limits {
            shares: if takes_connections { connections } else { ELSEWHERE },
            batch: catalog.batch().max(1),
            waiting: options.max_waiting,
        };
        Self(Arc::new(Inner {
            catalog,
            rules,
            memory: Memory::new(options),
            holders: Holders::default(),
            outage: Outage::default(),
            retry,
            desk: Desk::new(limits),
            questions: Questions::new(options.capacity),
            changed: Notify::new(),
            max_waiting: options.max_waiting,
            timeout: options.timeout,
            connections: (!takes_connections).then(|| Semaphore::new(connections)),
            listening: AtomicBool::new(false),
        }))
    }

    /// Finds a tenant in any state. Concurrent callers for one id share one answer.
    ///
    /// # Cancel safety
    ///
    /// When dropped, another caller that waits for the same answer takes over.
    pub(crate) async fn find(&self, asked: &Asked, id: &TenantId) -> Result<Arc<Known>, Error> {
        let meters = &asked.library.observer().meters;
        let mut found = self.0.memory.find(id);
        match &found {
            Found::Fresh(_) => meters.catalog_hits.inc(),
            Found::Stale(_) | Found::Nothing(_) => meters.catalog_misses.inc(),
        }
        if let Found::Stale(known) = &found {
            match self.renewed(asked, known).await {
                Some(Heard::Verdict(verdict)) => found = Found::Fresh(verdict),
                Some(Heard::Unusable(error)) => return Err(Error::shared(&error).with_tenant(id)),
                // It may have been forgotten meanwhile.
                Some(Heard::NoAnswer(_)) | None => found = self.0.memory.find(id),
            }
        }
        let verdict = match found {
            Found::Fresh(verdict) => verdict,
            Found::Stale(known) => {
                self.served_stale(asked);
                Verdict::Known(known)
            }
            Found::Nothing(rank) => {
                let loaded = in_time(self.0.timeout, self.load(asked, id, rank)).await;
                loaded.map_err(|error| error.with_tenant(id))?
            }
        };
        match verdict {
            Verdict::Known(known) | Verdict::Suspended(known) => Ok(known),
            Verdict::Unknown => {
                let unknown = Error::new(ErrorKind::UnknownTenant, "looking the tenant up");
                Err(unknown.with_tenant(id))
            }
        }
    }

    /// Waits for the catalog, and again if the tenant was forgotten while it answered.
    pub(super) async fn load(
        &self,
        asked: &Asked,
        id: &TenantId,
        rank: Rank,
    ) -> Result<Verdict, Error> {
        let mut answered = self.answer_for(asked, id, rank).await?;
        for _ in 1..ATTEMPTS {
            if !answered.outdated {
                break;
            }
            answered = self.answer_for(asked, id, Rank::Known).await?;
        }
        match answered.answer {
            Heard::Verdict(verdict) => Ok(verdict),
            Heard::Unusable(error) | Heard::NoAnswer(error) => Err(Error::shared(&error)),
        }
    }

    async fn answer_for(
        &self,
        asked: &Asked,
        id: &TenantId,
        rank: Rank,
    ) -> Result<Answered<Heard>, Error> {
        match self.0.desk.join(id, rank) {
            Some(joined) => Ok(self.answer(asked, &joined.ticket).await),
            None => {
                let most = self.0.max_waiting;
                let attempted = format!("{most} ids are already waiting to be looked up");
                Err(Error::new(ErrorKind::Overloaded, attempted).with_retry_after(RETRY_AFTER))
            }
        }
    }

    async fn answer(&self, asked: &Asked, ticket: &Arc<Ticket<Heard>>) -> Answered<Heard> {
        let ask = |asking| {
            let (lookup, asked) = (self.clone(), asked.clone());
            Box::pin(async move { lookup.ask_for(&asked, asking).await }) as _
        };
        ticket.answer(&ask).await
    }

    /// Asks about a tenant that has changed, and waits for a moment, which this limits. The question continues afterwards.
    pub(crate) async fn hear(&self, asked: &Asked, id: &TenantId, limit: Duration) {
        // What was forgotten during the question is asked for once more.
        for _ in 0..2 {
            let Some(joined) = self.0.desk.join(id, Rank::Known) else { return };
            match self.answer_within(asked, joined, PATIENCE.min(limit)).await {
                Some(answered) if answered.outdated => {}
                Some(_) | None => return,
            }
        }
    }

    /// Waits for an answer for a limited time, which is none while the catalog does not answer. The question continues
    /// afterwards.
    async fn answer_within(
        &self,
        asked: &Asked,
        Joined { ticket, first }: Joined<Heard>,
        limit: Duration,
    ) -> Option<Answered<Heard>> {
        if first {
            let (lookup, asked, ticket) = (self.clone(), asked.clone(), Arc::clone(&ticket));
            let library = asked.library.clone();
            library.spawn(async move { drop(lookup.answer(&asked, &ticket).await) });
        }
        let outage = &self.0.outage;
        // If the background runtime has ended, this request itself asks.
        let goes_on = Arc::strong_count(&ticket) > 1;
        let left = match outage.is_on() && goes_on {
            true => Duration::ZERO,
            false => limit.saturating_sub(ticket.since.elapsed()),
        };
        if left.is_zero() {
            return None;
        }
        let answered = timeout(left, self.answer(asked, &ticket)).await.ok();
        if answered.is_none() && limit == PATIENCE {
            outage.note(None);
        }
        answered
    }

    /// Renews the entry of a tenant and waits for a limited time. The renewal continues afterwards.
    async fn renewed(&self, asked: &Asked, known: &Known) -> Option<Heard> {
        let Inner { memory, desk, .. } = &*self.0;
        if known.tried().is_some_and(|tried| memory.now() < tried + PAUSE) {
            return None;
        }
        let joined = desk.join(known.tenant.id(), Rank::Known)?;
        let answered = self.answer_within(asked, joined, PATIENCE).await?;
        (!answered.outdated).then_some(answered.answer)
    }

    fn served_stale(&self, asked: &Asked) {
        let observer = asked.library.observer();
        observer.meters.catalog_stale.inc();
        if let Some(outage) = self.0.outage.served_stale() {
            observer.tell(Event::CatalogOutage(outage));
        }
    }

    /// Lists all tenants. Each page has the timeout of a look-up.
    pub(crate) async fn list(&self, asked: &Asked) -> Result<Vec<TenantRecord>, Error> {
        let all = page::all(&*self.0.catalog, self.0.ask(asked), Some(self.0.timeout)).await?;
        Ok(all.into_iter().map(|record| self.0.rules.completed_in_tier(record)).collect())
    }

    /// Lists all tenants like [`list`](Self::list), and reads a page when the previous one is used
    /// up.
    pub(crate) fn stream(
        &self,
        asked: &Asked,
    ) -> impl Stream<Item = Result<TenantRecord, Error>> + Send + Unpin + use<> {
        let first = Some((self.clone(), asked.clone(), None::<String>));
        let pages = stream::try_unfold(first, |next| async move {
            let Some((lookup, asked, from)) = next else { return Ok::<_, Error>(None) };
            let Inner { catalog, rules, timeout, .. } = &*lookup.0;
            let ask = lookup.0.ask(&asked);
            let page = page::read(&**catalog, ask, from.as_deref(), Some(*timeout)).await?;
            let tenants: Vec<_> = page
                .tenants
                .into_iter()
                .map(|record| Ok(rules.completed_in_tier(record)))
                .collect();
            let next = page.next.map(|from| (lookup.clone(), asked.clone(), Some(from)));
            Ok(Some((stream::iter(tenants), next)))
        });
        pages.try_flatten().boxed()
    }

    /// Returns `true` if a tenant's search path has tables of other schemas.
    pub(crate) fn tenants_see_others(&self) -> bool {
        self.0.rules.tenants_see_shared || self.0.rules.extensions.hold_tables()
    }

    /// Returns the schemas after a tenant's own in its search path.
    pub(crate) fn schemas_behind(&self) -> Vec<&Ident> {
        let rules = &self.0.rules;
        let shared = rules.tenants_see_shared.then_some(&rules.shared_schema);
        shared.into_iter().chain(rules.extensions.names()).collect()
    }

    /// Returns the extension schemas.
    pub(crate) fn extension_schemas(&self) -> &[Ident] {
        self.0.rules.extensions.names()
    }

    /// Returns `true` if unqualified names are also looked up in this schema, for every tenant.
    pub(crate) fn tenants_reach(&self, schema: &Ident) -> bool {
        let rules = &self.0.rules;
        self.extension_schemas().contains(schema)
            || (rules.tenants_see_shared && rules.shared_schema == *schema)
    }

    pub(crate) fn finds_schemas(&self) -> bool {
        self.0.catalog.finds_schemas()
    }

    pub(crate) fn lists_new(&self) -> bool {
        self.0.catalog.lists_new()
    }

    pub(crate) fn names_roles(&self) -> bool {
        self.0.catalog.names_roles()
    }

    /// Returns `true` if a tenant's record, as the application completes it, can name a role.
    pub(crate) fn may_name_roles(&self) -> bool {
        self.names_roles() || self.0.rules.complete.is_some()
    }

    /// Returns what the application adds to the record of a tenant without other recorded data.
    pub(crate) fn by_rule(&self, id: &TenantId) -> TenantRecord {
        self.0.rules.completed(TenantRecord::new(id.clone()))
    }

    /// Returns `true` if the application chooses tiers.
    pub(crate) fn has_tiers(&self) -> bool {
        self.0.rules.tier.is_some()
    }

    /// Gives a record the isolation and the server of its tier, where it names none.
    pub(crate) fn placed_by_tier(&self, record: TenantRecord) -> TenantRecord {
        self.0.rules.placed_by_tier(record)
    }

    pub(crate) fn channel(&self) -> Option<&str> {
        self.0.catalog.channel()
    }

    /// Looks up a tenant in any state, bypassing the cache.
    pub(crate) async fn record(
        &self,
        asked: &Asked,
        id: &TenantId,
    ) -> Result<Option<TenantRecord>, Error> {
        let ids = std::slice::from_ref(id);
        let mut said = in_time(self.0.timeout, self.0.resolve(asked, ids)).await?;
        let record = said.remove(id).unwrap_or(Ok(None));
        record.map_err(|error| Error::shared(&error).with_tenant(id))
    }

    /// Returns how tenants' data is isolated.
    pub(crate) fn isolations(&self) -> &Isolations {
        &self.0.rules.isolations
    }

    /// Returns where a tenant's data is.
    pub(crate) fn place(&self, record: &TenantRecord) -> Result<Placement, Error> {
        self.0.rules.place(record)
    }

    /// Returns where a tenant's data would be if the catalog had this record.
    pub(crate) fn place_completed(&self, record: &TenantRecord) -> Result<Placement, Error> {
        self.place(&self.0.rules.completed_in_tier(record.clone()))
    }

    /// Returns the limits of a tenant.
    pub(crate) fn limits_of(&self, record: &TenantRecord) -> Result<TenantLimits, Error> {
        self.0.rules.limits(record)
    }

    /// Returns the name of a tenant's schema in the manager's database.
    pub(crate) fn container(&self, record: &TenantRecord) -> Result<Ident, Error> {
        let container = self.0.rules.container(record, &Home::MANAGERS)?;
        self.refuse_excluded(record, &container)?;
        Ok(container)
    }

    /// Refuses a schema that the catalog excludes: a tenant in it would never be found again.
    fn refuse_excluded(&self, record: &TenantRecord, container: &Ident) -> Result<(), Error> {
        if !self.0.catalog.excludes(container) {
            return Ok(());
        }
        let attempted = "its container is a schema that the catalog excludes";
        Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id))
    }

    /// Returns `true` if a tenant has dedicated connections.
    pub(crate) fn is_dedicated(&self, record: &TenantRecord) -> bool {
        (self.0.rules.dedicate.decide)(record)
    }

    /// Returns `true` if tenants may have separate logins.
    pub(crate) fn has_logins(&self) -> bool {
        self.0.rules.dedicate.credentials.is_some()
    }

    /// Returns the login of a tenant's dedicated connections, if it is not the manager's.
    pub(crate) fn login_of(&self, record: &TenantRecord) -> Option<Grantee> {
        self.0.rules.login_of(record).map(Grantee::Login)
    }

    /// Returns the site through which maintenance of a database reaches a tenant there.
    pub(crate) fn site(&self, record: &TenantRecord, home: &Home) -> Result<Site, Error> {
        let site = self.0.rules.site(record, home)?;
        if home.is_managers() {
            self.refuse_excluded(record, &site.schema)?;
        }
        Ok(site)
    }

    /// Returns the site through which maintenance of a database reaches the tables there that hold the
    /// rows of all tenants.
    pub(crate) fn site_of_row_tables(&self, home: &Home) -> Site {
        self.0.rules.site_of_row_tables(home)
    }

    /// Returns `true` if rows of all tenants are in tables of the shared schema.
    pub(crate) fn rows_are_in_shared_schema(&self) -> bool {
        *self.0.rules.row_schema() == self.0.rules.shared_schema
    }

    /// Makes the sessions of tenants in the tables of all drop their prepared statements, if these
    /// tables are in this schema.
    pub(crate) fn note_change_of_rows(&self, schema: &Ident) {
        if self.0.rules.row_schema() == schema {
            self.0.rules.servers.values().for_each(RowTables::note_change);
        }
    }

    /// Returns the site through which maintenance reaches a tenant's rows.
    pub(crate) fn site_of_rows(&self, record: &TenantRecord, home: &Home) -> Result<Site, Error> {
        self.0.rules.site_of_rows(record, home)
    }

    /// Returns the site through which maintenance of a database reaches a tenant whose schema has a
    /// temporary name.
    pub(crate) fn site_at(&self, record: &TenantRecord, home: &Home, schema: &Ident) -> Site {
        self.0.rules.site_at(record, home, schema.clone())
    }

    /// Returns a tenant in creation, whose schema has this name, for its creator only.
    pub(crate) fn in_the_making(
        &self,
        record: &TenantRecord,
        home: &Home,
        schema: &Ident,
    ) -> Result<Known, Error> {
        let record = TenantRecord { state: TenantState::Active, step: None, ..record.clone() };
        let placement = Placement::at(home, schema.clone());
        self.0.rules.known(record, placement, None, Arc::default(), Instant::now())
    }

    /// Returns a tenant in creation whose rows are in tables of all tenants, for its creator only.
    pub(crate) fn rows_in_the_making(&self, record: &TenantRecord) -> Result<Known, Error> {
        let record = TenantRecord { state: TenantState::Active, step: None, ..record.clone() };
        let placement = self.place(&record)?;
        self.0.rules.known(record, placement, None, Arc::default(), Instant::now())
    }

    /// Creates one that finds the tenants whose schemas match the template, each by its schema,
    /// under the same rules otherwise. None of them is dedicated.
    pub(crate) fn of_scratch(&self, isolations: Isolations, shared_schema: Ident) -> Self {
        let Inner { rules, retry, .. } = &*self.0;
        let tables = RowTables::new(isolations.schema_of_rows(&shared_schema));
        let rules = Rules {
            isolations,
            servers: [(MAIN.into(), tables)].into(),
            shared_places: BTreeMap::new(),
            databases: BTreeMap::new(),
            shared_schema,
            tenants_see_shared: rules.tenants_see_shared,
            extensions: Arc::clone(&rules.extensions),
            dedicate: Dedicate { decide: Arc::new(|_| false), credentials: None },
            runtime: rules.runtime.clone(),
            complete: None,
            tier: None,
            after_bind: None,
        };
        let catalog = Box::new(SchemaDiscovery::new());
        Self::new(&CatalogOptions::default(), catalog, rules, retry.clone(), 1)
    }

    /// Returns `true` if a tenant can be derived from the name of its schema.
    pub(crate) fn can_be_read_backwards(&self) -> bool {
        let template = self.0.rules.isolations.template_of_schemas();
        template.is_some_and(NameTemplate::can_be_read_backwards)
    }

    /// Returns `true` if the template can produce a schema's name.
    pub(crate) fn may_be_a_tenants(&self, schema: &Ident) -> bool {
        let Rules { isolations, shared_schema, .. } = &self.0.rules;
        let template = isolations.template_of_schemas();
        template.is_some_and(|template| template.id_of(schema.as_str()).is_some())
            && schema != shared_schema
            && !self.0.catalog.excludes(schema)
    }

    /// Returns the table of the shared schema that lists the tenants, if there is one.
    pub(crate) fn table_in_shared_schema(&self) -> Option<&Ident> {
        self.0.catalog.table_in_shared_schema()
    }

    /// Returns `true` if the catalog can record a tenant whose creation is incomplete.
    pub(crate) async fn keeps_steps(&self, conn: &mut PgConnection) -> Result<bool, Error> {
        let write = Write { conn, shared_schema: &self.0.rules.shared_schema };
        self.0.catalog.keeps_steps(write).await
    }

    /// Returns the site through which maintenance reaches a schema that belongs to no tenant yet.
    pub(crate) fn site_of(&self, schema: &Ident, home: &Home) -> Site {
        self.0.rules.site_of(schema, home)
    }

    /// Returns the site through which maintenance reaches the shared schema.
    pub(crate) fn shared_site(&self) -> Site {
        self.0.rules.shared_site()
    }

    /// Writes a change to the tenant list in the connection's open transaction.
    pub(crate) async fn write(
        &self,
        conn: &mut PgConnection,
        change: CatalogChange<'_>,
    ) -> Result<(), Error> {
        let write = Write { conn, shared_schema: &self.0.rules.shared_schema };
        match change {
            CatalogChange::Created(record) => {
                let record = without_rules(record, &self.by_rule(&record.id));
                self.0.catalog.write(write, CatalogChange::Created(&record)).await
            }
            change => self.0.catalog.write(write, change).await,
        }
    }

    /// Makes the sessions of known handles drop their prepared statements.
    pub(crate) fn note_change(&self, id: &TenantId) {
        if let Some(known) = self.0.memory.known(id.as_str()) {
            known.occupant.note_change();
        }
    }

    /// Invalidates every handle of a tenant, and forgets it. Elsewhere than in schemas of the main database, nothing
    /// tells a session that the tenant is another one than before.
    pub(crate) fn retire(&self, record: &TenantRecord) {
        if let Ok(placement) = self.place(record) {
            self.0.holders.retire(placement.spot());
        }
        if let Some(known) = self.0.memory.known(record.id.as_str()) {
            known.occupant.retire();
        }
        self.forget(record.id.as_str());
    }

    /// Forgets a tenant that was changed: it is not served before the catalog has answered.
    pub(crate) fn forget(&self, id: &str) {
        self.0.desk.forget(id, || self.0.memory.forget(id));
        self.0.changed.notify_waiters();
    }

    /// Forgets all tenants: all were changed.
    pub(super) fn forget_all(&self) {
        self.0.desk.forget_all(|| self.0.memory.forget_all());
        self.0.changed.notify_waiters();
    }

    /// Marks all tenants for renewal: changes may have been missed.
    pub(super) fn doubt_all(&self) {
        self.0.memory.doubt_all();
    }

    /// Records that a task listens for changes. Returns `true` if none did before.
    pub(super) fn begin_to_listen(&self) -> bool {
        let Inner { listening, .. } = &*self.0;
        !listening.load(Ordering::Relaxed) && !listening.swap(true, Ordering::Relaxed)
    }

    /// Records that no task listens any more.
    pub(super) fn end_to_listen(&self) {
        self.0.listening.store(false, Ordering::Relaxed);
    }
}

impl Inner {
    /// Outdates the answers about a tenant that are under way: they may be older than this call.
    pub(super) fn outdate(&self, id: &TenantId) {
        self.desk.forget(id.as_str(), || {});
    }

    pub(super) fn ask<'a>(&'a self, asked: &'a Asked) -> Ask<'a> {
        Ask {
            library: &asked.library,
            shared: &asked.shared,
            shared_schema: &self.rules.shared_schema,
            extension_schemas: self.rules.extensions.names(),
            isolation: self.rules.isolations.by_default(),
        }
    }
}

/// Leaves out what the application adds to the record anyway, which need not be stored.
fn without_rules(record: &TenantRecord, rule: &TenantRecord) -> TenantRecord {
    fn other<T: Clone + PartialEq>(value: &Option<T>, rule: &Option<T>) -> Option<T> {
        if value == rule { None } else { value.clone() }
    }
    TenantRecord {
        role: other(&record.role, &rule.role),
        isolation: other(&record.isolation, &rule.isolation),
        server: other(&record.server, &rule.server),
        key: other(&record.key, &rule.key),
        ..record.clone()
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").field("catalog", &self.0.catalog).finish_non_exhaustive()
    }
}
