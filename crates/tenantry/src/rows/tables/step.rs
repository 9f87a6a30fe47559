/// A step of the adoption of existing tables, for a migration file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowStep {
    /// What it does, in snake case, for the file's name: `row_security`.
    pub name: String,
    /// The contents of the file. If it does not run in a transaction, the first line is
    /// `-- no-transaction`, as in sqlx.
    pub sql: String,
}

impl RowStep {
    /// Returns `true` if the file runs in a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        !self.sql.starts_with("-- no-transaction")
    }
}
