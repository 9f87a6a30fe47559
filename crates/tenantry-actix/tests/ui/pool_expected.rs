// A function that has not been ported yet.
//~ error[E0308]: mismatched types
//~ expected `&Pool<Postgres>`, found `&TenantDb`

use sqlx::PgPool;
use tenantry_actix::{Db, DbError};

async fn count(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from users").fetch_one(pool).await
}

pub async fn handler(Db(db): Db) -> Result<String, DbError> {
    Ok(count(&db).await?.to_string())
}
