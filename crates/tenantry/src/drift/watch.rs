//! Compares again and again, in the background.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Drift, DriftReport, DriftStatus};
use crate::{
    event::{Drifted, Event},
    schema::CrossReference,
};

/// What each tenant was found to have the last time, in words.
type Known = HashMap<Arc<str>, HashSet<String>>;

/// The shortest interval.
const SHORTEST: Duration = Duration::from_secs(1);

impl Drift {
    /// Compares now, and again at this interval, until the manager is closed.
    ///
    /// It runs in the background, as a task that [`TenantManager::close`](crate::TenantManager::close) ends, on
    /// connections that requests do not wait for. Each finding, and each reference across tenants, that was not there
    /// the last time is an [`Event::Drifted`]: one that goes away and comes back is told twice. A reference of the
    /// shared schema is told of the tenant that it leads to. The gauge `tenantry_drifted_tenants` says how many tenants
    /// have drifted. What goes wrong is logged, and tried again the next time.
    ///
    /// A manager watches once: a second call, also on another `Drift`, replaces the first and tells what it finds anew.
    /// Called on a manager that is closed it does nothing.
    ///
    /// The interval is from the beginning of one comparison to the beginning of the next, and a second at least. At most
    /// half of the time is spent comparing: after a comparison that takes longer than that, the next one waits as long as
    /// it took.
    ///
    /// It needs a Tokio runtime: the one that the manager was first used in, or else the one that it is called in.
    /// Without any, it does nothing but log that.
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

    /// Tells of the findings that were not there the last time.
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
                // Nothing is known of it today.
                now.insert(Arc::clone(&tenant.tenant_id), before);
                continue;
            }
            let shared = tenant.schema.as_deref().and_then(|schema| shared.get(schema));
            let references = tenant.references.iter().chain(shared.into_iter().flatten().copied());
            let findings = tenant.findings.iter().map(ToString::to_string);
            let findings: Vec<_> = findings.chain(references.map(ToString::to_string)).collect();
            for finding in findings.iter().filter(|finding| !before.contains(*finding)) {
                observer.tell(Event::Drifted(Drifted {
                    tenant_id: Arc::clone(&tenant.tenant_id),
                    schema: tenant.schema.clone(),
                    finding: finding.as_str().into(),
                }));
            }
            now.insert(Arc::clone(&tenant.tenant_id), findings.into_iter().collect());
        }
        *known = now;
    }
}

/// Returns how long to wait after a comparison that took this long.
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
