//! The work itself. No statement names a tenant or a schema.

use sqlx::PgConnection;
use tenantry::TenantDb;

/// Places an order, atomically with the job that writes its invoice.
pub(crate) async fn place(db: &TenantDb, amount: i64) -> sqlx::Result<()> {
    db.transaction(async |tx| {
        let order: i64 = sqlx::query_scalar("insert into orders (amount) values ($1) returning id")
            .bind(amount)
            .fetch_one(&mut **tx)
            .await?;
        sqlx::query("insert into jobs (order_id) values ($1)")
            .bind(order)
            .execute(&mut **tx)
            .await?;
        Ok(())
    })
    .await
}

/// Writes the invoice of an order.
pub(crate) async fn invoice(connection: &mut PgConnection, order: i64) -> sqlx::Result<()> {
    sqlx::query("insert into invoices select id, amount from orders where id = $1")
        .bind(order)
        .execute(connection)
        .await?;
    Ok(())
}
