//! Results of creating and dropping tenants.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;

use super::StoredName;
use crate::{catalog::Site, event::serialize_millis, rows::TableRows, tenant::TenantId};

/// A tenant that was created.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Created {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its schema, or the one that holds the tables of all tenants.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// Its server, if it is not the manager's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// Its database, if it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// How its schema was made.
    pub how: HowMade,
    /// Seeds that were run.
    pub seeds: Vec<Arc<str>>,
    /// Remarks for the operator, such as that this instance has older files than others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// How the schema of a new tenant was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HowMade {
    /// All files in one transaction.
    AtOnce,
    /// File by file, because the files cannot all run in one transaction, a failed creation was to be kept, the
    /// catalog cannot store that a tenant's last seeds have not run yet, or the tenant is not in the manager's database.
    InSteps,
    /// It was a spare: it existed already, under another name.
    Spare,
    /// As a copy of a [template](super::CreateOptions::from_template).
    Template,
    /// As rows of tables that all tenants use, with [`IsolationKind::Row`](crate::IsolationKind::Row): there is no
    /// schema to make.
    Rows,
    /// Most of it existed already: an earlier creation of the tenant was interrupted, and was resumed.
    Resumed,
}

impl HowMade {
    /// Returns the snake-case name that JSON uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::InSteps => "in_steps",
            Self::Spare => "spare",
            Self::Template => "template",
            Self::Rows => "rows",
            Self::Resumed => "resumed",
        }
    }
}

/// Result of dropping a tenant, or of a dry run.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DropReport {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its schema, or the one that holds the tables of all tenants, which stays.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// Its server, if it is not the manager's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// Its database, if it has one of its own. It is dropped with everything in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Arc<str>>,
    /// Whether this was a dry run, in which nothing was dropped.
    pub dry_run: bool,
    /// Tables, views, sequences, functions and types of the schema, such as `table tenant_acme.users`. Empty for a
    /// tenant that is isolated by row.
    pub objects: Vec<String>,
    /// Whether the tenant is isolated by row: the schema then belongs to all tenants.
    pub in_rows: bool,
    /// The rows of a tenant that is isolated by row, by table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<TableRows>,
    /// Objects outside the schema that depended on them and were dropped, too.
    pub outside: Vec<String>,
    /// Functions outside the schema that look it up by its name. They stay, and will refer to the next schema of that
    /// name.
    pub named: Vec<StoredName>,
    /// The number of transactions.
    pub transactions: usize,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// Result of filling the spares.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SpareReport {
    /// Spares that are ready now.
    pub ready: usize,
    /// Spares among these that were created now.
    pub made: usize,
    /// Spares among these that an earlier release had created, and that got their missing files.
    pub migrated: usize,
    /// Schemas that were removed: half made, or spares of other files that were not used for 24 h.
    pub removed: usize,
    /// Why there are no spares: the places where the migrations' objects store the name of their original schema as
    /// text. Tenants are then created under their own names. Empty otherwise.
    pub refused: Vec<StoredName>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

impl DropReport {
    /// Creates one without objects and rows.
    pub(super) fn new(tenant_id: TenantId, site: &Site, dry_run: bool) -> Self {
        Self {
            tenant_id,
            schema: site.schema.as_str().into(),
            in_rows: site.rows.is_some(),
            server: None,
            database: None,
            dry_run,
            objects: Vec::new(),
            rows: Vec::new(),
            outside: Vec::new(),
            named: Vec::new(),
            transactions: 0,
            duration: Duration::ZERO,
        }
    }

    fn write_tables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, TableRows { table, rows }) in self.rows.iter().enumerate() {
            write!(f, "{}{rows} of {table}", if place == 0 { ": " } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for HowMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtOnce => "in one transaction",
            Self::InSteps => "in steps",
            Self::Spare => "from a spare",
            Self::Template => "from a template",
            Self::Rows => "as rows of its tables",
            Self::Resumed => "resumed",
        })
    }
}

/// Writes where a schema is, if that is not the manager's database.
fn write_place(
    f: &mut fmt::Formatter<'_>,
    database: Option<&str>,
    server: Option<&str>,
) -> fmt::Result {
    if let Some(database) = database {
        write!(f, " of database {database}")?;
    }
    if let Some(server) = server {
        write!(f, " on server {server}")?;
    }
    Ok(())
}

impl fmt::Display for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant_id, schema, server, database, how, seeds, remarks, duration } = self;
        write!(f, "created tenant {tenant_id}: schema {schema}")?;
        write_place(f, database.as_deref(), server.as_deref())?;
        write!(f, ", {how}")?;
        if !seeds.is_empty() {
            write!(f, ", seeded by {}", seeds.join(", "))?;
        }
        write!(f, " in {duration:.1?}")?;
        remarks.iter().try_for_each(|remark| write!(f, "\nnote: {remark}"))
    }
}

impl fmt::Display for SpareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ready, made, migrated, removed, refused, duration } = self;
        let spares = if *ready == 1 { "spare" } else { "spares" };
        write!(f, "{ready} {spares} ready: {made} made, {migrated} migrated; {removed} removed")?;
        write!(f, " in {duration:.1?}")?;
        refused
            .iter()
            .try_for_each(|name| write!(f, "\nno spares: {name} stores the name of its schema"))
    }
}

impl fmt::Display for DropReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.dry_run { "would drop" } else { "dropped" };
        write!(f, "{verb} tenant {}: ", self.tenant_id)?;
        if self.in_rows {
            let sum: u64 = self.rows.iter().map(|table| table.rows).sum();
            write!(f, "{sum} {} in ", if sum == 1 { "row" } else { "rows" })?;
        }
        write!(f, "schema {}", self.schema)?;
        write_place(f, self.database.as_deref(), self.server.as_deref())?;
        if self.in_rows {
            self.write_tables(f)?;
            return write!(f, " in {:.1?}", self.duration);
        }
        let objects = if self.objects.len() == 1 { "object" } else { "objects" };
        write!(f, " with {} {objects}", self.objects.len())?;
        if !self.outside.is_empty() {
            write!(f, ", and {} outside of it", self.outside.join(", "))?;
        }
        for name in &self.named {
            write!(f, ", which {name} names")?;
        }
        write!(f, " in {:.1?}", self.duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_created_is_one_line_and_a_line_for_each_remark() {
        let created = Created {
            tenant_id: TenantId::parse("acme").expect("an id"),
            schema: "tenant_acme".into(),
            server: None,
            database: None,
            how: HowMade::Spare,
            seeds: vec!["roles".into()],
            remarks: vec!["the files are old".into()],
            duration: Duration::from_micros(1_600),
        };
        let told = "created tenant acme: schema tenant_acme, from a spare, seeded by roles in 1.6ms\n\
                    note: the files are old";
        assert_eq!(created.to_string(), told);
        let (server, database) = (Some("eu-1".into()), Some("db_acme".into()));
        let remarks = Vec::new();
        let elsewhere = Created { server, database, remarks, how: HowMade::InSteps, ..created };
        let told = "created tenant acme: schema tenant_acme of database db_acme on server eu-1, in steps, seeded by roles \
                    in 1.6ms";
        assert_eq!(elsewhere.to_string(), told);
        let report = SpareReport { ready: 3, made: 2, removed: 1, ..SpareReport::default() };
        assert_eq!(report.to_string(), "3 spares ready: 2 made, 0 migrated; 1 removed in 0.0ns");
    }
}
