//! What is done for one tenant. No statement names a tenant or a schema, and nobody but the caller
//! knows whether a request, a spawned task or a job is behind it.

use tenantry::{Error, TenantDb};

/// Adds up the orders.
pub(crate) async fn total(db: &TenantDb) -> Result<i64, Error> {
    let query = sqlx::query_scalar("select coalesce(sum(amount), 0)::bigint from orders");
    Ok(query.fetch_one(db).await?)
}

/// Writes the invoice that a job asks for. A second time it changes nothing, for a queue can promise
/// that a job is run at least once, and not that it is run only once.
pub(crate) async fn write_invoice(db: &TenantDb, job: i64) -> Result<i64, Error> {
    let query = sqlx::query_scalar(
        "insert into invoices (job, total)
         select $1, coalesce(sum(amount), 0) from orders
         on conflict (job) do update set job = excluded.job
         returning total",
    );
    Ok(query.bind(job).fetch_one(db).await?)
}
