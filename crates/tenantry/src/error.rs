//! Errors and their kinds.

mod class;
mod classify;
mod database;
mod in_chain;
mod of_worker;
mod options;
mod texts;

use std::{
    borrow::Cow, convert::Infallible, error::Error as StdError, fmt, io, sync::Arc, time::Duration,
};

use sqlx::postgres::{PgDatabaseError, PgSeverity};

pub use class::ErrorClass;
pub(crate) use classify::class_of;
pub(crate) use database::is_refused_by_policies;
pub(crate) use of_worker::message_of;
pub use options::OptionsError;

use crate::{
    error_report::ErrorReport,
    tenant::{Home, ParseTenantIdError, TenantId},
};

type Source = Box<dyn StdError + Send + Sync>;

/// The error type of this crate.
///
/// [`kind`](Self::kind) is what a caller branches on, the message describes what was attempted, and
/// [`source`](StdError::source) is the cause. The message never contains a password or a URL. The
/// source can contain text from the database, so write it to a log and not into a response.
///
/// # Inside sqlx
///
/// [`sqlx::Executor`] can only fail with [`sqlx::Error`], and so do
/// [`TenantDb::acquire`](crate::TenantDb::acquire) and [`TenantDb::begin`](crate::TenantDb::begin),
/// so that code written for sqlx's pool compiles unchanged. As with sqlx's pool, a timed-out
/// acquire is [`sqlx::Error::PoolTimedOut`] and a closed manager is [`sqlx::Error::PoolClosed`], so
/// code that matches on them keeps working. Neither variant can carry a tenant or a message: the
/// event [`AcquireTimeout`](crate::Event::AcquireTimeout), logged as a warning, names the tenant
/// and the cause. Every other error of this type travels inside [`sqlx::Error::Io`], and
/// `Error::from` converts it back with its kind, tenant and source.
///
/// ```
/// use tenantry::{Error, ErrorKind};
///
/// # async fn example(db: tenantry::TenantDb) -> Result<(), Box<dyn std::error::Error>> {
/// match db.acquire().await.map_err(Error::from) {
///     Ok(lease) => drop(lease),
///     Err(error) if error.kind() == ErrorKind::Timeout => println!("{:?}", error.retry_after()),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(()) }
/// ```
///
/// # Errors of statements
///
/// `Error::from` also classifies why the server refused a statement: a violated constraint becomes
/// [`UniqueViolation`](ErrorKind::UniqueViolation) or a related kind, a deadlock
/// [`Deadlock`](ErrorKind::Deadlock), a query without its row
/// [`RowNotFound`](ErrorKind::RowNotFound), and anything without a dedicated kind
/// [`Database`](ErrorKind::Database). [`constraint`](Self::constraint), [`table`](Self::table) and
/// [`column`](Self::column) name the object.
///
/// ```
/// use tenantry::{Error, ErrorKind};
///
/// # async fn example(db: tenantry::TenantDb) -> Result<bool, Error> {
/// let added = sqlx::query("insert into users (email) values ('a@b.c')").execute(&db).await;
/// match added.map_err(Error::from) {
///     Ok(_) => Ok(true),
///     Err(error) if error.kind() == ErrorKind::UniqueViolation => Ok(false),
///     Err(error) => Err(error),
/// }
/// # }
/// ```
///
/// # In logs
///
/// Like [`ErrorReport`], `Debug` prints the message and its sources as a readable paragraph, for a
/// `main` that returns this error; `{:#?}` prints the structure.
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    tenant: Option<TenantId>,
    /// The server, if there are several.
    server: Option<Arc<str>>,
    attempted: Cow<'static, str>,
    retry_after: Option<Duration>,
    /// The class, where the sources do not determine it.
    class: Option<ErrorClass>,
    source: Option<Source>,
}

