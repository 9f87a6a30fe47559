use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    Answer, OpsOptions,
    basic_auth::{BasicAuth, CHALLENGE},
    figures::Figures,
    shared_answer::SharedAnswer,
};
use crate::{
    health::{HealthOf, HealthOptions, HealthReport},
    manager::TenantManager,
};

/// Answers those who operate a service. Cheap to clone; made by [`OpsOptions`].
#[derive(Debug, Clone)]
pub struct Ops(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) manager: TenantManager,
    pub(super) ping_timeout: Duration,
    pub(super) tenant_details: bool,
    pub(super) figures: Figures,
    pub(super) auth: Option<BasicAuth>,
    pub(super) health: SharedAnswer,
    pub(super) readiness: SharedAnswer,
}

impl Ops {
    /// Answers with the defaults of [`OpsOptions`].
    #[must_use]
    pub fn new(manager: TenantManager) -> Self {
        OpsOptions::new(manager).build_alone()
    }

    /// `/health`: the [`HealthReport`] as JSON; 200 when it is healthy, else 503.
    ///
    /// Whoever can reach the route can ask often, and must not keep connections from tenants: checks run
    /// one at a time, eight in a row and then one a second. Who asks more often gets the last report,
    /// whose `timestamp` says when it was made.
    ///
    /// # Cancel safety
    ///
    /// Safe; a check that has begun goes on in the background.
    pub async fn health(&self) -> Answer {
        let report = || {
            let asked = self.ask(HealthOf::Bound);
            let tenant_details = self.0.tenant_details;
            async move {
                let report = asked.await;
                let status = status(&report);
                let told = if tenant_details { report } else { report.without_tenants() };
                Answer::json(status, &told)
            }
        };
        self.0.health.get(&self.0.manager, report).await
    }

    /// `/livez`: says that the process runs, and no more. Who restarts it when the database is away has
    /// two problems.
    pub fn livez(&self) -> Answer {
        Answer::new(200, "text/plain; charset=utf-8", "ok")
    }

    /// `/readyz`: 200 when requests can be served, else 503. Tenants that hold all connections change the
    /// `status` to `degraded` and add a `reason`, and no more. As with [`health`](Self::health), who asks
    /// more than once a second shares an answer.
    ///
    /// # Cancel safety
    ///
    /// Safe; a check that has begun goes on in the background.
    pub async fn readyz(&self) -> Answer {
        let readiness = || {
            let asked = self.ask(HealthOf::Nobody);
            async move {
                let report = asked.await;
                let told = match report.reason {
                    None => json!({ "status": report.status }),
                    Some(reason) => json!({ "status": report.status, "reason": reason }),
                };
                Answer::json(status(&report), &told)
            }
        };
        self.0.readiness.get(&self.0.manager, readiness).await
    }

    /// `/metrics`: the figures in Prometheus' text format 0.0.4; 404 in a build without the feature `prometheus`, 401 without the
    /// [credentials](OpsOptions::basic_auth). It is given every value of `authorization`, as it came.
    pub fn metrics<'a>(&self, authorization: impl IntoIterator<Item = &'a [u8]>) -> Answer {
        if self.0.auth.as_ref().is_some_and(|auth| !auth.admits(authorization)) {
            return Answer::unauthorized(CHALLENGE);
        }
        self.0.figures.answer()
    }

    fn ask(&self, tenants: HealthOf) -> impl Future<Output = HealthReport> + Send + use<> {
        let options = HealthOptions::default().tenants(tenants).ping_timeout(self.0.ping_timeout);
        let manager = self.0.manager.clone();
        async move { manager.health(options).await }
    }
}

impl From<Inner> for Ops {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

fn status(report: &HealthReport) -> u16 {
    if report.healthy { 200 } else { 503 }
}
