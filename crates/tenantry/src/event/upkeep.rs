//! What is counted of migrations and provisioning.

use prometheus::{
    Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector,
};

/// How a schema has ended in a run of the migrator.
pub(crate) const MIGRATED: [&str; 7] =
    ["migrated", "reverted", "marked", "forgotten", "up_to_date", "failed", "skipped"];

/// How the creation of a tenant has ended.
pub(crate) const CREATED: [&str; 5] = ["at_once", "in_steps", "spare", "resumed", "failed"];

/// Figures of what is done to tenants as a whole. Whatever is only known from a question is as it was when
/// somebody last had to ask: no figure costs a statement.
pub(crate) struct UpkeepMeters {
    pub(crate) migrations: IntCounterVec,
    pub(crate) migration: Histogram,
    pub(crate) creations: IntCounterVec,
    pub(crate) creation: Histogram,
    /// Without a series until tenants were listed.
    pub(crate) tenants: IntGaugeVec,
    pub(crate) spares: IntGauge,
    pub(crate) drifted: IntGauge,
}

impl UpkeepMeters {
    pub(super) fn new() -> Self {
        let meters = Self::make().expect("names, labels and buckets are constants that are valid");
        // A counter that appears with its first event hides that event from `rate`.
        for outcome in MIGRATED {
            meters.migrations.with_label_values(&[outcome]);
        }
        for outcome in CREATED {
            meters.creations.with_label_values(&[outcome]);
        }
        meters
    }

    fn make() -> prometheus::Result<Self> {
        let histogram = |name, help| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()))
        };
        Ok(Self {
            migrations: IntCounterVec::new(
                Opts::new(
                    "tenantry_migrations_total",
                    "Schemas that runs of the migrator have ended with, by outcome",
                ),
                &["outcome"],
            )?,
            migration: histogram(
                "tenantry_migration_seconds",
                "Time that a schema took in which the migrator had something to do",
            )?,
            creations: IntCounterVec::new(
                Opts::new(
                    "tenantry_creations_total",
                    "Tenants created, by how, and creations that have failed",
                ),
                &["outcome"],
            )?,
            creation: histogram("tenantry_creation_seconds", "Time that creating a tenant took")?,
            tenants: IntGaugeVec::new(
                Opts::new("tenantry_tenants", "Tenants by state, as they were last listed"),
                &["state"],
            )?,
            spares: IntGauge::new(
                "tenantry_spares_ready",
                "Spares that were ready when they were last seen to, without those used here since",
            )?,
            drifted: IntGauge::new(
                "tenantry_drifted_tenants",
                "Tenants whose schemas had drifted when they were last compared in the background",
            )?,
        })
    }

    /// How many tenants are in a state, when they were listed.
    pub(crate) fn tenants(&self) -> Option<[(&'static str, u64); 2]> {
        let is_known = !self.tenants.collect().iter().all(|family| family.get_metric().is_empty());
        let count = |state| {
            let count = self.tenants.with_label_values(&[state]).get();
            (state, u64::try_from(count).unwrap_or_default())
        };
        is_known.then(|| ["active", "suspended"].map(count))
    }

    pub(crate) fn spares(&self) -> usize {
        usize::try_from(self.spares.get()).unwrap_or_default()
    }

    pub(crate) fn drifted(&self) -> usize {
        usize::try_from(self.drifted.get()).unwrap_or_default()
    }

    pub(crate) fn collectors(&self) -> [&dyn Collector; 7] {
        [
            &self.migrations,
            &self.migration,
            &self.creations,
            &self.creation,
            &self.tenants,
            &self.spares,
            &self.drifted,
        ]
    }
}

/// From five milliseconds to ten minutes.
const BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 600.0];
