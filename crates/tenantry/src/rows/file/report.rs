use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;

use super::header::shown;
use crate::{event::serialize_millis, rows::TableRows, tenant::TenantId};

/// The result of [exporting](crate::provision::Provisioner::export_rows) the rows of a tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ExportReport {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The schema of the tables of all tenants.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// The tables with the rows that were written, in the order of the file.
    pub tables: Vec<TableRows>,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The version of the server.
    pub server_version: String,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// The result of [restoring](crate::provision::Provisioner::restore_rows) the rows of a tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema), schemars(rename = "RestoredRows"))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RestoreReport {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The schema of the tables of all tenants.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// The tenant whose rows the file has, as the file says.
    pub exported_tenant_id: String,
    /// The version of the server that the file is from, as the file says.
    pub exported_from: String,
    /// The tenant was created.
    pub created: bool,
    /// The tables with the rows that were restored, in the order of the file.
    pub tables: Vec<TableRows>,
    /// The tables with rows of the tenant that were deleted.
    pub deleted: Vec<TableRows>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

impl ExportReport {
    /// Returns how many rows were written.
    #[must_use]
    pub fn rows(&self) -> u64 {
        sum(&self.tables)
    }
}

impl RestoreReport {
    /// Returns how many rows were restored.
    #[must_use]
    pub fn rows(&self) -> u64 {
        sum(&self.tables)
    }
}

fn sum(tables: &[TableRows]) -> u64 {
    tables.iter().map(|table| table.rows).sum()
}

/// Writes a number of rows and tables.
fn amounts(tables: &[TableRows]) -> String {
    let rows = sum(tables);
    let (row, table) = (if rows == 1 { "row" } else { "rows" }, plural(tables.len()));
    format!("{rows} {row} in {} {table}", tables.len())
}

fn plural(tables: usize) -> &'static str {
    if tables == 1 { "table" } else { "tables" }
}

impl fmt::Display for ExportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant_id, tables, bytes, duration, .. } = self;
        let amounts = amounts(tables);
        write!(f, "exported tenant {tenant_id}: {amounts}, {bytes} bytes in {duration:.1?}")
    }
}

impl fmt::Display for RestoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant_id, exported_tenant_id, exported_from, tables, deleted, .. } = self;
        let verb = if self.created { "created" } else { "restored" };
        let (of, version) = (shown(exported_tenant_id), shown(exported_from));
        write!(f, "{verb} tenant {tenant_id} from rows of {of}, ")?;
        write!(f, "PostgreSQL {version}: {}", amounts(tables))?;
        let old = sum(deleted);
        if old > 0 {
            write!(f, ", in the place of {old}")?;
        }
        write!(f, " in {:.1?}", self.duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_one_line() {
        let tables = |rows| vec![TableRows { table: "users".into(), rows }];
        let export = ExportReport {
            tenant_id: TenantId::parse("acme").unwrap(),
            schema: "app".into(),
            tables: tables(1),
            bytes: 300,
            server_version: "17.2".into(),
            duration: Duration::from_micros(1_600),
        };
        let told = "exported tenant acme: 1 row in 1 table, 300 bytes in 1.6ms";
        assert_eq!((export.to_string(), export.rows()), (told.into(), 1));
        let restore = RestoreReport {
            tenant_id: TenantId::parse("copy").unwrap(),
            schema: "app".into(),
            exported_tenant_id: "acme".into(),
            exported_from: "17.2".into(),
            created: false,
            tables: tables(2),
            deleted: tables(3),
            duration: Duration::from_micros(1_600),
        };
        let told = "restored tenant copy from rows of acme, PostgreSQL 17.2: 2 rows in 1 table, in the place of 3 in 1.6ms";
        assert_eq!((restore.to_string(), restore.rows()), (told.into(), 2));
    }
}
