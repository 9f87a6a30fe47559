//! The result of a comparison.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    clone::KeyedTable,
    event::{deserialize_millis, serialize_millis},
    plain::plain,
    tenant::TenantId,
};

/// The result of [comparing](crate::archive::Archiver::diff) the rows of two tenants.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DiffReport {
    /// The first tenant.
    pub first: TenantId,
    /// The second tenant.
    pub second: TenantId,
    /// The tables of both.
    pub tables: Vec<TableDiff>,
    /// Tables that the second tenant does not have.
    pub tables_only_in_first: Vec<String>,
    /// Tables that the first tenant does not have.
    pub tables_only_in_second: Vec<String>,
    /// How long it took.
    #[serde(
        rename = "durationMs",
        serialize_with = "serialize_millis",
        deserialize_with = "deserialize_millis"
    )]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// The differences in a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TableDiff {
    /// The table.
    pub table: String,
    /// How it was compared.
    pub compared: Compared,
    /// Rows of the first tenant.
    pub first_rows: u64,
    /// Rows of the second tenant.
    pub second_rows: u64,
    /// Rows whose key the second tenant does not have. 0 without a key.
    pub only_in_first: u64,
    /// Rows whose key the first tenant does not have. 0 without a key.
    pub only_in_second: u64,
    /// Rows with the same key and other values in the columns of both. 0 without a key.
    pub different: u64,
    /// Without a key: the contents differ.
    pub is_content_different: bool,
    /// The first rows that differ, in the order of the key.
    pub rows: Vec<RowDiff>,
    /// Columns that were not compared, because the second tenant does not have them.
    pub columns_only_in_first: Vec<String>,
    /// Columns that were not compared, because the first tenant does not have them.
    pub columns_only_in_second: Vec<String>,
}

/// How a table was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Compared {
    /// Row by row.
    Key,
    /// By the number of rows and a hash of all: the table has no primary key, or not the same in both.
    Content,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RowDiff {
    /// The values of its primary key, as text, in the order of the key.
    pub key: Vec<String>,
    /// Where it is.
    pub found: RowFound,
    /// The columns whose values differ, if it is in both.
    pub columns: Vec<String>,
    /// The SHA-256 of the rows of both tenants, as text. [`merge`](crate::archive::Archiver::merge) sees by it whether one
    /// has changed since.
    pub hash: String,
}

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum RowFound {
    /// The second tenant does not have its key.
    OnlyInFirst,
    /// The first tenant does not have its key.
    OnlyInSecond,
    /// Both have its key, with other values.
    Different,
}

impl TableDiff {
    pub(super) fn new(table: &KeyedTable, compared: Compared) -> Self {
        Self {
            table: table.name.clone(),
            compared,
            first_rows: 0,
            second_rows: 0,
            only_in_first: 0,
            only_in_second: 0,
            different: 0,
            is_content_different: false,
            rows: Vec::new(),
            columns_only_in_first: table.only_in_first.clone(),
            columns_only_in_second: table.only_in_second.clone(),
        }
    }

    /// Returns `true` if both tenants have the same rows and columns.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.only_in_first + self.only_in_second + self.different == 0
            && !self.is_content_different
            && self.columns_only_in_first.is_empty()
            && self.columns_only_in_second.is_empty()
    }
}

impl DiffReport {
    /// Returns `true` if both tenants have the same tables with the same rows, as far as they were compared.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(TableDiff::is_equal)
            && self.tables_only_in_first.is_empty()
            && self.tables_only_in_second.is_empty()
    }
}

impl fmt::Display for TableDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            compared,
            first_rows,
            second_rows,
            only_in_first,
            only_in_second,
            different,
            ..
        } = self;
        write!(f, "{}: {first_rows} and {second_rows} rows", plain(table))?;
        match compared {
            Compared::Key => write!(
                f,
                ", {only_in_first} only in the first, {only_in_second} only in the second, {different} different"
            )?,
            Compared::Content => {
                let how = if self.is_content_different { "other" } else { "the same" };
                write!(f, ", no key, {how} content")?;
            }
        }
        for (which, columns) in
            [("first", &self.columns_only_in_first), ("second", &self.columns_only_in_second)]
        {
            if !columns.is_empty() {
                write!(f, "; columns only in the {which}: {}", plain(&columns.join(", ")))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for DiffReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, tables, duration, .. } = self;
        let word = if self.is_equal() { "the same" } else { "different" };
        write!(f, "compared tenants {first} and {second}: {word} in {duration:.1?}")?;
        for table in tables.iter().filter(|table| !table.is_equal()) {
            write!(f, "\n{table}")?;
        }
        for (which, names) in
            [("first", &self.tables_only_in_first), ("second", &self.tables_only_in_second)]
        {
            for name in names {
                write!(f, "\n{}: only in the {which}", plain(name))?;
            }
        }
        Ok(())
    }
}
