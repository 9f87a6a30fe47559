//! What a rule knows besides the statement that it checks.

use super::{Lint, made::Made, row_tables::RowTables};

/// The kind of schema that a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Tenant,
    Shared,
}

/// A file to check.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) text: &'a str,
    pub(crate) of: Of,
    pub(crate) transactional: bool,
    pub(crate) version: i64,
}

/// The context that a rule gets besides the statement.
pub(super) struct Context<'a> {
    pub(super) lint: &'a Lint,
    pub(super) subject: &'a Subject<'a>,
    /// Objects that the previous statements have created.
    pub(super) made: Made,
    /// Tables that the previous statements, and files, have put under row security.
    pub(super) rows: RowTables,
}
