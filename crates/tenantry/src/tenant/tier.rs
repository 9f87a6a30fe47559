use std::sync::Arc;

use super::{IsolationKind, TenantLimits};

/// What a tenant gets by its plan: how and where its data is kept, and its limits. Made by the
/// closure of [`ManagerBuilder::tier`](crate::ManagerBuilder::tier).
///
/// # Examples
///
/// ```
/// use tenantry::{IsolationKind, TenantLimits, Tier};
///
/// let enterprise = Tier::new()
///     .isolation(IsolationKind::Database)
///     .server("large")
///     .limits(TenantLimits::new().max_connections(16).weight(4.0));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct Tier {
    /// How the tenant's data is kept apart. Default: `None`, the manager's
    /// [isolation](crate::ManagerBuilder::isolation).
    pub isolation: Option<IsolationKind>,
    /// The name of its server. Default: `None`, the server that the manager was built for.
    pub server: Option<Arc<str>>,
    /// Its limits. Default: none. Those in the tenant's
    /// [attributes](TenantLimits::in_attributes) take precedence, one by one.
    pub limits: TenantLimits,
}

impl Tier {
    /// Creates a tier without limits, whose tenants are kept as the manager's options say.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`isolation`](Self::isolation); takes a kind or `None`.
    pub fn isolation(mut self, isolation: impl Into<Option<IsolationKind>>) -> Self {
        self.isolation = isolation.into();
        self
    }

    /// Sets [`server`](Self::server).
    pub fn server(mut self, server: impl Into<Arc<str>>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// Sets [`limits`](Self::limits).
    pub fn limits(mut self, limits: TenantLimits) -> Self {
        self.limits = limits;
        self
    }
}
