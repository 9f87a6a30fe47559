// Compiles: the crates that the mistakes are made with belong together.

use actix_web::{App, web};
use tenantry_actix::{Db, DbError, TenantMiddleware};

async fn count(Db(db): Db) -> Result<String, DbError> {
    let count: i64 = sqlx::query_scalar("select 1::bigint").fetch_one(&db).await?;
    Ok(count.to_string())
}

pub fn app(manager: tenantry::TenantManager) {
    let _ = App::new().wrap(TenantMiddleware::new(manager)).route("/", web::get().to(count));
}
