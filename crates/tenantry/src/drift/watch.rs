//! Periodic comparisons in the background.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Drift, DriftReport, DriftStatus, TenantDrift};
use crate::{
    event::{Drifted, Event},
    schema::CrossReference,
    tenant::MAIN,
};

/// The findings of each tenant in the last comparison, as text.
type Known = HashMap<Arc<str>, HashSet<String>>;

/// The shortest interval.
const SHORTEST: Duration = Duration::from_secs(1);

impl Drift {
    /// Compares now, and again at this interval, until the manager is closed.
    ///
    /// Runs as a background task that [`TenantManager::close`](crate::TenantManager::close) stops, on connections
    /// that requests do not wait for. Each finding, and each reference across tenants, that is new since the last
    /// comparison is an [`Event::Drifted`]; a finding that disappears and comes back is reported again. A reference
    /// of the shared schema is reported for the tenant that it refers to. The gauge `tenantry_drifted_tenants` counts
    /// the tenants that have drifted. Failures are logged, and retried at the next interval.
    ///
    /// A manager has one watch: a second call, also on another `Drift`, replaces the first and reports its findings
    /// anew. On a closed manager it does nothing.
    ///
    /// The interval is measured from the start of one comparison to the start of the next, and is at least one
    /// second. Comparisons take at most half of the time: after one that takes longer than that, the next starts
    /// after a pause of the same length.
    ///
    /// It needs a Tokio runtime: the one in which the manager was first used, or else the current one. Without a
    /// runtime, it only logs that there is none.
    pub fn every(&self, interval: Duration) {
        let server = self.fleet.server();
        if server.is_closed() {
            return;
        }
        server.start();
        let (drift, ended) = (self.clone(), self.fleet.next_watch());
        let watch = async move {
            ended.run_until_cancelled(drift.watch(interval)).await;
        };
        if server.spawn(watch).is_none() {
            tracing::warn!(
                target: "tenantry::drift",
                "the schemas of tenants are not watched: there is no Tokio runtime"
            );
        }
    }

    async fn watch(&self, interval: Duration) {
        let mut known = Known::new();
        loop {
            let began = Instant::now();
            match self.run().await {
                Ok(report) => self.tell_new(&report, &mut known),
                Err(error) => tracing::warn!(
                    target: "tenantry::drift",
                    error = &error as &dyn std::error::Error,
                    "the schemas of tenants could not be compared"
                ),
            }
            sleep(pause(interval, began.elapsed())).await;
        }
    }

    /// Reports the findings that are new since the last comparison.
    fn tell_new(&self, report: &DriftReport, known: &mut Known) {
        let observer = &self.fleet.server().observer;
        let drifted = i64::try_from(report.with_drift).unwrap_or(i64::MAX);
        observer.meters.upkeep.drifted.set(drifted);
        let mut shared = HashMap::<&str, Vec<&CrossReference>>::new();
        for reference in report.shared_references.iter() {
            shared.entry(&reference.to_schema).or_default().push(reference);
        }
        let mut now = Known::new();
        for tenant in &report.details {
            let before = known.remove(&tenant.tenant_id).unwrap_or_default();
            if tenant.status == DriftStatus::Error {
                // There is no new information about it.
                now.insert(Arc::clone(&tenant.tenant_id), before);
                continue;
            }
            let schema = tenant.schema.as_deref().filter(|_| is_in_managers_database(tenant));
            let shared = schema.and_then(|schema| shared.get(schema));
            let findings = findings_of(tenant, shared.map_or(&[], Vec::as_slice));
            for finding in findings.iter().filter(|finding| !before.contains(*finding)) {
                observer.tell(Event::Drifted(Drifted {
                    tenant_id: Arc::clone(&tenant.tenant_id),
                    schema: tenant.schema.clone(),
                    finding: finding.as_str().into(),
                    server: tenant.server.clone(),
                    database: tenant.database.clone(),
                }));
            }
            now.insert(Arc::clone(&tenant.tenant_id), findings.into_iter().collect());
        }
        *known = now;
    }
}

/// Returns `true` if a tenant is in the database of the shared schema. Another one can have a schema of the same name.
fn is_in_managers_database(tenant: &TenantDrift) -> bool {
    tenant.database.is_none() && tenant.server.as_deref().is_none_or(|server| server == MAIN)
}

/// Returns the findings of a tenant as text, including references from the shared schema.
fn findings_of(tenant: &TenantDrift, shared: &[&CrossReference]) -> Vec<String> {
    let references = tenant.references.iter().chain(shared.iter().copied());
    let findings = tenant.findings.iter().map(ToString::to_string);
    let misremembered = tenant.misremembered.iter().map(ToString::to_string);
    findings.chain(references.map(ToString::to_string)).chain(misremembered).collect()
}

/// Returns the pause after a comparison of this duration.
fn pause(interval: Duration, took: Duration) -> Duration {
    interval.max(SHORTEST).saturating_sub(took).max(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_half_of_the_time_is_spent() {
        let seconds = Duration::from_secs;
        for (interval, took, expected) in [
            (seconds(60), seconds(5), seconds(55)),
            (seconds(60), seconds(40), seconds(40)),
            (seconds(60), seconds(90), seconds(90)),
            (Duration::ZERO, Duration::ZERO, seconds(1)),
            (Duration::ZERO, seconds(2), seconds(2)),
            (Duration::MAX, seconds(2), Duration::MAX - seconds(2)),
        ] {
            assert_eq!(pause(interval, took), expected, "{interval:?} {took:?}");
        }
    }
}
