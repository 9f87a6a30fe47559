use std::fmt;

use serde::Serialize;

/// Something in a file that breaks a [`Rule`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Finding {
    /// Where it is, from 1 on.
    pub line: u32,
    /// Which rule it breaks.
    pub rule: Rule,
    /// What it is, and what to do.
    pub message: String,
}

/// What a file has to keep to. Those that [warn](Self::is_warning) never keep a file from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// A tenant's file names no schema: it would be the same one for all tenants.
    ForeignSchema,
    /// An extension is installed into a schema that is named: otherwise it lands in that of the first
    /// tenant.
    ExtensionWithoutSchema,
    /// A file does not change where names are looked up.
    SearchPath,
    /// A file does not change the role of the session: it would own what the files after it make, too.
    SessionRole,
    /// A file does not begin or end transactions: it is in one with its record, or each of its statements is by
    /// itself.
    TransactionControl,
    /// What cannot be in a transaction is in a file that begins with `-- no-transaction`.
    NotInTransaction,
    /// Every string, quoted name and comment is closed: it would swallow what is sent after the file.
    Unterminated,
    /// A file has no command that only `psql` knows, and no `copy` from or to the client.
    ClientCommand,
    /// Warns: an extension belongs into the shared schema's migrations, since tenants are migrated in parallel.
    ExtensionInTenant,
    /// Warns: another role owns what the rest of a file makes, and writes the file's record.
    LocalRole,
    /// Warns: a statement writes a whole table anew, while nobody can read it.
    TableRewrite,
    /// Warns: `not null` without a default fails where there are rows, or reads all of them under an exclusive
    /// lock.
    NotNull,
    /// Warns: a foreign key or a check without `not valid` reads all rows while the table is locked.
    ConstraintNotValid,
    /// Warns: an index of a table that exists is built while nobody can write to it.
    IndexNotConcurrent,
    /// Warns: `lock table` makes everybody wait until the file ends.
    LockTable,
    /// Warns: the release that is running may still read a column that is dropped.
    DropColumn,
    /// Warns: the release that is running may still read a table that is dropped.
    DropTable,
    /// Warns: the release that is running knows a table or a column under its old name alone.
    Rename,
    /// Warns: a `varchar` or `char` gets a length, which may be less than before.
    VarcharShrink,
    /// Warns: the name of the schema is stored as text, which a rename does not change.
    StoredName,
    /// Warns: a comment allows a rule that does not exist, or that cannot be allowed.
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
        Self::UnknownRule,
    ];

    /// Returns it in snake case, as JSON and comments in files name it.
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
            Self::UnknownRule => "unknown_rule",
        }
    }

    /// Returns `true` if a finding is a warning; a file with any other finding is refused.
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

    /// Returns `true` for the rules that a file's record depends on, and that nothing allows to break.
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

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}
