//! Lets the server parse a text as one statement, without running it.

use sqlx::{Executor, SqlStr, postgres::PgStatement, raw_sql};

use super::{RefusedStatement, refusal};
use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
    pool::Lease,
};

/// SQLSTATE of a text that is not one statement.
const SYNTAX_ERROR: &str = "42601";

/// Parses texts through the extended protocol, which accepts one statement at a time.
pub(crate) struct Reader(Lease);

impl Reader {
    pub(crate) async fn new(fleet: &Fleet) -> Result<Self, Error> {
        let mut lease = fleet.system().acquire().await?;
        // As in the later run: the setting decides whether a backslash escapes, and so where
        // strings end.
        lease.execute(raw_sql("set standard_conforming_strings to on")).await?;
        Ok(Self(lease))
    }

    /// Refuses a text that is not one statement. Other errors are caused by a tenant's missing
    /// tables, or are reported for each tenant: then the result is `None`.
    pub(crate) async fn read(&mut self, sql: &SqlStr) -> Result<Option<PgStatement>, Error> {
        match self.0.prepare(sql.clone()).await {
            Ok(statement) => Ok(Some(statement)),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(SYNTAX_ERROR) => {
                let message = error.message().to_owned();
                Err(refused(RefusedStatement::Unreadable { message }))
            }
            Err(sqlx::Error::Database(_) | sqlx::Error::TypeNotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Refuses, by its first keyword, a statement that must not run on any tenant.
pub(crate) fn check(statement: &str) -> Result<(), Error> {
    refusal::check(statement).map_err(refused)
}

pub(crate) fn refused(why: RefusedStatement) -> Error {
    Error::new(ErrorKind::Database, why.to_string()).with_source(why)
}
