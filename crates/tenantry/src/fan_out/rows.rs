//! Delivery of rows.

use std::sync::Arc;

/// Some of the rows that the statement has returned for one tenant.
///
/// The rows of a tenant arrive in order; batches of different tenants may alternate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantRows {
    /// The tenant id as given; `None` for the shared schema.
    pub tenant_id: Option<Arc<str>>,
    /// The columns, identical for all batches of a tenant. Those of another tenant may differ.
    pub columns: Arc<[Column]>,
    /// The rows, each with a value for every column: PostgreSQL's text representation, `None` for
    /// null.
    ///
    /// A batch that only announces columns has no rows: the first tenants of a run may have none.
    pub rows: Vec<Vec<Option<String>>>,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// Its name. Names need not be unique.
    pub name: Arc<str>,
    /// The name of its type, such as `INT8`; `None` for types that are not built in.
    pub type_name: Option<Arc<str>>,
}

/// Maximum number of rows per batch.
const MOST_ROWS: usize = 256;

/// Amount of text from which a batch is delivered, in bytes.
const ENOUGH_TEXT: usize = 64 * 1024;

/// Rows that wait for delivery.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rows: Vec<Vec<Option<String>>>,
    bytes: usize,
}

impl Batch {
    pub(super) fn add(&mut self, row: Vec<Option<String>>) {
        self.bytes += row.iter().flatten().map(String::len).sum::<usize>();
        self.rows.push(row);
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= MOST_ROWS || self.bytes >= ENOUGH_TEXT
    }

    /// Returns the rows so far, if there are any.
    pub(super) fn take(&mut self) -> Option<Vec<Vec<Option<String>>>> {
        let Self { rows, .. } = std::mem::take(self);
        (!rows.is_empty()).then_some(rows)
    }
}
