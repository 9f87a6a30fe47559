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

/// Responses for operators. Cheap to clone; created by [`OpsOptions`].
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
    /// Creates it with the defaults of [`OpsOptions`].
    #[must_use]
    pub fn new(manager: TenantManager) -> Self {
        OpsOptions::new(manager).build_alone()
    }

    /// `/health`: the [`HealthReport`] as JSON; 200 if it is healthy, otherwise 503.
    ///
    /// Clients of the route must not be able to take connections from tenants: checks run one at a
    /// time, with a burst of eight and then one a second. More frequent requests get the last
    /// report, whose `timestamp` is the time of its check.
    ///
    /// # Cancel safety
    ///
    /// Safe; a check that has begun continues in the background.
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

    /// `/livez`: reports only that the process runs, so that an outage of the database does not
    /// cause restarts.
    pub fn livez(&self) -> Answer {
        Answer::new(200, "text/plain; charset=utf-8", "ok")
    }

    /// `/readyz`: 200 if requests can be served, otherwise 503. If tenants use all connections,
    /// only the `status` changes to `degraded`, with a `reason`. As with [`health`](Self::health),
    /// requests more frequent than once a second share an answer.
    ///
    /// # Cancel safety
    ///
    /// Safe; a check that has begun continues in the background.
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

    /// `/metrics`: the metrics in Prometheus' text format 0.0.4; 404 in a build without the feature
    /// `prometheus`, 401 without the [credentials](OpsOptions::basic_auth). Pass every value of
    /// `authorization` verbatim.
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
