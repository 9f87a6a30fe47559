use serde::Serialize;

use super::{
    backend_memory::{BackendMemory, BackendPrivateMb},
    fairness::{Fairness, FairnessSeries, Steady},
    idle_tenant::IdleTenant,
    layer::Layer,
    many_tenants::ManyTenants,
    metrics_text::MetricsText,
    observability::Observability,
    one_tenant::OneTenant,
    order::Order,
    recovery::Recovery,
};
use crate::race::Series;

/// All figures, in the shape of the JSON file. A scenario that was not run is omitted.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) one_tenant: Option<OneTenant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uniform_200: Option<ManyTenants>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zipf_1000: Option<ManyTenants>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_tenant_bytes: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layer_overhead_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fairness: Option<Fairness>,
    /// Its figures are next to those of the others, under separate names.
    #[serde(flatten)]
    pub(crate) steady: Option<Steady>,
    #[serde(flatten)]
    pub(crate) order: Option<Order>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend_private_mb: Option<BackendPrivateMb>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observability: Option<Observability>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metrics_text: Option<MetricsText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recovery: Option<Recovery>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unknown_ids_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catalog_hang_share: Option<f64>,
    pub(crate) raw: Raw,
}

/// The raw data of the figures.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Raw {
    pub(crate) seconds: f64,
    pub(crate) rounds: u32,
    /// The server's version.
    pub(crate) server: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) one_tenant: Vec<Series>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) uniform_200: Vec<Series>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) zipf_1000: Vec<Series>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_tenant: Option<IdleTenant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layer: Option<Layer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fairness: Vec<FairnessSeries>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) steady: Vec<FairnessSeries>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) order: Vec<Series>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend_memory: Option<BackendMemory>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) observability: Vec<Series>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unknown_ids_share: Vec<Series>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) catalog_hang_share: Vec<Series>,
}
