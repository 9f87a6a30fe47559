//! The database of another application.

use sqlx::{Connection, PgConnection};

/// Creates the database to adopt, unless it exists.
pub(crate) async fn make(url: &str) -> sqlx::Result<()> {
    let mut conn = PgConnection::connect(url).await?;
    let is_there = "select to_regclass('public.accounts') is not null";
    if !sqlx::query_scalar::<_, bool>(is_there).fetch_one(&mut conn).await? {
        // One message, so that it is one transaction.
        sqlx::raw_sql(include_str!("../rails.sql")).execute(&mut conn).await?;
    }
    conn.close().await
}
