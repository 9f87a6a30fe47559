use sqlx::postgres::{PgQueryResult, PgRow};

/// Results of a statement, as far as they can be counted.
pub(super) trait Rows {
    /// Returns the number of returned rows, or otherwise of affected rows.
    fn count(&self) -> u64;
}

impl Rows for PgQueryResult {
    fn count(&self) -> u64 {
        self.rows_affected()
    }
}

impl Rows for Vec<PgRow> {
    fn count(&self) -> u64 {
        u64::try_from(self.len()).unwrap_or(u64::MAX)
    }
}

impl Rows for Option<PgRow> {
    fn count(&self) -> u64 {
        u64::from(self.is_some())
    }
}
