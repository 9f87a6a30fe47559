use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::Meters;

/// Migrations, provisioning and drift in figures, since the manager was built. They come from what this process has done
/// and asked: to read them asks the database nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UpkeepMetrics {
    /// Schemas that runs of the migrator have ended with, by outcome.
    pub migrations: BTreeMap<&'static str, u64>,
    /// Tenants created, by how: `at_once`, `in_steps`, from a `spare` or a `template`, `resumed`, `clone`; and creations that have `failed`.
    pub creations: BTreeMap<&'static str, u64>,
    /// Tenants by state, `active` and `suspended`, as they were last listed; empty when they were not yet.
    pub tenants: BTreeMap<&'static str, u64>,
    /// Spares that were ready when they were last seen to, without those used here since.
    pub spares_ready: usize,
    /// Tenants whose schemas had drifted when [`Drift::every`](crate::drift::Drift::every) last compared them; 0 before.
    pub drifted_tenants: usize,
}

impl UpkeepMetrics {
    pub(crate) fn read(meters: &Meters) -> Self {
        let of = &meters.upkeep;
        Self {
            migrations: of.migrations.read().collect(),
            creations: of.creations.read().collect(),
            tenants: of.tenants().into_iter().flatten().collect(),
            spares_ready: of.spares(),
            drifted_tenants: of.drifted(),
        }
    }
}
