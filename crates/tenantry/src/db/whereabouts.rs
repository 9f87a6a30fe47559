use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::{
    error::{Error, ErrorKind},
    pool::{Occupant, Server},
    tenant::Tenant,
};

/// Finds the place where a tenant is now.
pub(crate) trait Whereabouts: fmt::Debug + Send + Sync {
    /// Returns the place of a tenant that was not found where it was. Waits until the deadline
    /// while it is on its way.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    fn find<'a>(&'a self, lost: Lost<'a>, deadline: Instant) -> BoxFuture<'a, Whereabout>;

    /// Returns what is known of the place of a tenant, as it was looked up, without a question.
    fn standing(&self, tenant: &Tenant) -> Standing;

    /// Asks where a tenant is that has changed, and waits for a moment, which this limits. What is heard is known afterwards.
    fn hear<'a>(&'a self, tenant: &'a Tenant, limit: Duration) -> BoxFuture<'a, ()>;
}

/// What is known of the place of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing else than that it is where it was.
    Here,
    /// It is at another place, or its requests wait until it is.
    Elsewhere,
    /// It has changed since.
    Changed,
}

/// What a handle needs to follow its tenant.
#[derive(Debug, Clone)]
pub(super) struct Follows {
    pub(super) tenant: Tenant,
    pub(super) whereabouts: Arc<dyn Whereabouts>,
}

/// A tenant that a handle has not found where it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost<'a> {
    /// As it was looked up.
    pub(crate) tenant: &'a Tenant,
    /// The occupant that was refused, or whose statement has failed.
    pub(crate) occupant: &'a Arc<Occupant>,
    /// What has failed.
    pub(crate) at: LostAt,
}

/// What has failed because a tenant is not where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LostAt {
    /// An acquire: the session does not find the schema that the handle is tied to.
    Acquire,
    /// A statement: it has not found a table.
    Statement,
}

/// Where a tenant is.
#[derive(Debug)]
pub(crate) enum Whereabout {
    /// Where it was, or it is not known to be the same tenant.
    Here,
    /// At another place, or back after it was on its way.
    There(Found),
    /// On its way still at the deadline.
    Underway,
    /// Nowhere: it was dropped or renamed, or recreated under its id.
    Gone,
}

/// A tenant at its present place.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) server: Arc<Server>,
    pub(crate) occupant: Arc<Occupant>,
    pub(crate) tenant: Tenant,
}

/// Returns `true` if an acquire failed because the tenant may be at another place.
pub(super) fn may_be_elsewhere(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::StaleHandle | ErrorKind::Placement)
}

/// Returns `true` if a statement failed because its schema, table or database does not exist.
pub(super) fn finds_nothing(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("42P01" | "3F000" | "3D000"))
}

/// Returns the error of a statement that has found nothing because its tenant is gone.
pub(super) fn gone(tenant: &Tenant, error: sqlx::Error) -> sqlx::Error {
    let attempted = "the tenant was dropped, renamed or recreated after the handle was created, and its tables are not \
                     where they were; look it up again";
    let gone = Error::new(ErrorKind::StaleHandle, attempted).with_tenant(tenant.id());
    gone.with_source(error).into()
}

/// Returns the error of a statement that cannot be run again where the tenant is now.
pub(super) fn moved(tenant: &Tenant, error: sqlx::Error) -> sqlx::Error {
    let attempted = "the tenant has moved to another place, and the statement may have run in part; look the tenant \
                     up again";
    let moved = Error::new(ErrorKind::StaleHandle, attempted).with_tenant(tenant.id());
    moved.with_source(error).into()
}
