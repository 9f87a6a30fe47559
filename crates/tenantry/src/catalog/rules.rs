//! Turns records of the catalog into tenants: placement, dedicated connections, logins.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{placing::Isolations, shared_place::SharedPlace};
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    pool::{
        AfterBind, AskAfterBind, AskForCredentials, Class, ExtensionSchemas, Grantee, KeyDigest,
        LiveLimits, Login, Occupant, OccupantId, RowTables,
    },
    tenant::{
        Binding, Home, Ident, IsolationKind, MAIN, MOVED, PROVISIONAL, Placement, RowKey, Rows,
        Schema, Tenant, TenantId, TenantLimits, TenantRecord, TenantState, Tier,
    },
};

/// Decides whether a tenant gets dedicated connections.
pub(crate) type Decide = Arc<dyn Fn(&TenantRecord) -> bool + Send + Sync>;

/// Completes the catalog's record of a tenant.
pub(crate) type Complete = Arc<dyn Fn(TenantRecord) -> TenantRecord + Send + Sync>;

/// Chooses the tier of a tenant.
pub(crate) type ChooseTier = Arc<dyn Fn(&TenantRecord) -> Tier + Send + Sync>;

/// Which tenants get dedicated connections, and how those log in.
pub(crate) struct Dedicate {
    pub(crate) decide: Decide,
    pub(crate) credentials: Option<AskForCredentials>,
}

/// A tenant with the identity of its session.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) tenant: Tenant,
    pub(crate) occupant: Arc<Occupant>,
    /// When a renewal last failed, in nanoseconds.
    tried: AtomicU64,
}

impl Known {
    pub(super) fn note_tried(&self, now: Duration) {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.tried.store(now, Ordering::Relaxed);
    }

    /// Returns when a renewal last failed, if it did.
    pub(super) fn tried(&self) -> Option<Duration> {
        let tried = self.tried.load(Ordering::Relaxed);
        (tried > 0).then(|| Duration::from_nanos(tried))
    }
}

/// A tenant in any state, as maintenance reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The tenant; `None` for the shared schema, and for a schema that belongs to no tenant yet.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) schema: Ident,
    /// Binds a session to the schema with the connection's role, without the tenant's settings.
    /// Dedicated if a connection that has served the tenant may not serve others.
    pub(crate) occupant: Arc<Occupant>,
    /// The role that works on the tables, if it is not the maintenance role.
    pub(crate) grantee: Option<Grantee>,
    state: TenantState,
    /// The number of the tenant's placement.
    pub(crate) epoch: u64,
    /// The database that has the schema.
    pub(crate) home: Home,
    /// The tenant's rows, if the schema holds those of all tenants.
    pub(crate) rows: Option<Arc<RowsOfTenant>>,
}

/// The rows of one tenant in the tables of all.
#[derive(Debug)]
pub(crate) struct RowsOfTenant {
    pub(crate) of: Rows,
    /// The tenant's key, as PostgreSQL prints it.
    pub(crate) key: Arc<str>,
}

impl Site {
    /// Returns what no other tenant has: a schema, or a key in the tables of one.
    pub(crate) fn spot(&self) -> (&Home, &Ident, Option<&str>) {
        (&self.home, &self.schema, self.rows.as_ref().map(|rows| &*rows.key))
    }

    /// Returns the site with the tenant's key in tables that are not, or may not be, those of all tenants.
    pub(crate) fn with_rows(self, rows: impl Into<Option<RowsOfTenant>>) -> Self {
        Self { rows: rows.into().map(Arc::new), ..self }
    }

    /// Returns the name of its server, if it is not the manager's own.
    pub(crate) fn server(&self) -> Option<Arc<str>> {
        let server = self.home.server();
        (server != MAIN).then(|| server.into())
    }

    /// Refuses to change a schema on its way to another place: the copy would lack the change.
    pub(crate) fn refuse_moving(&self) -> Result<(), Error> {
        match &self.tenant {
            Some(tenant) => refuse_moving(tenant, self.state),
            None => Ok(()),
        }
    }
}

