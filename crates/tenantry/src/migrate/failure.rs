use std::{error::Error as StdError, fmt, sync::Arc};

use serde::Serialize;
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use super::{
    Collision, Problem,
    collision::{expects_others, is_already_there},
    lint::{line_of, statements},
};
use crate::{
    error::{Error, ErrorClass, ErrorKind, class_of, is_refused_by_policies, message_of, own},
    pool::leaves_session_usable,
    tenant::{Home, Ident},
};

/// Why a tenant was not migrated, in words for the operator.
///
/// The message can contain messages of the database: log it, but do not send it to clients.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Failure {
    /// The kind of failure.
    pub reason: FailureReason,
    /// The migration, if the failure concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The file that was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    /// The line in the file, from 1; only if the server reported a position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The SQLSTATE, if the server responded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// What went wrong.
    pub message: String,
    /// Whether a retry is pointless.
    #[serde(skip)]
    for_good: bool,
    /// A hint.
    // In an `Arc` to keep the failure small, because many functions return it as an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<Arc<String>>,
    /// The byte at which the message began that the position refers to.
    #[serde(skip)]
    // A number of 32 bits keeps the failure small.
    sent_from: u32,
    #[serde(skip)]
    collision: Option<Collision>,
    #[serde(skip)]
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kind of a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureReason {
    /// The tenant does not exist, is being moved, or has no separate container, or the text is not a tenant id.
    Tenant,
    /// The tenant's schema does not exist.
    SchemaMissing,
    /// A migration was started and has not completed.
    Dirty,
    /// A file was edited after it was applied.
    ChecksumMismatch,
    /// An applied migration has no file.
    MissingFile,
    /// A file comes before one that was already applied.
    OutOfOrder,
    /// A migration cannot be reverted.
    Irreversible,
    /// Names are no longer resolved in the schema: a file has changed the search path, or another session has dropped
    /// or renamed the schema.
    SearchPath,
    /// A statement failed.
    Statement,
    /// The role lacks a privilege: SQLSTATE 42501.
    Permission,
    /// A lock could not be acquired in time, in any attempt.
    LockTimeout,
    /// A statement exceeded its timeout.
    StatementTimeout,
    /// The database is read-only: it is a standby, or configured as read-only.
    ReadOnly,
    /// There was no connection, or it was lost, in every attempt.
    Connection,
    /// A node of a Citus cluster does not answer its coordinator, which did answer. Every change of a schema needs all
    /// nodes.
    ClusterUnavailable,
    /// The migration records in the schema cannot be read.
    Unreadable,
    /// An index that a file builds concurrently exists and is invalid, so the file cannot count as done.
    InvalidIndex,
    /// The schema holds tables but no migration records, so the files would run over existing tables: record its
    /// contents with [`TenantMigrator::baseline`](super::TenantMigrator::baseline), or run the files nevertheless
    /// with [`MigrateOptions::without_records`](super::MigrateOptions::without_records).
    NeedsBaseline,
    /// The schema has a tenant's name and holds tables but no migration records, while others have records: it may
    /// not belong to a tenant.
    Doubtful,
}

impl FailureReason {
    /// Returns the snake-case name that JSON uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::SchemaMissing => "schema_missing",
            Self::Dirty => "dirty",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::MissingFile => "missing_file",
            Self::OutOfOrder => "out_of_order",
            Self::Irreversible => "irreversible",
            Self::SearchPath => "search_path",
            Self::Statement => "statement",
            Self::Permission => "permission",
            Self::LockTimeout => "lock_timeout",
            Self::StatementTimeout => "statement_timeout",
            Self::ReadOnly => "read_only",
            Self::Connection => "connection",
            Self::ClusterUnavailable => "cluster_unavailable",
            Self::Unreadable => "unreadable",
            Self::InvalidIndex => "invalid_index",
            Self::NeedsBaseline => "needs_baseline",
            Self::Doubtful => "doubtful",
        }
    }
}