/// The kind of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not a valid tenant id.
    InvalidTenantId,
    /// The catalog does not know the tenant.
    UnknownTenant,
    /// The tenant is suspended.
    Suspended,
    /// The tenant's place cannot be used: its schema, database or key is taken, does not exist or has no valid
    /// name, its server is unknown, or the operation is for tenants of another kind of isolation.
    Placement,
    /// The tenant or its container already exists.
    TenantExists,
    /// The tenant was renamed, dropped or recreated after the handle was created. Get a new handle
    /// from [`TenantManager::tenant`](crate::TenantManager::tenant). No statement was run.
    ///
    /// Also when the tenant moved to another place while a statement ran that may have committed a
    /// part of its work, so that it was not run again; its error is the source.
    StaleHandle,
    /// The name of the tenant's schema, or its key in the tables of all tenants, was released
    /// recently, and transactions or leases of the previous tenant may still be open. Retry after [`retry_after`](Error::retry_after).
    NameInUse,
    /// A database object, such as a function body, refers to the tenant's schema by name as text
    /// and would keep the old name after a rename. Nothing was changed. The message lists the
    /// objects, and the source is a [`StoredNames`](crate::provision::StoredNames).
    StoredName,
    /// Another operation is migrating, moving, renaming or dropping the tenant.
    Busy,
    /// The catalog could not be read or written.
    Catalog,
    /// No connection became free before the deadline.
    Timeout,
    /// The task already holds a connection, and
    /// [`refuse_nested_acquires`](crate::PoolOptions::refuse_nested_acquires) is on.
    NestedAcquire,
    /// Too many requests of this tenant are already waiting, or the floors of other processes take
    /// the whole [shared budget](crate::ManagerBuilder::budget_shared_by).
    Overloaded,
    /// The tenant sends more requests than its
    /// [`requests_per_second`](crate::TenantLimits::requests_per_second). Retry after
    /// [`retry_after`](Error::retry_after).
    RateLimited,
    /// No connection to the server could be established, or the connection broke. Also when a coordinator of Citus
    /// cannot reach the worker of a tenant, whose [class](Error::class) is
    /// [`ClusterNode`](ErrorClass::ClusterNode).
    Unavailable,
    /// A statement exceeded [`statement_timeout`](crate::PoolOptions::statement_timeout). Whether
    /// it was executed is unknown, so the error is not transient.
    StatementTimeout,
    /// The server ended the session because a transaction was idle for longer than
    /// [`idle_in_transaction_timeout`](crate::PoolOptions::idle_in_transaction_timeout) (SQLSTATE
    /// 25P03). The transaction was rolled back. Wait for clients and other services before a
    /// transaction begins, not inside it.
    IdleInTransaction,
    /// A connection pooler in transaction mode sits between the manager and PostgreSQL. It mixes up
    /// tenants' sessions, so the manager serves nothing until the process is restarted with a
    /// direct connection or a pooler in session mode.
    TransactionPooler,
    /// It cannot work [behind a transaction pooler](crate::ManagerBuilder::behind_transaction_pooler): it needs a
    /// session, or SQL text has ended the transaction of a lease. In the first case, nothing was sent.
    BehindPooler,
    /// The manager is closed or closing.
    Closed,
    /// The configuration is invalid or contradictory.
    Config,
    /// No tenant is in scope.
    NoTenant,
    /// The server refused a statement for a reason without a dedicated kind, or sqlx could not
    /// encode its parameters or decode its rows.
    Database,
    /// A query expected a row and found none: [`sqlx::Error::RowNotFound`].
    RowNotFound,
    /// A row with this key already exists: SQLSTATE 23505.
    UniqueViolation,
    /// A referenced row does not exist, or a row is still referenced: SQLSTATE 23503.
    ForeignKeyViolation,
    /// A column must not be null: SQLSTATE 23502.
    NotNullViolation,
    /// A check constraint is violated: SQLSTATE 23514.
    CheckViolation,
    /// A value is not valid for its column: a text is too long (SQLSTATE 22001), a number is out of
    /// range (22003), a date does not exist (22007, 22008), a text cannot be parsed as the column's
    /// type (22P02, 22P03), or it has characters that the server or its encoding cannot store, such
    /// as NUL (22021, 22P05).
    InvalidValue,
    /// A row conflicts with another one under an exclusion constraint: SQLSTATE 23P01.
    ExclusionViolation,
    /// The statement deadlocked with another transaction: SQLSTATE 40P01. The transaction was
    /// rolled back and can be run again as a whole.
    Deadlock,
    /// The transaction could not be serialized with another one: SQLSTATE 40001. It can be run
    /// again as a whole.
    SerializationFailure,
    /// A lock could not be acquired in time, or at once with `nowait`: SQLSTATE 55P03.
    LockNotAvailable,
    /// The server cancelled the statement, because of its `statement_timeout` or on request:
    /// SQLSTATE 57014.
    Cancelled,
    /// The role lacks a privilege: SQLSTATE 42501. When creating a tenant or the table of tenants, the
    /// message names the privilege and the role.
    PermissionDenied,
    /// The transaction or the server is read-only: SQLSTATE 25006.
    ///
    /// After a failover a connection may still lead to the former primary. The pool then replaces
    /// its connections to servers in recovery, and retries a single statement on a handle.
    ReadOnly,
    /// Migration files cannot be run, or have failed. The error's source describes the file, the
    /// place and the cause.
    Migration,
    /// A clone would differ from its source, or would contain data it must not contain. Nothing of
    /// it was kept.
    Clone,
    /// A tenant cannot be moved, with [`Obstacles`](crate::moves::Obstacles) as the source, or its move
    /// failed and was undone. The tenant is where it was.
    Move,
    /// A file with the rows of a tenant could not be written or read, is damaged, or does not fit
    /// the tables. Nothing of it was restored.
    RowsFile,
    /// An archive of a tenant could not be written or read, is damaged or of a newer format, or does
    /// not fit the server. Nothing of it was kept.
    Archive,
    /// Rows of a tenant cannot be merged into another: they were changed since they were compared, or PostgreSQL does
    /// not let one of their columns be updated. Nothing was merged.
    Merge,
    /// A seed failed or refused to run.
    Seed,
    /// An application hook that uses a connection,
    /// [`after_bind`](crate::ManagerBuilder::after_bind) or
    /// [`after_connect`](crate::ManagerBuilder::after_connect), failed, panicked or left the
    /// session outside the tenant. The message names the hook, and the connection was closed. When
    /// a connect attempt fails because of it, this is the source of [`Unavailable`](Self::Unavailable).
    Hook,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, attempted: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            tenant: None,
            server: None,
            attempted: attempted.into(),
            retry_after: None,
            class: None,
            source: None,
        }))
    }

    /// Converts the error of a statement that creates or renames a schema if the name caused it;
    /// otherwise returns it unchanged.
    pub(crate) fn schema_taken(error: sqlx::Error) -> Result<Self, sqlx::Error> {
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            Some("42P06" | "23505" | "55P03") => {
                let attempted = "its schema exists or is being created by another session";
                Ok(Self::new(ErrorKind::TenantExists, attempted).with_source(error))
            }
            _ => Err(error),
        }
    }

    pub(crate) fn with_tenant(mut self, tenant: &TenantId) -> Self {
        self.0.tenant = Some(tenant.clone());
        self
    }

    pub(crate) fn with_tenant_unless_named(self, tenant: &TenantId) -> Self {
        if self.0.tenant.is_some() { self } else { self.with_tenant(tenant) }
    }

    /// Sets the server, unless the error has one: the first that knows it is where it failed.
    pub(crate) fn with_server(mut self, server: &Arc<str>) -> Self {
        self.0.server.get_or_insert_with(|| Arc::clone(server));
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Replaces the message.
    pub(crate) fn attempting(mut self, attempted: impl Into<Cow<'static, str>>) -> Self {
        self.0.attempted = attempted.into();
        self
    }

    pub(crate) fn with_class(mut self, class: Option<ErrorClass>) -> Self {
        self.0.class = class;
        self
    }

    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Returns the source if it is an sqlx error that passes the test; otherwise the error
    /// unchanged.
    pub(crate) fn into_source_if(
        mut self,
        test: impl Fn(&sqlx::Error) -> bool,
    ) -> Result<sqlx::Error, Self> {
        let source = self.0.source.take().map(|source| source.downcast::<sqlx::Error>());
        match source {
            Some(Ok(error)) if test(&error) => return Ok(*error),
            Some(Ok(error)) => self.0.source = Some(error),
            Some(Err(other)) => self.0.source = Some(other),
            None => {}
        }
        Err(self)
    }

    /// Creates an error of [`ErrorKind::Catalog`], for catalogs outside this crate.
    pub fn catalog(source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::Catalog, "asking the catalog").with_source(source)
    }

    /// Creates one error for each of several callers that waited for the same thing.
    pub(crate) fn shared(original: &std::sync::Arc<Self>) -> Self {
        let Inner { kind, tenant, server, attempted, retry_after, class, .. } = &*original.0;
        Self(Box::new(Inner {
            kind: *kind,
            tenant: tenant.clone(),
            server: server.clone(),
            attempted: attempted.clone(),
            retry_after: *retry_after,
            class: *class,
            source: Some(Box::new(std::sync::Arc::clone(original))),
        }))
    }

    /// Creates a copy with the same message and tenant, without the source.
    pub(crate) fn without_source(&self) -> Self {
        let Inner { kind, ref tenant, ref server, ref attempted, retry_after, .. } = *self.0;
        Self(Box::new(Inner {
            kind,
            tenant: tenant.clone(),
            server: server.clone(),
            attempted: attempted.clone(),
            retry_after,
            class: self.class_of_source(),
            source: None,
        }))
    }

    /// Creates a copy with the same message, without the source.
    pub(crate) fn again(&self) -> Self {
        self.at_its_server(Self::new(self.0.kind, self.0.attempted.clone()))
    }

    /// Creates a copy for something in the database that it is about.
    pub(crate) fn in_home(&self, home: &Home) -> Self {
        self.at_its_server(Self::new(self.0.kind, format!("{home}: {self:#}")))
    }

    /// Gives another error the server of this one.
    fn at_its_server(&self, error: Self) -> Self {
        self.0.server.iter().fold(error, Self::with_server)
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the tenant that was requested, if any.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.0.tenant.as_ref()
    }

    /// Returns the name of the server that did not do what was attempted, if the manager has
    /// [several](crate::ManagerBuilder::server): `main` is the one of the manager's URL.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// if let Err(error) = manager.tenant("acme").await?.acquire().await.map_err(tenantry::Error::from) {
    ///     println!("{} does not serve it", error.server().unwrap_or("the server"));
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.0.server.as_deref()
    }

    /// Returns the coarse class of the error, as used in metrics and events.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self.0.kind {
            ErrorKind::Timeout
            | ErrorKind::NestedAcquire
            | ErrorKind::Overloaded
            | ErrorKind::Closed => ErrorClass::Pool,
            ErrorKind::Unavailable => self.class_of_source().unwrap_or(ErrorClass::Connection),
            ErrorKind::StatementTimeout => ErrorClass::Cancelled,
            _ => self.class_of_source().unwrap_or(ErrorClass::Other),
        }
    }

    /// Returns `true` if the same call may succeed later without any intervention.
    ///
    /// An unreachable server may come back. A refused password stays refused, and so does a missing
    /// catalog table.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.0.kind {
            ErrorKind::Timeout
            | ErrorKind::Overloaded
            | ErrorKind::RateLimited
            | ErrorKind::Busy
            | ErrorKind::NameInUse => true,
            ErrorKind::Unavailable | ErrorKind::Catalog => {
                self.class_of_source().is_none_or(ErrorClass::is_transient)
            }
            _ => false,
        }
    }

    fn class_of_source(&self) -> Option<ErrorClass> {
        self.0.class.or_else(|| classify::class_in(StdError::source(self)))
    }

    /// Returns how long to wait before a retry, for errors that resolve by themselves.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.describe())?;
        // Errors about a server, or a database of it, name it in their text.
        let is_told = |server: &&str| self.0.attempted.contains(&format!("server {server}"));
        let server = self.server().filter(|server| !is_told(server));
        match (&self.0.tenant, server) {
            (Some(tenant), Some(server)) => write!(f, " (tenant {tenant}, server {server})")?,
            (Some(tenant), None) => write!(f, " (tenant {tenant})")?,
            (None, Some(server)) => write!(f, " (server {server})")?,
            (None, None) => {}
        }
        write!(f, ": {}", self.0.attempted)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.alternate() {
            true => f.debug_tuple("Error").field(&self.0).finish(),
            false => fmt::Debug::fmt(&ErrorReport::new(self), f),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl ErrorKind {
    /// Returns `true` if the server, or sqlx, refused a statement.
    pub(crate) fn is_of_statement(self) -> bool {
        matches!(
            self,
            Self::Database
                | Self::RowNotFound
                | Self::UniqueViolation
                | Self::ForeignKeyViolation
                | Self::NotNullViolation
                | Self::CheckViolation
                | Self::InvalidValue
                | Self::ExclusionViolation
                | Self::Deadlock
                | Self::SerializationFailure
                | Self::LockNotAvailable
                | Self::Cancelled
                | Self::PermissionDenied
                | Self::ReadOnly
        )
    }

    /// Classifies why the server refused a statement.
    fn of_sqlstate(code: &str) -> Self {
        match code {
            "23505" => Self::UniqueViolation,
            "23503" => Self::ForeignKeyViolation,
            "23502" => Self::NotNullViolation,
            "23514" => Self::CheckViolation,
            "22001" | "22003" | "22007" | "22008" | "22021" | "22P02" | "22P03" | "22P05" => {
                Self::InvalidValue
            }
            "23P01" => Self::ExclusionViolation,
            "40P01" => Self::Deadlock,
            "40001" => Self::SerializationFailure,
            "55P03" => Self::LockNotAvailable,
            "57014" => Self::Cancelled,
            "42501" => Self::PermissionDenied,
            READ_ONLY => Self::ReadOnly,
            _ => Self::Database,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::InvalidTenantId => "invalid tenant id",
            Self::UnknownTenant => "unknown tenant",
            Self::Suspended => "tenant is suspended",
            Self::Placement => "placement cannot be used",
            Self::TenantExists => "tenant already exists",
            Self::StaleHandle => "stale handle",
            Self::NameInUse => "name or key is not free yet",
            Self::StoredName => "name is stored as text",
            Self::Busy => "tenant is being changed",
            Self::Catalog => "catalog failed",
            Self::Timeout => "no connection in time",
            Self::NestedAcquire => "nested acquire",
            Self::Overloaded => "too many requests are waiting",
            Self::RateLimited => "too many requests per second",
            Self::Unavailable => "database unavailable",
            Self::StatementTimeout => "statement timed out",
            Self::IdleInTransaction => "transaction was idle for too long",
            Self::TransactionPooler => "nothing is served",
            Self::BehindPooler => "not possible behind a transaction pooler",
            Self::Closed => "manager is closed",
            Self::Config => "invalid configuration",
            Self::NoTenant => "no tenant in scope",
            Self::Database => "statement failed",
            Self::RowNotFound => "no row found",
            Self::UniqueViolation => "unique constraint violated",
            Self::ForeignKeyViolation => "foreign key violated",
            Self::NotNullViolation => "column must not be null",
            Self::CheckViolation => "check constraint violated",
            Self::InvalidValue => "value does not fit",
            Self::ExclusionViolation => "exclusion constraint violated",
            Self::Deadlock => "deadlock",
            Self::SerializationFailure => "transaction cannot be serialized",
            Self::LockNotAvailable => "lock not available",
            Self::Cancelled => "statement cancelled by the server",
            Self::PermissionDenied => "permission denied",
            Self::ReadOnly => "read-only transaction or server",
            Self::Migration => "migration failed",
            Self::Clone => "clone failed",
            Self::Move => "move failed",
            Self::RowsFile => "file of rows failed",
            Self::Archive => "archive failed",
            Self::Merge => "merge refused",
            Self::Seed => "seed failed",
            Self::Hook => "hook failed",
        }
    }
}

impl From<ParseTenantIdError> for Error {
    fn from(error: ParseTenantIdError) -> Self {
        // The message includes the parser's text, which never repeats the whole input.
        Self::new(ErrorKind::InvalidTenantId, error.to_string()).with_source(error)
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<Error> for sqlx::Error {
    fn from(error: Error) -> Self {
        match (error.kind(), &error.0.source) {
            // Callers match on this variant. The pool has already logged the details that it cannot
            // carry.
            (ErrorKind::Timeout, None) => Self::PoolTimedOut,
            (ErrorKind::Closed, None) => Self::PoolClosed,
            // Of the variants that can wrap an error, the one whose own message misleads least.
            _ => Self::Io(io::Error::other(error)),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let error = match error {
            sqlx::Error::Io(inner) => match inner.downcast::<Self>() {
                Ok(own) => return own,
                Err(lost) => sqlx::Error::Io(lost),
            },
            other => other,
        };
        let told = Self::of_sqlx(&error);
        match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => told,
            error => told.with_source(error),
        }
    }
}

impl Error {
    /// Describes an sqlx error without keeping it as the source.
    fn of_sqlx(error: &sqlx::Error) -> Self {
        let kind = ErrorKind::of_sqlx(error);
        match error {
            sqlx::Error::PoolTimedOut => {
                Self::new(kind, "waiting for a connection").with_retry_after(RETRY_AFTER)
            }
            sqlx::Error::PoolClosed => Self::new(kind, "taking a connection"),
            _ if class_of(error) == ErrorClass::ClusterNode => {
                let attempted = "a node of the Citus cluster does not answer its coordinator";
                Self::new(kind, attempted).with_retry_after(RETRY_AFTER)
            }
            _ => Self::new(kind, "running a statement"),
        }
    }
}

impl ErrorKind {
    /// Classifies an sqlx error.
    fn of_sqlx(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_) => own(error).map_or(Self::Unavailable, Error::kind),
            sqlx::Error::Tls(_) => Self::Unavailable,
            sqlx::Error::PoolTimedOut => Self::Timeout,
            sqlx::Error::PoolClosed => Self::Closed,
            sqlx::Error::RowNotFound => Self::RowNotFound,
            other if has_code(other, IDLE_IN_TRANSACTION) => Self::IdleInTransaction,
            other if is_fatal(other) => Self::Unavailable,
            other if class_of(other) == ErrorClass::ClusterNode => Self::Unavailable,
            other => {
                let code = other.as_database_error().and_then(|error| error.code());
                code.map_or(Self::Database, |code| Self::of_sqlstate(&code))
            }
        }
    }
}

/// Returns the error of this crate that travels inside an sqlx error.
pub(crate) fn own(error: &sqlx::Error) -> Option<&Error> {
    match error {
        sqlx::Error::Io(inner) => inner.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Returns `true` if a statement tried to write where only reads are allowed.
pub(crate) fn is_read_only(error: &sqlx::Error) -> bool {
    has_code(error, READ_ONLY)
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some(code)
}

const READ_ONLY: &str = "25006";

/// SQLSTATE with which the server ends a session whose transaction was idle for too long.
const IDLE_IN_TRANSACTION: &str = "25P03";

/// Returns `true` if the server ended the session with this error: it is shutting down, was told to
/// end the session, or is out of connection slots.
fn is_fatal(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref());
    error.is_some_and(|error: &PgDatabaseError| {
        matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)
    })
}

/// How long a caller should wait before it tries again, unless more is known: the `Retry-After` of most responses
/// with status 503.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_way_through_sqlx() {
        let id = TenantId::parse("acme").unwrap();
        for kind in [
            ErrorKind::Overloaded,
            ErrorKind::Unavailable,
            ErrorKind::TransactionPooler,
            ErrorKind::Catalog,
            ErrorKind::Database,
        ] {
            let error = Error::new(kind, "x").with_tenant(&id).with_retry_after(RETRY_AFTER);
            let error = error.with_source("y").with_class(Some(ErrorClass::Shutdown));
            let (text, class) = (error.to_string(), error.class());
            let through = Error::from(sqlx::Error::from(error));
            assert_eq!((through.kind(), through.tenant()), (kind, Some(&id)));
            assert_eq!(through.retry_after(), Some(RETRY_AFTER));
            assert_eq!((through.to_string(), through.class()), (text, class));
            assert_eq!(through.source().map(ToString::to_string), Some("y".into()));
        }
    }

    #[test]
    fn is_what_sqlx_s_pool_says_where_there_is_such_a_thing() {
        let id = TenantId::parse("acme").unwrap();
        let timeout = Error::new(ErrorKind::Timeout, "waited 5s").with_tenant(&id);
        let timeout = sqlx::Error::from(timeout.with_retry_after(RETRY_AFTER));
        assert!(matches!(timeout, sqlx::Error::PoolTimedOut), "{timeout:?}");
        let timeout = Error::from(timeout);
        assert_eq!(
            (timeout.kind(), timeout.retry_after()),
            (ErrorKind::Timeout, Some(RETRY_AFTER))
        );
        assert_eq!((timeout.class(), timeout.is_transient()), (ErrorClass::Pool, true));
        assert_eq!(timeout.to_string(), "no connection in time: waiting for a connection");

        let closed = sqlx::Error::from(Error::new(ErrorKind::Closed, "taking a connection"));
        assert!(matches!(closed, sqlx::Error::PoolClosed), "{closed:?}");
        let closed = Error::from(closed);
        assert_eq!((closed.kind(), closed.is_transient()), (ErrorKind::Closed, false));

        // Details that the variant cannot carry are not lost.
        let ended = Error::new(ErrorKind::Closed, "x").with_source("the runtime has ended");
        let ended = Error::from(sqlx::Error::from(ended));
        assert_eq!(ended.source().map(ToString::to_string), Some("the runtime has ended".into()));
    }

    #[test]
    fn speaks_for_itself_inside_sqlx() {
        let error = sqlx::Error::from(Error::new(ErrorKind::Overloaded, "100 wait already"));
        let told =
            "error communicating with database: too many requests are waiting: 100 wait already";
        assert_eq!(error.to_string(), told);
        assert_eq!(own(&error).map(Error::kind), Some(ErrorKind::Overloaded));
    }

    #[test]
    fn says_what_whose_where_and_doing_what() {
        let id = TenantId::parse("acme").unwrap();
        let error = Error::new(ErrorKind::Timeout, "waited 5s").with_tenant(&id);
        assert_eq!(error.to_string(), "no connection in time (tenant acme): waited 5s");
        let error = error.with_server(&"eu-1".into()).with_server(&"main".into());
        let told = "no connection in time (tenant acme, server eu-1): waited 5s";
        assert_eq!((error.to_string(), error.server()), (told.to_owned(), Some("eu-1")));
        assert_eq!(error.again().to_string(), "no connection in time (server eu-1): waited 5s");
        let named = Error::new(ErrorKind::Unavailable, "server eu-1 does not answer");
        let named = named.with_server(&"eu-1".into());
        assert_eq!(named.to_string(), "database unavailable: server eu-1 does not answer");
    }
}
