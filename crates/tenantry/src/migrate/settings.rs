//! The settings of the session in which files run.

use std::time::Duration;

use sqlx::{Executor, SqlStr};

use super::{Failure, survey::run};
use crate::{pool::Lease, sql::Sql};

/// Appends the timeouts for the following statements.
pub(crate) fn set_limits(
    sql: &mut Sql,
    set: &'static str,
    lock: Duration,
    statement: Option<Duration>,
) {
    limit_locks(sql, set, lock);
    // Zero means no limit, overriding any setting of the database or the role.
    let statement = statement.map_or(0, millis);
    sql.text(set).text("statement_timeout = ").number(statement).text("; ");
}

/// Appends the lock timeout for the following statements.
pub(super) fn limit_locks(sql: &mut Sql, set: &'static str, limit: Duration) {
    sql.text(set).text("lock_timeout = ").number(millis(limit)).text("; ");
}

/// Returns a limit as the server counts it, in an i32.
fn millis(limit: Duration) -> u64 {
    let most = u64::from(i32::MAX.unsigned_abs());
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).clamp(1, most)
}

/// Resets the client encoding, which an earlier file may have changed, so that the server reads the text correctly.
pub(super) async fn reset_encoding(lease: &mut Lease, sql: &SqlStr) -> Result<(), Failure> {
    if sql.as_str().is_ascii() {
        return Ok(());
    }
    let reset = "reset client_encoding";
    run(lease, async |conn| conn.execute(sqlx::raw_sql(reset)).await.map(drop)).await
}
