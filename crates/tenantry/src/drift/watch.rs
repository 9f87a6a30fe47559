//! Compares again and again, in the background.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::sleep;

use super::{Drift, DriftReport, DriftStatus};
use crate::event::{Drifted, Event};

/// What each tenant was found to have the last time, in words.
type Known = HashMap<Arc<str>, HashSet<String>>;

impl Drift {
    /// Compares now, and again as often as this, until the manager is closed.
    ///
    /// It runs in the background, as a task that [`TenantManager::close`](crate::TenantManager::close) ends, on
    /// connections that requests do not wait for. Each finding that was not there the last time is an
    /// [`Event::Drifted`]; the gauge `tenantry_drifted_tenants` says how many tenants have drifted. What goes wrong is
    /// logged, and tried again the next time.
    pub fn every(&self, interval: Duration) {
        let (drift, server) = (self.clone(), Arc::clone(self.fleet.server()));
        let shutdown = server.shutdown().clone();
        server.start();
        self.fleet.server().spawn(async move {
            let watch = async {
                let mut known = Known::new();
                loop {
                    match drift.run().await {
                        Ok(report) => drift.tell_new(&report, &mut known),
                        Err(error) => tracing::warn!(
                            target: "tenantry::drift",
                            error = &error as &dyn std::error::Error,
                            "the schemas of tenants could not be compared"
                        ),
                    }
                    sleep(interval).await;
                }
            };
            shutdown.run_until_cancelled(watch).await;
        });
    }

    /// Tells of the findings that were not there the last time.
    fn tell_new(&self, report: &DriftReport, known: &mut Known) {
        let observer = &self.fleet.server().observer;
        let drifted = i64::try_from(report.with_drift).unwrap_or(i64::MAX);
        observer.meters.upkeep.drifted.set(drifted);
        let mut now = Known::new();
        for tenant in &report.details {
            let before = known.remove(&tenant.tenant_id).unwrap_or_default();
            if tenant.status == DriftStatus::Error {
                // Nothing is known of it today.
                now.insert(Arc::clone(&tenant.tenant_id), before);
                continue;
            }
            let findings: HashSet<_> = tenant.findings.iter().map(ToString::to_string).collect();
            for finding in findings.difference(&before) {
                observer.tell(Event::Drifted(Drifted {
                    tenant_id: Arc::clone(&tenant.tenant_id),
                    schema: tenant.schema.clone(),
                    finding: finding.as_str().into(),
                }));
            }
            now.insert(Arc::clone(&tenant.tenant_id), findings);
        }
        *known = now;
    }
}