impl Failure {
    pub(super) fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            version: None,
            file: None,
            line: None,
            sqlstate: None,
            message: message.into(),
            for_good: false,
            hint: None,
            sent_from: 0,
            collision: None,
            source: None,
        }
    }

    /// Returns the underlying error, such as an [`sqlx::Error`] with the full server message. It is not one of the
    /// [sources](StdError::source), since the message already contains it.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }

    /// Returns the class of the underlying error.
    pub(crate) fn class(&self) -> Option<ErrorClass> {
        let cause = self.cause()?;
        let of_sqlx = cause.downcast_ref().map(class_of);
        of_sqlx.or_else(|| cause.downcast_ref::<Error>().map(Error::class))
    }

    /// Returns a hint, if there is one: where the missing type, function, operator or table is, when it belongs to an
    /// extension or to the shared schema; what a statement outside a transaction left half done; or how to get the
    /// lock.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_ref().map(|hint| hint.as_str())
    }

    /// Returns a copy for a schema of the database that it is about.
    pub(super) fn in_home(&self, home: &Home) -> Self {
        Self { message: format!("{home}: {}", self.message), ..self.clone() }
    }

    /// Adds a hint.
    pub(super) fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint: hint.map(Arc::new), ..self }
    }

    /// Adds a hint if a transaction that runs this text could not acquire a lock.
    pub(super) fn with_hint_on_locks(self, text: &str) -> Self {
        let waits_for_lock =
            self.reason == FailureReason::LockTimeout && statements(text).len() > 1;
        let hint = "while a statement waits, the file holds the locks of earlier statements: split it into two \
                    files, or raise lock_timeout in the options";
        if waits_for_lock { self.with_hint(Some(hint.to_owned())) } else { self }
    }

    pub(super) fn schema_missing() -> Self {
        Self::new(FailureReason::SchemaMissing, "the schema does not exist")
    }

    /// A schema that needs a baseline before files are run in it.
    pub(super) fn needs_baseline(tables: usize) -> Self {
        let message = format!(
            "{}, no migration records: create a baseline? `tenantry migrate baseline` records the \
             migrations that the schema already has",
            counted_tables(tables)
        );
        Self::new(FailureReason::NeedsBaseline, message)
    }

    /// Returns `true` if the schema is set aside because of its contents.
    pub(super) fn is_put_aside(&self) -> bool {
        matches!(self.reason, FailureReason::NeedsBaseline | FailureReason::Doubtful)
    }

    /// Creates the failure of a schema that may not belong to a tenant.
    pub(super) fn doubtful(tables: usize) -> Self {
        let message = format!(
            "{}, no migration records, while other tenants have them: not a tenant's schema? Exclude it \
             from the catalog, or record its migrations with `tenantry migrate baseline`",
            counted_tables(tables)
        );
        Self::new(FailureReason::Doubtful, message)
    }

    pub(super) fn search_path() -> Self {
        let message = "names are no longer resolved in the schema: a file has changed the search_path, or \
                       another session has dropped or renamed the schema";
        Self::new(FailureReason::SearchPath, message)
    }

    pub(super) fn invalid_index(name: &Ident) -> Self {
        let message = format!(
            "index {name} is invalid, so no query uses it: run the file, which drops and rebuilds it; if the \
             file is dirty, forget that first"
        );
        Self::new(FailureReason::InvalidIndex, message)
    }

    /// Adds a remark.
    pub(super) fn with_remark(self, remark: &str) -> Self {
        Self { message: format!("{} ({remark})", self.message), ..self }
    }

    /// Adds the failure of the first attempt, if it was a different one.
    pub(super) fn after(self, first: Option<Self>) -> Self {
        match first.map(|first| first.to_string()) {
            Some(first) if first != self.to_string() && !self.message.contains(&first) => {
                self.with_remark(&format!("first attempt: {first}"))
            }
            _ => self,
        }
    }

    /// Marks the failure as not to be retried.
    pub(super) fn for_good(self) -> Self {
        Self { for_good: true, collision: None, ..self }
    }

    pub(super) fn because(self, reason: FailureReason) -> Self {
        Self { reason, ..self }
    }

    /// Adds the file that failed.
    pub(super) fn in_file(self, version: i64, name: &Arc<str>) -> Self {
        Self { version: Some(version), file: Some(Arc::clone(name)), ..self }
    }

    /// Adds the line of a byte in the file's text.
    pub(super) fn at(self, text: &str, byte: usize) -> Self {
        let line = (byte <= text.len()).then(|| line_of(text, byte));
        Self { line, ..self }
    }

    /// Adds the line of a byte in the file's text, unless the server reported a more precise one.
    pub(super) fn or_at(self, text: &str, byte: usize) -> Self {
        if self.line.is_some() { self } else { self.at(text, byte) }
    }

    /// Records that the message began at this byte of the text.
    pub(crate) fn sent_from(self, byte: usize) -> Self {
        Self { sent_from: u32::try_from(byte).unwrap_or(u32::MAX), ..self }
    }

    /// Returns the byte position in the sent text that the server reported, if any.
    pub(super) fn byte_in(&self, sent: &str) -> Option<usize> {
        let error = self.source.as_ref()?.downcast_ref::<sqlx::Error>()?.as_database_error()?;
        match error.try_downcast_ref::<PgDatabaseError>()?.position()? {
            // The server counts characters, from 1 on.
            PgErrorPosition::Original(character) => {
                let from = usize::try_from(self.sent_from).ok()?;
                let message = sent.get(from..)?;
                let byte = message.char_indices().nth(character.checked_sub(1)?);
                byte.map(|(byte, _)| from + byte)
            }
            PgErrorPosition::Internal { .. } => None,
        }
    }

    /// Returns the kind of error.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self.reason {
            FailureReason::Connection | FailureReason::ClusterUnavailable => ErrorKind::Unavailable,
            FailureReason::Permission if self.file.is_none() => ErrorKind::PermissionDenied,
            _ => ErrorKind::Migration,
        }
    }

    /// Returns whether concurrent work was in the way, if everything was rolled back.
    pub(crate) fn collision(&self) -> Option<Collision> {
        self.collision
    }

    /// Converts an error caused by this text to a failure.
    pub(crate) fn in_text(error: sqlx::Error, sql: &str) -> Self {
        Self::from(error).unless_plain(sql)
    }

    /// Treats "already exists" as a plain failure, unless the failed text expects that its objects can exist.
    pub(super) fn unless_plain(self, sql: &str) -> Self {
        let plain = is_already_there(self.sqlstate.as_deref()) && !expects_others(sql);
        if plain { Self { collision: None, ..self } } else { self }
    }

    /// Returns `true` if the same operation can succeed later without any change.
    pub(super) fn is_passing(&self) -> bool {
        let passes = matches!(self.reason, FailureReason::LockTimeout | FailureReason::Connection)
            || self.collision == Some(Collision::Certain);
        passes && !self.for_good
    }
}

