use super::{Handle, TenantTransaction};
use crate::{error::Error, pool::Lease};

/// The schema that all tenants share: plans, roles, the table of tenants.
///
/// It has the interface of a [`TenantDb`](crate::TenantDb) and takes its connections from the same
/// budget. It is a type of its own so that nothing that was written for a tenant can be handed the
/// shared schema by mistake.
#[derive(Debug, Clone)]
pub struct SharedDb {
    pub(super) handle: Handle,
}

impl SharedDb {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Takes a connection that is bound to the shared schema.
    ///
    /// # Errors
    ///
    /// Those of [`TenantDb::acquire`](crate::TenantDb::acquire).
    ///
    /// # Cancel safety
    ///
    /// Safe, as [`TenantDb::acquire`](crate::TenantDb::acquire) is.
    pub async fn acquire(&self) -> Result<Lease, Error> {
        self.handle.acquire().await
    }

    /// Takes a connection and begins a transaction on it.
    ///
    /// # Errors
    ///
    /// Those of [`TenantDb::begin`](crate::TenantDb::begin).
    ///
    /// # Cancel safety
    ///
    /// Safe, as [`TenantDb::begin`](crate::TenantDb::begin) is.
    pub async fn begin(&self) -> Result<TenantTransaction, Error> {
        self.handle.begin().await
    }

    /// Takes a connection and asks the server for a sign of life on it.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire).
    pub async fn ping(&self) -> Result<(), Error> {
        self.handle.ping().await
    }
}
