//! Has the server read a text as one statement, which runs nothing.

use sqlx::{Executor, SqlStr, postgres::PgStatement, raw_sql};

use super::{RefusedStatement, refusal};
use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
    pool::Lease,
};

/// SQLSTATE of a text that is not one statement.
const SYNTAX_ERROR: &str = "42601";

/// Reads texts by the extended protocol, which takes one statement at a time.
pub(crate) struct Reader(Lease);

impl Reader {
    pub(crate) async fn new(fleet: &Fleet) -> Result<Self, Error> {
        let mut lease = fleet.system().acquire().await?;
        // As it is read later: whether a backslash is one decides where strings end.
        lease.execute(raw_sql("set standard_conforming_strings to on")).await?;
        Ok(Self(lease))
    }

    /// Refuses what is not one statement. Where something else is wrong, it is so for lack of a tenant's tables, or
    /// is told of each tenant: there is no statement then.
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

/// Refuses what should not be run on any tenant, by the keyword that it begins with.
pub(crate) fn check(statement: &str) -> Result<(), Error> {
    refusal::check(statement).map_err(refused)
}

pub(crate) fn refused(why: RefusedStatement) -> Error {
    Error::new(ErrorKind::Database, why.to_string()).with_source(why)
}
