//! Details of the database's error for a refused statement.

use std::error::Error as StdError;

use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

use super::{Error, ErrorKind, of_worker::Names};

/// Returns `true` if a statement was refused because policies would hide rows from it, with `row_security` off. The
/// message depends on the server's language; the function that has refused it does not.
pub(crate) fn is_refused_by_policies(error: &sqlx::Error) -> bool {
    let answer = error.as_database_error();
    let answer = answer.and_then(|answer| answer.try_downcast_ref::<PgDatabaseError>());
    answer.is_some_and(|answer| {
        answer.code() == "42501" && answer.routine() == Some("check_enable_rls")
    })
}

/// Details to branch on when the database refuses a statement. Names are those of PostgreSQL
/// ([error fields](https://www.postgresql.org/docs/current/protocol-error-fields.html)). On a coordinator of Citus,
/// they are those of the tenant's tables, not of their shards, and come from the message, which must be in English.
impl Error {
    /// Returns the database error, if the database refused a statement. Branch on it; do not send
    /// it to a client.
    #[must_use]
    pub fn as_database_error(&self) -> Option<&dyn DatabaseError> {
        self.source()?.downcast_ref::<sqlx::Error>()?.as_database_error()
    }

    /// Returns the name of the violated constraint or unique index. PostgreSQL reports it for all
    /// violations except `not null`.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        let error = self.as_database_error()?;
        error.constraint().or_else(|| Names::of(error)?.constraint)
    }

    /// Returns the table of a violated constraint, without its schema. A worker of Citus does not report it for a key
    /// that exists already.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        let error = self.as_database_error()?;
        error.table().or_else(|| Names::of(error)?.table)
    }

    /// Returns the name of the column that must not be null.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        let error = self.as_database_error()?;
        let column = error.try_downcast_ref::<PgDatabaseError>()?.column();
        column.or_else(|| Names::of(error)?.column)
    }

    /// Returns `true` if the query expected a row and found none ([`sqlx::Error::RowNotFound`]).
    #[must_use]
    pub fn is_row_not_found(&self) -> bool {
        self.kind() == ErrorKind::RowNotFound
    }

    /// Returns `true` if a row with this key already exists.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        self.kind() == ErrorKind::UniqueViolation
    }

    /// Returns `true` if a row with this key already exists, according to the constraint or unique
    /// index of this name.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::Error;
    ///
    /// # async fn example(db: tenantry::TenantDb) -> Result<&'static str, Error> {
    /// let insert = sqlx::query("insert into users (email) values ('a@b.c')").execute(&db).await;
    /// match insert.map_err(Error::from) {
    ///     Ok(_) => Ok("welcome"),
    ///     Err(error) if error.is_unique_violation_of("users_email_key") => Ok("that email is taken"),
    ///     Err(error) => Err(error),
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_unique_violation_of(&self, constraint: &str) -> bool {
        self.is_unique_violation() && self.constraint() == Some(constraint)
    }

    /// Returns `true` if a referenced row does not exist, or a row is still referenced.
    #[must_use]
    pub fn is_foreign_key_violation(&self) -> bool {
        self.kind() == ErrorKind::ForeignKeyViolation
    }

    /// Returns `true` if a check constraint is violated.
    #[must_use]
    pub fn is_check_violation(&self) -> bool {
        self.kind() == ErrorKind::CheckViolation
    }
}
