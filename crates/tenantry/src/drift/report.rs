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
    migrate::Misremembered,
    schema::{Beyond, CrossReference, Difference},
};

/// Result of a comparison, for every tenant.
///
/// `Display` writes a summary with the clusters of tenants that have the same findings, and a unified diff of each
/// object that differs. The text is bounded and states what it omits; the fields are complete.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it lists the tenants that have drifted"]
pub struct DriftReport {
    /// The reference of the comparison.
    #[serde(flatten)]
    pub reference: ReferenceName,
    /// Tenants in total, without those that are isolated by row, whose tables count once.
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
    /// References from the shared schema to a compared tenant.
    #[serde(skip_serializing_if = "is_empty")]
    pub shared_references: Arc<[CrossReference]>,
    /// Tenants that are isolated by row, if there are any.
    #[serde(flatten)]
    pub rows: Option<RowTables>,
    /// How many findings each of the rules has hidden.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<Hidden>,
    /// When it was started.
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

/// Tenants that are isolated by row. They share their tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RowTables {
    /// How many tenants of the call these are.
    pub row_tenants: usize,
    /// Whether their tables were compared, once, as `(rows)`. Tables in the shared schema are not: it holds others,
    /// too.
    pub row_tables_compared: bool,
}

/// The reference of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ReferenceName {
    /// A tenant, by its id.
    #[serde(rename = "referenceTenant")]
    Tenant(Arc<str>),
    /// The result of the migrations, up to this version.
    #[serde(rename = "referenceVersion")]
    Migrations(i64),
    /// The result of the migrations up to each tenant's recorded version; this one is the latest.
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
    /// Its schema, if it is known.
    #[serde(rename = "schemaName")]
    pub schema: Option<Arc<str>>,
    /// The server that it lives on, if the manager has [several](crate::ManagerBuilder::server) and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// The database that it lives in, if that is not the one in the URL of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// The result of the comparison.
    pub status: DriftStatus,
    /// The differences from the reference. Consequences of other findings are not listed: a missing table is one
    /// finding, not one for each of its columns.
    #[serde(rename = "issues")]
    pub findings: Arc<[Difference]>,
    /// Facts about its schema that are not part of a dump. They are never drift.
    #[serde(skip_serializing_if = "is_empty")]
    pub beyond: Arc<[Beyond]>,
    /// References to other compared tenants.
    #[serde(skip_serializing_if = "is_empty")]
    pub references: Arc<[CrossReference]>,
    /// The recorded version, if the tenant was compared with the result of that version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// What `migrate_all` remembers wrongly about its migrations. It is forgotten, so that the next deploy looks at the
    /// tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misremembered: Option<Misremembered>,
    /// Why its schema could not be read. It can contain messages of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The result of comparing a tenant with the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DriftStatus {
    /// It is equal.
    Same,
    /// It equals the result of its own recorded version, which is not the latest.
    Behind,
    /// There are findings.
    Drifted,
    /// It could not be read.
    Error,
}

impl DriftStatus {
    /// Returns the snake-case name that JSON uses.
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
    /// The differences from the reference.
    #[serde(rename = "issues")]
    pub findings: Arc<[Difference]>,
    /// Diffs of the statements that create the objects of the findings.
    pub diffs: Arc<[ObjectDiff]>,
    /// Objects whose diffs were omitted, beyond 1,000 lines in total.
    #[serde(skip_serializing_if = "is_none_left_out")]
    pub diffs_left_out: usize,
}

/// A rule, and how many findings it has hidden, counted once per tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Hidden {
    /// The rule; `None` for findings that no rule includes.
    pub rule: Option<Matching>,
    /// The number of hidden findings.
    pub differences: usize,
}

/// The findings of all tenants.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) details: Vec<TenantDrift>,
    /// The differences of each tenant.
    pub(super) diffs: Vec<Diffs>,
    pub(super) shared_references: Arc<[CrossReference]>,
    pub(super) hidden: Vec<Hidden>,
    pub(super) rows: Option<RowTables>,
}

impl DriftReport {
    /// Returns `true` if every tenant was read and is equal or merely behind, nothing refers to another tenant, and
    /// nothing was remembered wrongly.
    ///
    /// A reference into another tenant is not a difference if all tenants have it, and `pg_dump` shows it as equal,
    /// but it breaks the isolation. Facts beyond the dump do not affect the result.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let counts = self.with_drift == 0 && self.error == 0;
        counts && self.references().next().is_none() && self.misremembered().next().is_none()
    }

    /// Returns every tenant whose migration records are not as `migrate_all` remembered them.
    pub fn misremembered(&self) -> impl Iterator<Item = (&TenantDrift, &Misremembered)> {
        self.details.iter().filter_map(|tenant| Some((tenant, tenant.misremembered.as_ref()?)))
    }

    /// Returns every reference from a tenant's schema, or from the shared one, into another tenant's schema.
    pub fn references(&self) -> impl Iterator<Item = &CrossReference> {
        let of_tenants = self.details.iter().flat_map(|tenant| tenant.references.iter());
        of_tenants.chain(self.shared_references.iter())
    }

    /// Counts, and groups tenants with the same findings.
    pub(super) fn new(
        reference: ReferenceName,
        found: Findings,
        timestamp: SystemTime,
        duration: Duration,
    ) -> Self {
        let Findings { details, diffs, shared_references, hidden, rows } = found;
        let clusters = clusters(&details, diffs);
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
            rows,
            hidden,
            timestamp,
            duration,
            details,
        }
    }
}

/// Groups tenants with the same findings, the largest group first.
fn clusters(details: &[TenantDrift], diffs: Vec<Diffs>) -> Vec<DriftCluster> {
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
    clusters
}
