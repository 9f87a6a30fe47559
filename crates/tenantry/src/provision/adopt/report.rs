use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{event::serialize_millis, provision::StoredName, tenant::TenantId};

/// What adopting or releasing a schema has done or would do.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AdoptReport {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The previous name of the schema.
    pub from: Arc<str>,
    /// The current name of the schema.
    pub to: Arc<str>,
    /// Whether this was a dry run, in which nothing was changed.
    pub dry_run: bool,
    /// Tables, views, sequences, functions and types of the schema, with their new names.
    pub objects: Vec<String>,
    /// Extensions that were moved into another schema.
    pub extensions: Vec<String>,
    /// Tables and functions that were moved: the shared ones, and Tenantry's own.
    pub moved: Vec<String>,
    /// The places that store the old name as text, and what a rename does about them.
    pub names: Vec<StoredName>,
    /// Objects in other schemas that refer to the tenant's objects, such as a foreign key of a shared table. The
    /// references stay, and prevent the tenant from being dropped.
    pub references: Vec<String>,
    /// What the tenant will lack although nothing fails, such as an extension that is in no schema visible to
    /// tenants.
    pub warnings: Vec<String>,
    /// What prevents the operation. Only set in a dry run: otherwise it is an error.
    pub blockers: Vec<String>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

impl AdoptReport {
    /// Returns `true` if nothing prevents the operation.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        self.blockers.is_empty()
    }
}

impl fmt::Display for AdoptReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.dry_run { "would become" } else { "has become" };
        let Self { from, to, tenant_id, .. } = self;
        let count = self.objects.len();
        let objects = if count == 1 { "object" } else { "objects" };
        match from == to {
            true => {
                let verb = if self.dry_run { "would be taken" } else { "was taken" };
                writeln!(f, "tenant {tenant_id}: schema {to} {verb} as it is, {count} {objects}")?;
            }
            false => {
                writeln!(f, "tenant {tenant_id}: schema {from} {verb} {to}, {count} {objects}")?;
            }
        }
        for (what, names) in [
            ("extension moved", &self.extensions),
            ("moved", &self.moved),
            ("refers to it from outside", &self.references),
            ("warning", &self.warnings),
            ("in the way", &self.blockers),
        ] {
            for name in names {
                writeln!(f, "  {what}: {name}")?;
            }
        }
        for name in &self.names {
            writeln!(f, "  old name {}: {name}", name.outcome.as_str())?;
        }
        Ok(())
    }
}
