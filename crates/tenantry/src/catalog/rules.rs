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

/// Decides whether a tenant's connections are its own for good.
pub(crate) type Decide = Arc<dyn Fn(&TenantRecord) -> bool + Send + Sync>;

/// Completes what the catalog has on record about a tenant.
pub(crate) type Complete = Arc<dyn Fn(TenantRecord) -> TenantRecord + Send + Sync>;

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
    /// When the catalog was last asked in vain to renew it, in nanoseconds.
    tried: AtomicU64,
}

impl Known {
    pub(super) fn note_tried(&self, now: Duration) {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.tried.store(now, Ordering::Relaxed);
    }

    /// Returns when the catalog was last asked in vain, if it was.
    pub(super) fn tried(&self) -> Option<Duration> {
        let tried = self.tried.load(Ordering::Relaxed);
        (tried > 0).then(|| Duration::from_nanos(tried))
    }
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
    /// Who works on the tables, where that is not the role of upkeep.
    pub(crate) grantee: Option<Grantee>,
}

/// Tables of a schema that upkeep comes across, more or less: those of the library, and what a migration
/// changes.
const TABLES_OF_UPKEEP: u32 = 3;

/// What is made of a record.
pub(crate) struct Rules {
    pub(crate) isolation: Isolation,
    pub(crate) shared_schema: Ident,
    pub(crate) tenants_see_shared: bool,
    pub(crate) extensions: Arc<ExtensionSchemas>,
    pub(crate) dedicate: Dedicate,
    /// The role of the manager, where upkeep has another one.
    pub(crate) runtime: Option<Ident>,
    /// What the application adds to each record.
    pub(crate) complete: Option<Complete>,
    /// What the application does to sessions that were bound to a tenant.
    pub(crate) after_bind: Option<AskAfterBind>,
}

impl Rules {
    /// Returns the record with what the application adds. Who it is, and whether it is whole, stays as it was.
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

    /// Returns the container of a tenant, which is never a schema that belongs to everybody.
    pub(super) fn container(&self, record: &TenantRecord) -> Result<Ident, Error> {
        let container = container_of(record, &self.isolation)?;
        let everybodys = container.is_reserved_schema()
            || container == self.shared_schema
            || self.extensions.names().contains(&container)
            || container.as_str().starts_with(PROVISIONAL);
        if everybodys {
            let attempted = "its container is a schema that belongs to everybody";
            return Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id));
        }
        Ok(container)
    }

    /// Returns an occupant of the library's own, that sees what the tenant of a schema sees.
    fn upkeep(&self, id: OccupantId, class: Class, schema: &Ident) -> Arc<Occupant> {
        let shared = self.tenants_see_shared.then_some(&self.shared_schema);
        let binding = Binding::upkeep(schema, shared).reaching(self.extensions.names());
        let occupant = Occupant::new(id, class, binding);
        occupant.set_tables(TABLES_OF_UPKEEP);
        Arc::new(occupant)
    }

    /// Returns how upkeep reaches a tenant.
    pub(super) fn site(&self, record: &TenantRecord) -> Result<Site, Error> {
        Ok(self.site_at(record, self.container(record)?))
    }

    /// Returns how upkeep reaches a tenant whose schema has this name.
    pub(super) fn site_at(&self, record: &TenantRecord, schema: Ident) -> Site {
        let (tenant, class) = (record.id.clone(), self.class(record));
        let occupant = self.upkeep(OccupantId::Tenant(tenant.clone()), class, &schema);
        let grantee = self.grantee(record, class);
        Site { tenant: Some(tenant), schema, occupant, grantee }
    }

    /// Returns how upkeep reaches a schema that is no tenant's yet.
    pub(super) fn site_of(&self, schema: &Ident) -> Site {
        let occupant = self.upkeep(OccupantId::Upkeep, Class::Shared, schema);
        Site { tenant: None, schema: schema.clone(), occupant, grantee: self.runtime() }
    }

    /// Returns how upkeep reaches the shared schema.
    pub(super) fn shared_site(&self) -> Site {
        let schema = self.shared_schema.clone();
        let binding = Binding::upkeep(&schema, None).reaching(self.extensions.names());
        let occupant = Arc::new(Occupant::new(OccupantId::Shared, Class::Shared, binding));
        Site { tenant: None, schema, occupant, grantee: self.runtime() }
    }

    /// Returns who works on a tenant's tables, where that is not the role of upkeep.
    fn grantee(&self, record: &TenantRecord, class: Class) -> Option<Grantee> {
        match &record.role {
            Some(role) => Some(Grantee::Role(role.clone())),
            None => self.login(record, class).map(Grantee::Login).or_else(|| self.runtime()),
        }
    }

    fn runtime(&self) -> Option<Grantee> {
        self.runtime.clone().map(Grantee::Role)
    }

    /// Returns how a tenant's connections log in, where that is not as the manager does.
    fn login(&self, record: &TenantRecord, class: Class) -> Option<Login> {
        let ask = self.dedicate.credentials.clone().filter(|_| class == Class::Dedicated);
        ask.map(|ask| Login::tenants(record.clone(), ask))
    }

    fn class(&self, record: &TenantRecord) -> Class {
        if (self.dedicate.decide)(record) { Class::Dedicated } else { Class::Pooled }
    }

    /// Makes a tenant of its record, where its container is that schema now. `None`
    /// leaves it to the first session that is bound.
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
            let attempted = format!("its record sets {name}, which is how tenants are kept apart");
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
