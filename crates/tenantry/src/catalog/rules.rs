use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use super::fixed::container_of;
use crate::{
    error::{Error, ErrorKind},
    pool::{
        AfterBind, AskAfterBind, AskForCredentials, Class, ExtensionSchemas, Grantee, Login,
        Occupant, OccupantId,
    },
    tenant::{
        Binding, Ident, Isolation, PROVISIONAL, Placement, Schema, Tenant, TenantId, TenantRecord,
        TenantState,
    },
};

/// Decides whether a tenant gets dedicated connections.
pub(crate) type Decide = Arc<dyn Fn(&TenantRecord) -> bool + Send + Sync>;

/// Completes the catalog's record of a tenant.
pub(crate) type Complete = Arc<dyn Fn(TenantRecord) -> TenantRecord + Send + Sync>;

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
}

/// Approximate number of tables of a schema that maintenance touches: those of the library, and
/// those that a migration changes.
const TABLES_OF_UPKEEP: u32 = 3;

/// Rules that turn a record into a tenant.
pub(crate) struct Rules {
    pub(crate) isolation: Isolation,
    pub(crate) shared_schema: Ident,
    pub(crate) tenants_see_shared: bool,
    pub(crate) extensions: Arc<ExtensionSchemas>,
    pub(crate) dedicate: Dedicate,
    /// The manager's role, if maintenance uses another one.
    pub(crate) runtime: Option<Ident>,
    /// Completes each record on behalf of the application.
    pub(crate) complete: Option<Complete>,
    /// The application hook for sessions that were bound to a tenant.
    pub(crate) after_bind: Option<AskAfterBind>,
}

impl Rules {
    /// Returns the record completed by the application. Its id and step are unchanged.
    pub(super) fn completed(&self, record: TenantRecord) -> TenantRecord {
        let completed = match &self.complete {
            None => record,
            Some(complete) => {
                let (id, step, schema) = (record.id.clone(), record.step.clone(), record.schema);
                TenantRecord { id, step, schema, ..complete(record) }
            }
        };
        completed.suspended_while_in_the_making()
    }

    /// Returns the container of a tenant, which is never a schema shared by all.
    pub(super) fn container(&self, record: &TenantRecord) -> Result<Ident, Error> {
        let container = container_of(record, &self.isolation)?;
        let everybodys = container.is_reserved_schema()
            || container == self.shared_schema
            || self.extensions.names().contains(&container)
            || container.as_str().starts_with(PROVISIONAL);
        if everybodys {
            let attempted = "its container is a schema that all tenants share";
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        }
        Ok(container)
    }

    /// Returns a maintenance occupant with the search path of the tenant in a schema.
    fn upkeep(&self, id: OccupantId, class: Class, schema: &Ident) -> Arc<Occupant> {
        let shared = self.tenants_see_shared.then_some(&self.shared_schema);
        let binding = Binding::upkeep(schema, shared).reaching(self.extensions.names());
        let occupant = Occupant::new(id, class, binding);
        occupant.set_tables(TABLES_OF_UPKEEP);
        Arc::new(occupant)
    }

    /// Returns the site through which maintenance reaches a tenant.
    pub(super) fn site(&self, record: &TenantRecord) -> Result<Site, Error> {
        Ok(self.site_at(record, self.container(record)?))
    }

    /// Returns the site through which maintenance reaches a tenant whose schema has this name.
    pub(super) fn site_at(&self, record: &TenantRecord, schema: Ident) -> Site {
        let (tenant, class) = (record.id.clone(), self.class(record));
        let occupant = self.upkeep(OccupantId::Tenant(tenant.clone()), class, &schema);
        let grantee = self.grantee(record, class);
        Site { tenant: Some(tenant), schema, occupant, grantee }
    }

    /// Returns the site through which maintenance reaches a schema that belongs to no tenant yet.
    pub(super) fn site_of(&self, schema: &Ident) -> Site {
        let occupant = self.upkeep(OccupantId::Upkeep, Class::Shared, schema);
        Site { tenant: None, schema: schema.clone(), occupant, grantee: self.runtime() }
    }

    /// Returns the site through which maintenance reaches the shared schema.
    pub(super) fn shared_site(&self) -> Site {
        let schema = self.shared_schema.clone();
        let binding = Binding::upkeep(&schema, None).reaching(self.extensions.names());
        let occupant = Arc::new(Occupant::new(OccupantId::Shared, Class::Shared, binding));
        Site { tenant: None, schema, occupant, grantee: self.runtime() }
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

    fn class(&self, record: &TenantRecord) -> Class {
        if (self.dedicate.decide)(record) { Class::Dedicated } else { Class::Pooled }
    }

    /// Creates a tenant from its record. Its container is that schema now; `None` leaves that to
    /// the first session that is bound.
    pub(super) fn known(
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
            let attempted = format!("its record sets {name}, which isolates tenants");
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        }
        let id = OccupantId::Tenant(record.id.clone());
        let login = self.login(&record, class);
        let occupant = Occupant::new(id, class, binding).of(schema).logging_in(login);
        let occupant = occupant.reaching(&self.extensions);
        let is_active = record.state == TenantState::Active;
        let tenant = Tenant::new(record, placement);
        let hook = self.after_bind.clone().map(|hook| AfterBind::new(tenant.clone(), hook));
        let occupant = occupant.followed_by(hook);
        let occupant = Arc::new(if is_active { occupant } else { occupant.suspended() });
        Ok(Known { tenant, occupant, tried: AtomicU64::new(0) })
    }
}
