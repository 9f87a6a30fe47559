//! Rows in the response to a string of several statements.

use sqlx::{Row, postgres::PgRow};

/// Returns the row that has a column of this name.
pub(super) fn row_with<'r>(column: &str, rows: &'r [PgRow]) -> Option<&'r PgRow> {
    rows.iter().find(|row| row.try_column(column).is_ok())
}