impl Failure {
    /// Returns `true` if the cause is the state of the server, and not the statement or the data.
    pub(super) fn is_of_circumstances(&self) -> bool {
        match self.reason {
            FailureReason::LockTimeout
            | FailureReason::StatementTimeout
            | FailureReason::ReadOnly
            | FailureReason::Connection
            | FailureReason::ClusterUnavailable
            | FailureReason::InvalidIndex => true,
            _ if self.collision.is_some() => true,
            // A resource shortage, or an intervention by an operator.
            _ => self
                .sqlstate
                .as_deref()
                .is_some_and(|code| ["53", "57", "58"].iter().any(|class| code.starts_with(class))),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let reason = match problem {
            Problem::Dirty { .. } => FailureReason::Dirty,
            Problem::ChecksumMismatch { .. } => FailureReason::ChecksumMismatch,
            Problem::MissingFile { .. } => FailureReason::MissingFile,
            Problem::OutOfOrder { .. } => FailureReason::OutOfOrder,
            Problem::Irreversible { .. } => FailureReason::Irreversible,
        };
        let failure = Self::new(reason, problem.to_string());
        Self { version: Some(problem.version()), ..failure }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let (message, sqlstate) = match error.as_database_error() {
            Some(answer) => (message_of(answer).into_owned(), answer.code().map(Into::into)),
            None => (own(&error).map_or_else(|| error.to_string(), ToString::to_string), None),
        };
        let is_of_file = unreadable_answer(&error);
        let message = is_of_file.map_or(message, str::to_owned);
        let lost = !leaves_session_usable(&error);
        let reason = match sqlstate.as_deref() {
            // sqlx closes the connection, but the statement is the cause.
            _ if is_of_file.is_some() => FailureReason::Statement,
            _ if lost => FailureReason::Connection,
            _ if class_of(&error) == ErrorClass::ClusterNode => FailureReason::ClusterUnavailable,
            Some("42501") => FailureReason::Permission,
            Some("55P03") => FailureReason::LockTimeout,
            Some("57014") => FailureReason::StatementTimeout,
            Some("25006") => FailureReason::ReadOnly,
            Some("3F000") => FailureReason::SchemaMissing,
            _ => FailureReason::Statement,
        };
        let collision = Collision::of(&error);
        let hint = is_refused_by_policies(&error).then(|| WITH_POLICIES.to_owned());
        let failure = Self::new(reason, message).with_hint(hint);
        Self { sqlstate, collision, source: Some(Arc::new(error)), ..failure }
    }
}

/// What to do about a table whose policies apply to the role that runs a file.
const WITH_POLICIES: &str = "a file works on the rows of all tenants, and the policies of this table apply to its role, \
                             too: put `alter table … no force row level security` before the change and `force` after \
                             it, grant the role bypassrls, or change the rows tenant by tenant with a seed";

fn counted_tables(tables: usize) -> String {
    format!("{tables} {}", if tables == 1 { "table" } else { "tables" })
}

/// Describes what in a file causes a response that sqlx cannot read.
fn unreadable_answer(error: &sqlx::Error) -> Option<&'static str> {
    let sqlx::Error::Protocol(words) = error else { return None };
    [
        ("CopyInResponse", "`copy … from stdin` needs a client that sends the rows, such as psql"),
        ("CopyOutResponse", "`copy … to stdout` needs a client that takes the rows, such as psql"),
        (
            "non-UTF-8",
            "a statement failed, and its message is not UTF-8: a file has set client_encoding",
        ),
    ]
    .into_iter()
    .find_map(|(mark, says)| words.contains(mark).then_some(says))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Self::from(&error);
        Self { source: Some(Arc::new(error)), ..failure }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let reason = match error.kind() {
            ErrorKind::InvalidTenantId
            | ErrorKind::UnknownTenant
            | ErrorKind::Placement
            | ErrorKind::Catalog => FailureReason::Tenant,
            ErrorKind::LockNotAvailable => FailureReason::LockTimeout,
            ErrorKind::Cancelled => FailureReason::StatementTimeout,
            ErrorKind::ReadOnly => FailureReason::ReadOnly,
            ErrorKind::PermissionDenied => FailureReason::Permission,
            kind if kind.is_of_statement() => FailureReason::Statement,
            _ if error.class() == ErrorClass::ClusterNode => FailureReason::ClusterUnavailable,
            _ => FailureReason::Connection,
        };
        Self::new(reason, error.to_string())
    }
}

