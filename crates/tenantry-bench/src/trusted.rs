use sqlx::{Executor, PgConnection, SqlSafeStr, SqlStr, raw_sql};

/// Converts a text that was assembled from the benchmark's own constants and numbers to SQL.
#[expect(clippy::disallowed_methods, reason = "nothing in these texts comes from outside")]
pub(crate) fn trusted(sql: String) -> SqlStr {
    sqlx::AssertSqlSafe(sql).into_sql_str()
}

/// Runs a string of statements.
pub(crate) async fn run(conn: &mut PgConnection, sql: String) -> sqlx::Result<()> {
    conn.execute(raw_sql(trusted(sql))).await.map(drop)
}
