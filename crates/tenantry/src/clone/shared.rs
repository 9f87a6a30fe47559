//! The tables that all tenants share, from which the rows of one are collected.

use std::collections::BTreeMap;

use sqlx::SqlStr;

use crate::{sql::Sql, tenant::Ident};

/// The tables that all tenants share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) schema: Ident,
    /// The column of the tenants' key. The clone gets another one.
    pub(crate) key: Ident,
    /// A query of the source's rows in each table, for the session that writes.
    pub(crate) rows: BTreeMap<String, SqlStr>,
}

impl Shared {
    /// Appends the query of the source's rows in a table.
    pub(super) fn rows_sql(&self, sql: &mut Sql, table: &str) {
        if let Some(rows) = self.rows.get(table) {
            sql.text("(").vouched(rows, 0..rows.as_str().len()).text(")");
        }
    }
}
