//! The SQL of tables that hold the rows of all tenants.

use std::error::Error;

use clap::{Args, ValueEnum};
use tenantry::{
    KeyType, Rows,
    rows::{RowTable, RowTables},
};

use crate::{failure::Failure, settings::Settings};

/// Arguments of `migrate new` for tables that hold the rows of all tenants.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tables with the rows of all tenants")]
pub(super) struct RowTableArguments {
    /// Write a table whose rows are kept apart by policies; repeat it, after the tables that it
    /// references
    #[arg(long = "row-table", value_name = "TABLE", conflicts_with_all = ["reversible", "no_transaction"])]
    tables: Vec<String>,
    /// The tables exist: write the steps that add the tenant column and the policies
    #[arg(long, requires = "tables")]
    existing: bool,
    /// A column that references the column `id` of another of the tables, such as
    /// orders.user_id=users
    #[arg(long = "reference", value_name = "TABLE.COLUMN=TABLE", requires = "tables", value_parser = reference)]
    references: Vec<Reference>,
    /// Key of the tenant that all existing rows belong to, unless the column is filled
    #[arg(long, value_name = "KEY", requires = "existing", conflicts_with = "fill_from_parent")]
    fill_with: Option<String>,
    /// Fill the tenant column from the rows that the first reference of a table leads to
    #[arg(long, requires = "existing")]
    fill_from_parent: bool,
    /// The tenant column [default: rows.column]
    #[arg(long, value_name = "COLUMN", requires = "tables")]
    tenant_column: Option<String>,
    /// Type of the tenant column [default: rows.key]
    #[arg(long, value_enum, requires = "tables")]
    key_type: Option<Key>,
    /// Setting of a session that holds the tenant's key [default: rows.setting]
    #[arg(long, value_name = "NAME", requires = "tables")]
    tenant_setting: Option<String>,
    /// Role of tenants' sessions, which is granted the privileges [default: rows.role]
    #[arg(long, value_name = "ROLE", requires = "tables")]
    row_role: Option<String>,
}

/// A column that references another table.
#[derive(Debug, Clone)]
struct Reference {
    table: String,
    column: String,
    parent: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Key {
    Uuid,
    #[value(name = "bigint")]
    BigInt,
    Text,
}

/// The text of a file, and what its name ends with.
pub(super) struct Draft {
    pub(super) step: Option<String>,
    pub(super) sql: String,
}

fn reference(text: &str) -> Result<Reference, String> {
    let parts =
        text.split_once('=').and_then(|(from, parent)| Some((from.split_once('.')?, parent)));
    let ((table, column), parent) = parts.ok_or("expected TABLE.COLUMN=TABLE")?;
    Ok(Reference { table: table.into(), column: column.into(), parent: parent.into() })
}

impl RowTableArguments {
    /// Returns the files to write, if tables were named.
    pub(super) fn drafts(&self, settings: &Settings) -> Result<Option<Vec<Draft>>, Failure> {
        if self.tables.is_empty() {
            return Ok(None);
        }
        let is_unknown = |reference: &&Reference| !self.tables.contains(&reference.table);
        if let Some(unknown) = self.references.iter().find(is_unknown) {
            let table = &unknown.table;
            return Err(Failure::new(format!(
                "--reference names {table}, which is no --row-table"
            )));
        }
        let tables = self.row_tables(settings.rows()?);
        let tables = tables.map_err(|error| Failure::new(error.to_string()))?;
        Ok(Some(match self.existing {
            false => vec![Draft { step: None, sql: tables.create() }],
            true => tables
                .adopt()
                .into_iter()
                .map(|step| Draft { step: Some(step.name), sql: step.sql })
                .collect(),
        }))
    }

    fn row_tables(&self, rows: Rows) -> Result<RowTables, Box<dyn Error>> {
        let rows = self.key_type.into_iter().fold(rows, |rows, key| rows.key(key.into()));
        let column = self.tenant_column.iter();
        let rows = column.into_iter().try_fold(rows, |rows, column| rows.column(column))?;
        let setting = self.tenant_setting.iter();
        let rows = setting.into_iter().try_fold(rows, |rows, setting| rows.setting(setting))?;
        let rows = self.row_role.iter().try_fold(rows, |rows, role| rows.role(role))?;
        let mut tables = RowTables::new(&rows);
        for name in &self.tables {
            tables = tables.table(self.row_table(name)?);
        }
        Ok(tables)
    }

    fn row_table(&self, name: &str) -> Result<RowTable, Box<dyn Error>> {
        let mut table = RowTable::new(name)?;
        for reference in self.references.iter().filter(|reference| reference.table == name) {
            table = table.references(&reference.column, &reference.parent)?;
        }
        Ok(match &self.fill_with {
            Some(key) => table.filled_with(key),
            None if self.fill_from_parent => table.filled_from_parent(),
            None => table,
        })
    }
}

impl From<Key> for KeyType {
    fn from(key: Key) -> Self {
        match key {
            Key::Uuid => Self::Uuid,
            Key::BigInt => Self::BigInt,
            Key::Text => Self::Text,
        }
    }
}
