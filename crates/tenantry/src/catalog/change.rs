use sqlx::PgConnection;

use crate::{
    error::{Error, ErrorKind},
    tenant::{Ident, TenantId, TenantRecord, TenantState},
};

/// A change to the list of tenants, for [`Catalog::write`](super::Catalog::write).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum CatalogChange<'a> {
    /// A tenant was created. While it has a [step](TenantRecord::step), its creation is incomplete;
    /// only a catalog that [keeps steps](super::Catalog::keeps_steps) receives such a record.
    Created(&'a TenantRecord),
    /// A tenant was activated or suspended.
    State(&'a TenantId, TenantState),
    /// A tenant was renamed.
    Renamed {
        /// Its previous id.
        from: &'a TenantId,
        /// Its new record. For a tenant that is isolated by row, it has the key of the tenant's rows, which
        /// must be stored.
        to: &'a TenantRecord,
    },
    /// The creation of a tenant has advanced. Its previous step was `from`; if the recorded step
    /// differs, another process is working on it, and the write must fail with
    /// [`UnknownTenant`](ErrorKind::UnknownTenant). Without a next step it is complete, and active
    /// from now on.
    Step {
        /// The tenant.
        tenant: &'a TenantId,
        /// The previous step.
        from: &'a str,
        /// The next step.
        to: Option<&'a str>,
    },
    /// The drop of a tenant has begun, whose container is not in the catalog's database: it is suspended, and has the
    /// step `to` from now on. Its previous step was `from`, or it had none; if the recorded step differs, another
    /// process is working on it, and the write must fail with [`UnknownTenant`](ErrorKind::UnknownTenant). Only a
    /// catalog that [keeps steps](super::Catalog::keeps_steps) receives it.
    Dropping {
        /// The tenant.
        tenant: &'a TenantId,
        /// The previous step, if it had one.
        from: Option<&'a str>,
        /// The next step.
        to: &'a str,
    },
    /// A tenant that is being [moved](crate::moves) changes its state. If its recorded state is not `from`, or the
    /// number of its placement not `epoch`, the write must fail with [`UnknownTenant`](ErrorKind::UnknownTenant).
    Moving {
        /// The tenant.
        tenant: &'a TenantId,
        /// The number of its placement.
        epoch: u64,
        /// The previous state.
        from: TenantState,
        /// The next state.
        to: TenantState,
    },
    /// A tenant has [moved](crate::moves): its server and the number of its placement are those of this record from
    /// now on, and it is active. If the record names an isolation, that, the container, the database and the key are
    /// those of the record, too. If its recorded state is not [`Cutover`](TenantState::Cutover), or the number of
    /// its placement not the previous one, the write must fail with [`UnknownTenant`](ErrorKind::UnknownTenant).
    Moved(&'a TenantRecord),
    /// A tenant was dropped. It may already be missing from the list, when an interrupted drop is
    /// completed.
    Dropped(&'a TenantId),
}

/// Context in which a [`Catalog`](super::Catalog) writes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Write<'a> {
    /// A connection in the transaction that changes the container. The shared schema is not in its
    /// search path: qualify names.
    pub conn: &'a mut PgConnection,
    /// The name of the shared schema.
    pub shared_schema: &'a Ident,
}

impl CatalogChange<'_> {
    /// Returns the result of a change for a catalog that writes nothing.
    pub(super) fn unwritten(self) -> Result<(), Error> {
        let (what, tenant) = match self {
            Self::Created(_) | Self::Dropped(_) => return Ok(()),
            Self::State(tenant, TenantState::Active) => ("resuming", tenant),
            Self::State(tenant, TenantState::Suspended) => ("suspending", tenant),
            Self::State(tenant, TenantState::Moving | TenantState::Cutover) => ("moving", tenant),
            Self::Renamed { from, .. } => ("renaming", from),
            Self::Step { tenant, .. } => ("creating", tenant),
            Self::Dropping { tenant, .. } => ("dropping", tenant),
            Self::Moving { tenant, .. } => ("moving", tenant),
            Self::Moved(record) => ("moving", &record.id),
        };
        let attempted =
            format!("{what} a tenant: this catalog is read-only; change the tenant at its source");
        Err(Error::new(ErrorKind::Catalog, attempted).with_tenant(tenant))
    }
}