/// Refuses to change a tenant on its way to another place.
pub(crate) fn refuse_moving(tenant: &TenantId, state: TenantState) -> Result<(), Error> {
    if !state.is_moving() {
        return Ok(());
    }
    let state = state.as_str();
    let attempted = format!(
        "it is being moved to another place (state {state}): try again when the move has ended"
    );
    let moving = Error::new(ErrorKind::Busy, attempted).with_tenant(tenant);
    Err(moving.with_retry_after(RETRY_AFTER))
}

/// Approximate number of tables of a schema that maintenance touches: those of the library, and
/// those that a migration changes.
const TABLES_OF_UPKEEP: u32 = 3;

/// The databases that new ones are copied from.
const TEMPLATES: [&str; 2] = ["template0", "template1"];

/// Rules that turn a record into a tenant.
pub(crate) struct Rules {
    pub(crate) isolations: Isolations,
    pub(crate) shared_schema: Ident,
    pub(crate) tenants_see_shared: bool,
    pub(crate) extensions: Arc<ExtensionSchemas>,
    pub(crate) dedicate: Dedicate,
    /// The manager's role, if maintenance uses another one.
    pub(crate) runtime: Option<Ident>,
    /// The servers by name, with what is known of the tables there that hold the rows of all
    /// tenants.
    pub(crate) servers: BTreeMap<Arc<str>, RowTables>,
    /// The database in the URL of each server.
    pub(crate) databases: BTreeMap<Arc<str>, String>,
    /// The placement that the tenants in that database share.
    pub(crate) shared_places: BTreeMap<Arc<str>, SharedPlace>,
    /// Completes each record on behalf of the application.
    pub(crate) complete: Option<Complete>,
    /// Chooses the tier of each tenant on behalf of the application.
    pub(crate) tier: Option<ChooseTier>,
    /// The application hook for sessions that were bound to a tenant.
    pub(crate) after_bind: Option<AskAfterBind>,
}

impl Rules {
    /// Returns the record completed by the application. Its id and step are unchanged.
    pub(super) fn completed(&self, record: TenantRecord) -> TenantRecord {
        let completed = match &self.complete {
            None => record,
            Some(complete) => {
                let TenantRecord { id, step, schema, is_placed, .. } = record.clone();
                TenantRecord { id, step, schema, is_placed, ..complete(record) }
            }
        };
        completed.suspended_while_in_the_making()
    }

    /// Returns the completed record, with the placement of its tier unless the catalog decides that.
    pub(super) fn completed_in_tier(&self, record: TenantRecord) -> TenantRecord {
        let record = self.completed(record);
        if record.is_placed { record } else { self.placed_by_tier(record) }
    }

    /// Gives a record the isolation and the server of its tier, where it names none.
    pub(super) fn placed_by_tier(&self, record: TenantRecord) -> TenantRecord {
        let tier = self.tier_of(&record);
        record.placed_by(&tier)
    }

    fn tier_of(&self, record: &TenantRecord) -> Tier {
        self.tier.as_ref().map(|choose| choose(record)).unwrap_or_default()
    }

    /// Returns the limits of a tenant: those in its attributes, and otherwise those of its tier.
    pub(super) fn limits(&self, record: &TenantRecord) -> Result<TenantLimits, Error> {
        let of_tier = self.tier_of(record).limits;
        let own = of_tier.check().and_then(|()| TenantLimits::in_attributes(&record.attributes));
        own.map(|own| own.or(of_tier)).map_err(|error| {
            let attempted = format!("its limits cannot be used: {error}");
            Error::new(ErrorKind::Config, attempted).with_tenant(&record.id)
        })
    }

