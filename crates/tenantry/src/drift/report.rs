//! Results of comparing the schemas of many tenants.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{
    Matching,
    diff::{Diffs, ObjectDiff, is_none_left_out},
};
use crate::{
    event::serialize_millis,
    schema::{Beyond, CrossReference, Difference},
};

/// Result of a comparison, with every tenant in it.
///
/// As text it is a summary with the clusters of tenants that have the same findings, and a unified diff of each object
/// that differs. The text is bounded: it says what it leaves out, and the fields have all of it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says which tenants have drifted"]
pub struct DriftReport {
    /// What the tenants were compared with.
    #[serde(flatten)]
    pub reference: ReferenceName,
    /// Tenants that there are, or that were named.
    pub total: usize,
    /// Tenants without a finding.
    pub no_drift: usize,
    /// Tenants with findings.
    pub with_drift: usize,
    /// Tenants whose schema could not be read.
    pub error: usize,
    /// Every tenant, in the order of the catalog, or in which they were named.
    pub details: Vec<TenantDrift>,
    /// Tenants with the same findings, the largest cluster first.
    pub clusters: Vec<DriftCluster>,
    /// What in the shared schema refers to a tenant that was compared.
    #[serde(skip_serializing_if = "is_empty")]
    pub shared_references: Arc<[CrossReference]>,
    /// How many findings each of the rules has hidden.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<Hidden>,
    /// When it was begun.
    #[serde(serialize_with = "crate::timestamp::serialize")]
    #[cfg_attr(feature = "schemars", schemars(with = "String", extend("format" = "date-time")))]
    pub timestamp: SystemTime,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

fn is_empty<T>(list: &Arc<[T]>) -> bool {
    list.is_empty()
}

/// What tenants were compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ReferenceName {
    /// A tenant, by its id.
    #[serde(rename = "referenceTenant")]
    Tenant(Arc<str>),
    /// What the migrations make, up to this version.
    #[serde(rename = "referenceVersion")]
    Migrations(i64),
    /// What the migrations make up to the version that each tenant has on record; this one is the latest.
    #[serde(rename = "latestVersion")]
    Recorded(i64),
    /// A model, read from this schema.
    #[serde(rename = "referenceSchema")]
    Model(String),
}

impl fmt::Display for ReferenceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => write!(f, "tenant {tenant}"),
            Self::Migrations(version) => write!(f, "the migrations up to {version}"),
            Self::Recorded(_) => write!(f, "the recorded version of each tenant"),
            Self::Model(schema) => write!(f, "the model of {schema}"),
        }
    }
}

/// Result for one tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantDrift {
    /// The tenant, as it was named.
    pub tenant_id: Arc<str>,
    /// Its schema, where that is known.
    #[serde(rename = "schemaName")]
    pub schema: Option<Arc<str>>,
    /// How it compares.
    pub status: DriftStatus,
    /// What is different from the reference. What follows from another finding is not listed: a missing table is
    /// one finding, not one for each of its columns.
    #[serde(rename = "issues")]
    pub findings: Arc<[Difference]>,
    /// What is worth knowing about its schema and no part of a dump. It is never drift.
    #[serde(skip_serializing_if = "is_empty")]
    pub beyond: Arc<[Beyond]>,
    /// What refers to another tenant that was compared, too.
    #[serde(skip_serializing_if = "is_empty")]
    pub references: Arc<[CrossReference]>,
    /// The version on record, where the tenant was compared with what that version makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Why its schema could not be read. It may hold the database's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a tenant compares with the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DriftStatus {
    /// It is alike.
    Same,
    /// It is what its own recorded version makes, which is not the latest.
    Behind,
    /// There are findings.
    Drifted,
    /// It could not be read.
    Error,
}

impl DriftStatus {
    /// Returns it in snake case, as JSON names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Behind => "behind",
            Self::Drifted => "drifted",
            Self::Error => "error",
        }
    }
}

/// Tenants that have the same findings.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DriftCluster {
    /// The tenants.
    pub tenants: Vec<Arc<str>>,
    /// What is different from the reference.
    #[serde(rename = "issues")]
    pub findings: Arc<[Difference]>,
    /// How the statements differ that create the objects which the findings are about.
    pub diffs: Arc<[ObjectDiff]>,
    /// Objects whose diffs were left out, beyond 1,000 lines in all.
    #[serde(skip_serializing_if = "is_none_left_out")]
    pub diffs_left_out: usize,
}

/// A rule, and how many findings it has hidden, counted once for each tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Hidden {
    /// The rule; `None` for what no rule has included.
    pub rule: Option<Matching>,
    /// How many.
    pub differences: usize,
}

/// What was found in all tenants.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) details: Vec<TenantDrift>,
    /// Those of each tenant.
    pub(super) diffs: Vec<Diffs>,
    pub(super) shared_references: Arc<[CrossReference]>,
    pub(super) hidden: Vec<Hidden>,
}

impl DriftReport {
    /// Returns `true` if every tenant was read and is alike, or merely behind, and nothing refers to another tenant.
    ///
    /// A reference makes no difference where all tenants have it, or to a dump, but it breaks the isolation. What is
    /// beyond the dump changes nothing.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.with_drift == 0 && self.error == 0 && self.references().next().is_none()
    }

    /// Returns every reference from one tenant's schema, or the shared one, into another tenant's.
    pub fn references(&self) -> impl Iterator<Item = &CrossReference> {
        let of_tenants = self.details.iter().flat_map(|tenant| tenant.references.iter());
        of_tenants.chain(self.shared_references.iter())
    }

    /// Counts, and puts tenants with the same findings together.
    pub(super) fn new(
        reference: ReferenceName,
        found: Findings,
        timestamp: SystemTime,
        duration: Duration,
    ) -> Self {
        let Findings { details, diffs, shared_references, hidden } = found;
        let mut clusters = Vec::<DriftCluster>::new();
        let tenants = details.iter().zip(diffs);
        for (tenant, diffs) in tenants.filter(|(tenant, _)| tenant.status == DriftStatus::Drifted) {
            let findings = &tenant.findings;
            let same = |cluster: &&mut DriftCluster| {
                Arc::ptr_eq(&cluster.findings, findings) || cluster.findings == *findings
            };
            match clusters.iter_mut().find(same) {
                Some(cluster) => cluster.tenants.push(Arc::clone(&tenant.tenant_id)),
                None => clusters.push(DriftCluster {
                    tenants: vec![Arc::clone(&tenant.tenant_id)],
                    findings: Arc::clone(findings),
                    diffs: diffs.shown,
                    diffs_left_out: diffs.left_out,
                }),
            }
        }
        clusters.sort_by_key(|cluster| std::cmp::Reverse(cluster.tenants.len()));
        let count =
            |status| details.iter().filter(|tenant: &&TenantDrift| tenant.status == status).count();
        Self {
            reference,
            total: details.len(),
            no_drift: count(DriftStatus::Same) + count(DriftStatus::Behind),
            with_drift: count(DriftStatus::Drifted),
            error: count(DriftStatus::Error),
            clusters,
            shared_references,
            hidden,
            timestamp,
            duration,
            details,
        }
    }
}
