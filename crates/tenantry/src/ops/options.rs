use std::{fmt, time::Duration};

use super::{
    Ops, RegisterError,
    basic_auth::BasicAuth,
    figures::{Figures, Source},
    ops::Inner,
    shared_answer::SharedAnswer,
};
use crate::{manager::TenantManager, metrics::MetricsOptions};

/// Options for the responses to operators.
#[must_use = "it does nothing until it is built"]
pub struct OpsOptions {
    manager: TenantManager,
    ping_timeout: Duration,
    tenant_details: bool,
    metrics: MetricsOptions,
    pub(super) source: Source,
    auth: Option<BasicAuth>,
}

impl OpsOptions {
    /// Starts with the defaults: no response contains a tenant, and everyone may read all of them.
    pub fn new(manager: TenantManager) -> Self {
        Self {
            manager,
            ping_timeout: Duration::from_secs(2),
            tenant_details: false,
            metrics: MetricsOptions::default(),
            source: Source::default(),
            auth: None,
        }
    }

    /// Sets whether [`Ops::health`] lists each tenant. Default: `false`, only their counts.
    pub fn tenant_details(mut self, tell: bool) -> Self {
        self.tenant_details = tell;
        self
    }

    /// Sets the timeout for the database's answer. Default: 2 s.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout;
        self
    }

    /// Sets the content of [`Ops::metrics`]. Default: no tenant labels, and no metrics of process
    /// and runtime.
    pub fn metrics(mut self, options: MetricsOptions) -> Self {
        self.metrics = options;
        self
    }

    /// Requires a user and a password for [`Ops::metrics`]. Default: none.
    pub fn basic_auth(mut self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.auth = Some(BasicAuth::new(user.as_ref(), password.as_ref()));
        self
    }

    /// Registers the collector, if there is a registry.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] when the registry already has metrics of the same names. Never fails
    /// without a registry.
    pub fn build(mut self) -> Result<Ops, RegisterError> {
        let source = std::mem::take(&mut self.source);
        let figures = source.figures(&self.manager, self.metrics.clone())?;
        Ok(self.with(figures))
    }

    /// Uses the collector without a registry, so that it cannot fail.
    pub(super) fn build_alone(self) -> Ops {
        let figures = Figures::own(&self.manager, self.metrics.clone());
        self.with(figures)
    }

    fn with(self, figures: Figures) -> Ops {
        let Self { manager, ping_timeout, tenant_details, auth, .. } = self;
        let (health, readiness) = (SharedAnswer::new(), SharedAnswer::new());
        Ops::from(Inner { manager, ping_timeout, tenant_details, figures, auth, health, readiness })
    }
}

impl fmt::Debug for OpsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpsOptions")
            .field("manager", &self.manager)
            .field("ping_timeout", &self.ping_timeout)
            .field("tenant_details", &self.tenant_details)
            .field("metrics", &self.metrics)
            .field("source", &self.source)
            .field("auth", &self.auth)
            .finish()
    }
}