    /// Returns where a tenant's data is. A schema of its own is never one shared by all.
    pub(super) fn place(&self, record: &TenantRecord) -> Result<Placement, Error> {
        let placement = self.isolations.place(record, &self.shared_schema)?;
        if placement.isolation() == IsolationKind::Schema && self.is_shared(placement.container()) {
            let attempted = "its container is a schema that all tenants share";
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        }
        if let (Some(of_server), Some(own)) =
            (self.databases.get(placement.server()), placement.database())
            && of_server == own.as_str()
        {
            let attempted = format!(
                "its database {own} is the one in the URL of server {}, which other tenants use",
                placement.server()
            );
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        }
        if placement.database().is_some_and(|own| TEMPLATES.contains(&own.as_str())) {
            // A connection to it would also keep everybody from creating databases.
            let attempted = "its database is PostgreSQL's template for new databases";
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        }
        match self.servers.contains_key(placement.server()) {
            true => Ok(placement),
            false => Err(self.unknown_server(record, &placement)),
        }
    }

    fn unknown_server(&self, record: &TenantRecord, placement: &Placement) -> Error {
        let name: String = placement.server().chars().take(80).collect();
        let names: Vec<_> = self.servers.keys().map(|name| &**name).collect();
        let attempted = format!(
            "its record or its tier names the server {name:?}, which is not configured: add it with ManagerBuilder::server; \
             there are {}",
            names.join(", ")
        );
        Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id)
    }

    fn is_shared(&self, schema: &Ident) -> bool {
        schema.is_reserved_schema()
            || *schema == self.shared_schema
            || self.isolations.rows().tables_schema() == Some(schema)
            || self.extensions.names().contains(schema)
            || [PROVISIONAL, MOVED].iter().any(|start| schema.as_str().starts_with(start))
    }

    /// Returns the schema of this database that only this tenant has.
    ///
    /// # Errors
    ///
    /// [`Placement`](ErrorKind::Placement) when it has none there: nothing that works on the schema
    /// of a tenant ever reaches one that holds the rows of others, or one of another database.
    pub(super) fn container(&self, record: &TenantRecord, home: &Home) -> Result<Ident, Error> {
        let placement = self.place(record)?;
        self.refuse_elsewhere(record, &placement, home)?;
        match placement.isolation() {
            IsolationKind::Schema | IsolationKind::Database => Ok(placement.container().clone()),
            kind @ IsolationKind::Row => {
                let attempted = format!("it is isolated by {kind} and has no schema of its own");
                Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id))
            }
        }
    }

    /// Refuses a tenant that is not in this database.
    fn refuse_elsewhere(
        &self,
        record: &TenantRecord,
        placement: &Placement,
        home: &Home,
    ) -> Result<(), Error> {
        let is = placement.home();
        if is == *home {
            return Ok(());
        }
        let attempted = match is.server() == home.server() {
            true => format!("it is in {is}, which this operation does not support"),
            false => {
                format!("it is on server {}, which this operation does not support", is.server())
            }
        };
        Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id))
    }

    /// Returns a maintenance occupant with the search path of the tenant in a schema.
    fn upkeep(
        &self,
        (id, class): (OccupantId, Class),
        home: &Home,
        schema: &Ident,
        key: Option<RowKey>,
    ) -> Arc<Occupant> {
        let shared = self.tenants_see_shared.then_some(&self.shared_schema);
        let binding = Binding::upkeep(schema, shared).reaching(self.extensions.names());
        let binding = binding.confined_to(key).failing_under_policies(self.isolations.has_rows());
        let occupant = Occupant::new(id, class, binding).at(home.clone());
        occupant.set_tables(TABLES_OF_UPKEEP);
        Arc::new(occupant)
    }

    /// Returns the site through which maintenance of a database reaches a tenant there.
    pub(super) fn site(&self, record: &TenantRecord, home: &Home) -> Result<Site, Error> {
        Ok(self.site_at(record, home, self.container(record, home)?))
    }

    /// Returns the site through which maintenance of a database reaches a tenant whose schema has this
    /// name.
    pub(super) fn site_at(&self, record: &TenantRecord, home: &Home, schema: Ident) -> Site {
        let (tenant, class) = (record.id.clone(), self.class(record));
        let (id, key) = (OccupantId::Tenant(tenant.clone()), self.isolations.key(record));
        let occupant = self.upkeep((id, class), home, &schema, key);
        let serves = if home.database().is_some() { Class::Dedicated } else { class };
        let grantee = self.grantee(record, serves);
        let (state, epoch, home) = (record.state, record.epoch, home.clone());
        Site { tenant: Some(tenant), schema, occupant, grantee, state, epoch, home, rows: None }
    }

    /// Returns the site through which maintenance reaches a schema that belongs to no tenant yet.
    pub(super) fn site_of(&self, schema: &Ident, home: &Home) -> Site {
        let occupant = self.upkeep((OccupantId::Upkeep, Class::Shared), home, schema, None);
        let (schema, state) = (schema.clone(), TenantState::Active);
        let (grantee, home) = (self.runtime(), home.clone());
        Site { tenant: None, schema, occupant, grantee, state, epoch: 0, home, rows: None }
    }

    /// Returns the site through which maintenance reaches the shared schema.
    pub(super) fn shared_site(&self) -> Site {
        let schema = self.shared_schema.clone();
        let binding = Binding::upkeep(&schema, None).reaching(self.extensions.names());
        let binding = binding.failing_under_policies(self.isolations.has_rows());
        let occupant = Arc::new(Occupant::new(OccupantId::Shared, Class::Shared, binding));
        let (state, home) = (TenantState::Active, Home::MANAGERS);
        let grantee = self.runtime();
        Site { tenant: None, schema, occupant, grantee, state, epoch: 0, home, rows: None }
    }

    /// Returns the site through which maintenance of a database reaches the tables there that hold the
    /// rows of all tenants. It has no key, so a policy that applies to its role makes a statement
    /// fail.
    pub(super) fn site_of_row_tables(&self, home: &Home) -> Site {
        match self.row_schema() {
            schema if *schema == self.shared_schema && home.is_managers() => self.shared_site(),
            schema => self.site_of(schema, home),
        }
    }

    /// Returns the schema that holds the rows of all tenants.
    pub(super) fn row_schema(&self) -> &Ident {
        self.isolations.schema_of_rows(&self.shared_schema)
    }

    /// Returns the site through which maintenance reaches a tenant's rows, and no others as far as
    /// policies apply to its role.
    ///
    /// # Errors
    ///
    /// [`Placement`](ErrorKind::Placement) when the tenant has tables of its own, or is elsewhere.
    pub(super) fn site_of_rows(&self, record: &TenantRecord, home: &Home) -> Result<Site, Error> {
        let placement = self.place(record)?;
        self.refuse_elsewhere(record, &placement, home)?;
        let key = match placement.isolation() {
            IsolationKind::Row => self.isolations.key(record),
            _ => None,
        };
        let Some(key) = key else {
            let attempted = "it has tables of its own, and no key in those of all tenants";
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        };
        let rows = RowsOfTenant { of: self.isolations.rows().clone(), key: Arc::clone(&key.value) };
        let (schema, class) = (placement.container().clone(), self.class(record));
        let binding = Binding::upkeep(&schema, None).reaching(self.extensions.names());
        let id = OccupantId::Tenant(record.id.clone());
        let occupant = Occupant::new(id, class, binding.confined_to(Some(key))).at(home.clone());
        occupant.set_tables(TABLES_OF_UPKEEP);
        Ok(Site {
            tenant: Some(record.id.clone()),
            schema,
            occupant: Arc::new(occupant),
            grantee: self.grantee_of_rows(record, class),
            state: record.state,
            epoch: record.epoch,
            home: home.clone(),
            rows: Some(Arc::new(rows)),
        })
    }

    /// Returns the role of the sessions of a tenant that is isolated by row, if it is not the
    /// maintenance role.
    fn grantee_of_rows(&self, record: &TenantRecord, class: Class) -> Option<Grantee> {
        let of_rows = self.isolations.rows().sessions_role().filter(|_| record.role.is_none());
        of_rows.cloned().map(Grantee::Role).or_else(|| self.grantee(record, class))
    }

    /// Returns the role that works on a tenant's tables, if it is not the maintenance role.
    fn grantee(&self, record: &TenantRecord, class: Class) -> Option<Grantee> {
        match &record.role {
            Some(role) => Some(Grantee::Role(role.clone())),
            None => self.login(record, class).map(Grantee::Login).or_else(|| self.runtime()),
        }
    }

    fn runtime(&self) -> Option<Grantee> {
        self.runtime.clone().map(Grantee::Role)
    }

    /// Returns the login of a tenant's connections, if it is not the manager's.
    fn login(&self, record: &TenantRecord, class: Class) -> Option<Login> {
        let ask = self.dedicate.credentials.clone().filter(|_| class == Class::Dedicated);
        ask.map(|ask| Login::tenants(record.clone(), ask))
    }

    /// Returns the login of a tenant's connections, if it is not the manager's.
    pub(super) fn login_of(&self, record: &TenantRecord) -> Option<Login> {
        self.login(record, self.class(record))
    }

    fn class(&self, record: &TenantRecord) -> Class {
        if (self.dedicate.decide)(record) { Class::Dedicated } else { Class::Pooled }
    }

    fn binding(&self, record: &TenantRecord, placement: &Placement) -> Binding {
        let shared = self.tenants_see_shared.then_some(&self.shared_schema);
        match placement.isolation() {
            IsolationKind::Row => Binding::rows(record, self.isolations.rows(), placement, shared),
            _ => Binding::tenant(record, placement, shared),
        }
        .confined_to(self.isolations.key(record))
    }

    /// Shares the memory of the server's name with the other tenants there.
    fn sharing_server(&self, record: TenantRecord) -> TenantRecord {
        let known = record.server.as_ref().and_then(|server| self.servers.get_key_value(server));
        match known {
            Some((server, _)) => TenantRecord { server: Some(Arc::clone(server)), ..record },
            None => record,
        }
    }

    /// Creates a tenant from its record as the catalog had it at this time, with the limits that it has
    /// now and in the future. Its container is that schema now; `None` leaves that to the first session
    /// that is bound.
    pub(super) fn known(
        &self,
        record: TenantRecord,
        placement: Placement,
        schema: Option<Schema>,
        limits: Arc<LiveLimits>,
        looked_up: Instant,
    ) -> Result<Known, Error> {
        let record = self.sharing_server(record);
        let class = match placement.database() {
            // A session cannot change its database, so its connections serve no other tenant.
            Some(_) => Class::Dedicated,
            None => self.class(&record),
        };
        let binding = self.binding(&record, &placement);
        if let Some(name) = binding.forbidden_setting() {
            let attempted = format!("its record sets {name}, which isolates tenants");
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        }
        let id = OccupantId::Tenant(record.id.clone());
        let login = self.login(&record, class);
        let occupant = Occupant::new(id, class, binding).limited_by(limits);
        let shared_place = self.shared_places.get(placement.server());
        let (placement, occupant) = match shared_place {
            Some(place) => place.shared(placement, occupant),
            None => {
                let occupant = occupant.placed(placement.home(), placement.epoch());
                (placement, occupant)
            }
        };
        let occupant = occupant.logging_in(login);
        let occupant = match placement.key().zip(self.servers.get(placement.server())) {
            Some((key, tables)) => {
                let key = KeyDigest::of(placement.container(), key);
                occupant.sharing(tables, key, looked_up)
            }
            None if placement.isolation() == IsolationKind::Row => occupant,
            None => occupant.of(schema),
        };
        let occupant = occupant.reaching(&self.extensions);
        let state = record.state;
        let tenant = Tenant::new(record, placement);
        let hook = self.after_bind.clone().map(|hook| AfterBind::new(tenant.clone(), hook));
        let occupant = occupant.followed_by(hook);
        let occupant = Arc::new(match state {
            TenantState::Active | TenantState::Moving => occupant,
            TenantState::Suspended => occupant.suspended(),
            TenantState::Cutover => occupant.in_cutover(),
        });
        Ok(Known { tenant, occupant, tried: AtomicU64::new(0) })
    }
}
