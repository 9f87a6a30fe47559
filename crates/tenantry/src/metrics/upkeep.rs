use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::Meters;

/// Metrics of migrations, provisioning and drift since the manager was built. They cover operations
/// of this process: reading them does not query the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UpkeepMetrics {
    /// Outcomes of schemas in migration runs.
    pub migrations: BTreeMap<&'static str, u64>,
    /// Tenants created: `at_once`, `in_steps`, from a `spare` or a `template`, as `rows`, `resumed`, `clone`, `import`;
    /// and `failed` creations.
    pub creations: BTreeMap<&'static str, u64>,
    /// [Moves](crate::moves) away from the main server that have ended in this process: `moved`, `undone`, or
    /// `unfinished` and left to a take-over.
    pub moves: BTreeMap<&'static str, u64>,
    /// Moves away from the main server that this process works on.
    pub moves_in_progress: usize,
    /// Tenants by state, `active` and `suspended`, as last listed; empty if they were not listed
    /// yet.
    pub tenants: BTreeMap<&'static str, u64>,
    /// Ready spares when this process last checked them, without those it has used since.
    pub spares_ready: usize,
    /// Drifted tenants in the last comparison of [`Drift::every`](crate::drift::Drift::every); 0
    /// before.
    pub drifted_tenants: usize,
}

impl UpkeepMetrics {
    pub(crate) fn read(meters: &Meters) -> Self {
        let of = &meters.upkeep;
        Self {
            migrations: of.migrations.read().collect(),
            creations: of.creations.read().collect(),
            moves: of.moves.read().collect(),
            moves_in_progress: of.moving(),
            tenants: of.tenants().into_iter().flatten().collect(),
            spares_ready: of.spares(),
            drifted_tenants: of.drifted(),
        }
    }
}
