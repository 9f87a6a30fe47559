use sqlx::PgConnection;

use crate::{
    error::{Error, ErrorKind},
    tenant::{Ident, TenantId, TenantRecord, TenantState},
};

/// A change of the list of tenants, for [`Catalog::write`](super::Catalog::write).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum CatalogChange<'a> {
    /// A tenant was created. While it has a [step](TenantRecord::step), it is not whole yet; only a catalog that
    /// [keeps steps](super::Catalog::keeps_steps) is told of such a one.
    Created(&'a TenantRecord),
    /// A tenant is served from now on, or is not.
    State(&'a TenantId, TenantState),
    /// A tenant has got another id.
    Renamed {
        /// The id that it had.
        from: &'a TenantId,
        /// What it is from now on.
        to: &'a TenantRecord,
    },
    /// The creation of a tenant has gone on. Its step was `from`; when it is another one by now, somebody else
    /// is at it, and [`UnknownTenant`](ErrorKind::UnknownTenant) is the answer. Without a next one it is whole,
    /// and served from now on.
    Step {
        /// The tenant.
        tenant: &'a TenantId,
        /// The step that it had.
        from: &'a str,
        /// The step that it has from now on.
        to: Option<&'a str>,
    },
    /// A tenant was dropped. It may not be listed any more: a drop that was interrupted is finished.
    Dropped(&'a TenantId),
}

/// What a [`Catalog`](super::Catalog) writes with.
#[derive(Debug)]
#[non_exhaustive]
pub struct Write<'a> {
    /// A connection in the transaction in which the container is changed. Names are not looked up in
    /// the shared schema: qualify them.
    pub conn: &'a mut PgConnection,
    /// The name of the shared schema.
    pub shared_schema: &'a Ident,
}

impl CatalogChange<'_> {
    /// What comes of a change in a catalog that writes nothing.
    pub(super) fn unwritten(self) -> Result<(), Error> {
        let (what, tenant) = match self {
            Self::Created(_) | Self::Dropped(_) => return Ok(()),
            Self::State(tenant, TenantState::Active) => ("resuming", tenant),
            Self::State(tenant, TenantState::Suspended) => ("suspending", tenant),
            Self::Renamed { from, .. } => ("renaming", from),
            Self::Step { tenant, .. } => ("creating", tenant),
        };
        let attempted =
            format!("{what} a tenant: this catalog cannot be written; change it where it is kept");
        Err(Error::new(ErrorKind::Catalog, attempted).with_tenant(tenant))
    }
}
