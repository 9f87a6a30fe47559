use serde::Serialize;

/// A rule for migration files. Rules that [warn](Self::is_warning) never block a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// A tenant's file names no other schema: it would be the same one for all tenants.
    ForeignSchema,
    /// An extension is installed into a named schema: otherwise it ends up in that of the first tenant.
    ExtensionWithoutSchema,
    /// A file does not change the search path.
    SearchPath,
    /// A file does not change the role of the session: that role would own the objects of the following files, too.
    SessionRole,
    /// A file does not begin or end transactions: it shares one with its record, or each of its statements runs
    /// separately.
    TransactionControl,
    /// Statements that cannot run in a transaction are in a file that starts with `-- no-transaction`.
    NotInTransaction,
    /// Every string, quoted name and comment is terminated: otherwise it would swallow the text that is sent after
    /// the file.
    Unterminated,
    /// A file has no `psql` command, and no `copy` from or to the client.
    ClientCommand,
    /// Warns: an extension belongs in the shared schema's migrations, since tenants are migrated in parallel.
    ExtensionInTenant,
    /// Warns: another role owns the objects that the rest of a file creates, and writes the file's record.
    LocalRole,
    /// Warns: a statement rewrites a whole table while it cannot be read.
    TableRewrite,
    /// Warns: `not null` without a default fails if there are rows, or reads all of them under an exclusive lock.
    NotNull,
    /// Warns: a foreign key or a check without `not valid` reads all rows while the table is locked.
    ConstraintNotValid,
    /// Warns: an index on an existing table is built while the table cannot be written to.
    IndexNotConcurrent,
    /// Warns: `lock table` blocks other sessions until the file ends.
    LockTable,
    /// Warns: the running release may still read a column that is dropped.
    DropColumn,
    /// Warns: the running release may still read a table that is dropped.
    DropTable,
    /// Warns: the running release only knows a table or a column by its old name.
    Rename,
    /// Warns: the length of a `varchar` or `char` is set, and may be less than before.
    VarcharShrink,
    /// Warns: the name of the schema is stored as text, which a rename does not change.
    StoredName,
    /// Warns: a statement changes rows of a table under forced row security without a tenant: it fails, or changes
    /// no row.
    RowChange,
    /// Warns: `truncate` removes the rows of all tenants.
    RowTruncate,
    /// Warns: `truncate`, `references` or `trigger` is granted, which row security does not restrict.
    RowGrant,
    /// Warns: a view shows rows of a table under row security with the privileges of its owner.
    RowView,
    /// Warns: a policy is dropped, or row security is disabled or no longer forced.
    RowPolicy,
    /// Warns: a coordinator of Citus refuses the statement on a tenant's tables. Only for files that are
    /// [for Citus](super::Lint::citus), or that are run there.
    Citus,
    /// Warns: a comment allows a rule that does not exist, or that cannot be turned off.
    UnknownRule,
}

impl Rule {
    /// All rules.
    pub const ALL: &'static [Self] = &[
        Self::ForeignSchema,
        Self::ExtensionWithoutSchema,
        Self::SearchPath,
        Self::SessionRole,
        Self::TransactionControl,
        Self::NotInTransaction,
        Self::Unterminated,
        Self::ClientCommand,
        Self::ExtensionInTenant,
        Self::LocalRole,
        Self::TableRewrite,
        Self::NotNull,
        Self::ConstraintNotValid,
        Self::IndexNotConcurrent,
        Self::LockTable,
        Self::DropColumn,
        Self::DropTable,
        Self::Rename,
        Self::VarcharShrink,
        Self::StoredName,
        Self::RowChange,
        Self::RowTruncate,
        Self::RowGrant,
        Self::RowView,
        Self::RowPolicy,
        Self::Citus,
        Self::UnknownRule,
    ];

    /// Returns the snake-case name that JSON and comments in files use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ForeignSchema => "foreign_schema",
            Self::ExtensionWithoutSchema => "extension_without_schema",
            Self::SearchPath => "search_path",
            Self::SessionRole => "session_role",
            Self::TransactionControl => "transaction_control",
            Self::NotInTransaction => "not_in_transaction",
            Self::Unterminated => "unterminated",
            Self::ClientCommand => "client_command",
            Self::ExtensionInTenant => "extension_in_tenant",
            Self::LocalRole => "local_role",
            Self::TableRewrite => "table_rewrite",
            Self::NotNull => "not_null",
            Self::ConstraintNotValid => "constraint_not_valid",
            Self::IndexNotConcurrent => "index_not_concurrent",
            Self::LockTable => "lock_table",
            Self::DropColumn => "drop_column",
            Self::DropTable => "drop_table",
            Self::Rename => "rename",
            Self::VarcharShrink => "varchar_shrink",
            Self::StoredName => "stored_name",
            Self::RowChange => "row_change",
            Self::RowTruncate => "row_truncate",
            Self::RowGrant => "row_grant",
            Self::RowView => "row_view",
            Self::RowPolicy => "row_policy",
            Self::Citus => "citus",
            Self::UnknownRule => "unknown_rule",
        }
    }

    /// Returns `true` if a finding of this rule is a warning. Any other finding blocks the file.
    #[must_use]
    pub fn is_warning(self) -> bool {
        !self.keeps_the_record()
            && !matches!(
                self,
                Self::ForeignSchema
                    | Self::ExtensionWithoutSchema
                    | Self::SearchPath
                    | Self::SessionRole
            )
    }

    /// Returns `true` for rules that protect a file's record, and that cannot be turned off.
    pub(super) fn keeps_the_record(self) -> bool {
        matches!(
            self,
            Self::TransactionControl
                | Self::NotInTransaction
                | Self::Unterminated
                | Self::ClientCommand
        )
    }
}
