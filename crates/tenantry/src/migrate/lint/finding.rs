use std::fmt;

use serde::Serialize;

/// Something in a file that must not be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// What a file that is run for every tenant must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
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
    /// A file does not begin or end transactions: it is in one with its record, or each of its statements is by
    /// itself.
    TransactionControl,
    /// What cannot be in a transaction is in a file that begins with `-- no-transaction`.
    NotInTransaction,
    /// Every string, quoted name and comment is closed: it would swallow what is sent after the file.
    Unterminated,
    /// A file has no command that only `psql` knows, and no `copy` from or to the client.
    ClientCommand,
}

impl Rule {
    /// Returns it in snake case, as JSON names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ForeignSchema => "foreign_schema",
            Self::ExtensionWithoutSchema => "extension_without_schema",
            Self::SearchPath => "search_path",
            Self::TransactionControl => "transaction_control",
            Self::NotInTransaction => "not_in_transaction",
            Self::Unterminated => "unterminated",
            Self::ClientCommand => "client_command",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}