/// Writes a line such as `0003_index.sql, line 12: column "x" does not exist (42703)`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            f.write_str(file)?;
            if let Some(line) = self.line {
                write!(f, ", line {line}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)?;
        self.sqlstate.as_ref().map_or(Ok(()), |code| write!(f, " ({code})"))?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl Error {
    /// Adds a failure as the source.
    pub(crate) fn because_of(self, failure: Failure) -> Self {
        self.with_class(failure.class()).with_source(failure)
    }
}

impl StdError for Failure {
    /// Returns the source of the [cause](Self::cause), whose text the message already contains.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let cause = self.cause()?;
        match cause.downcast_ref::<sqlx::Error>() {
            // Its text contains that of its sources, unless it wraps an error of this crate.
            Some(error) => own(error).and_then(StdError::source),
            None => cause.source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_sqlx_cannot_answer_is_the_statement_s_failure() {
        for (said, says) in [
            ("execute: unexpected message: CopyInResponse", "copy … from stdin"),
            ("execute: unexpected message: CopyOutResponse", "copy … to stdout"),
        ] {
            let failure = Failure::from(sqlx::Error::Protocol(said.to_owned()));
            assert_eq!(failure.reason, FailureReason::Statement);
            assert!(failure.message.contains(says) && !failure.is_passing(), "{failure}");
        }
        let other = Failure::from(sqlx::Error::Protocol("something else".to_owned()));
        assert_eq!(other.reason, FailureReason::Connection);
    }
}
