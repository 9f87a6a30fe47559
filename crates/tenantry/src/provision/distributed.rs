//! Copies in a Citus cluster: they are built as plain schemas, and distributed at the end.

use sqlx::PgConnection;

use crate::{
    citus::{Sharding, distribute_sql},
    error::Error,
    fleet::Fleet,
    sql::Sql,
    tenant::Ident,
};

/// Has the schema that the open transaction creates not distributed yet. Nothing on a server without Citus.
pub(super) async fn keep_plain(fleet: &Fleet, conn: &mut PgConnection) -> Result<(), Error> {
    let mut sql = Sql::default();
    Sharding::Plain.set(&mut sql, fleet.citus(conn).await?);
    if sql.len() > 0 {
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
    }
    Ok(())
}

/// Distributes a complete schema with its rows, in the transaction that creates it. Nothing on a server without Citus.
pub(crate) async fn distribute(
    fleet: &Fleet,
    conn: &mut PgConnection,
    schema: &Ident,
) -> Result<(), Error> {
    let Some(sql) = distribute_sql(fleet.citus(conn).await?, schema) else { return Ok(()) };
    sqlx::raw_sql(sql.finish()).execute(conn).await.map_err(|error| {
        Error::from(error)
            .attempting(format!("distributing the schema {schema} in the Citus cluster"))
    })?;
    Ok(())
}
