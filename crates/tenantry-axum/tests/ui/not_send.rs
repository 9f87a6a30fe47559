// A handler that keeps something across an `await` that must not leave its thread.
//~ error[E0277]: the trait bound
//~ #[axum::debug_handler]

use std::rc::Rc;

use axum::{Router, routing::get};
use tenantry_axum::{Db, DbError};

async fn count(Db(db): Db) -> Result<String, DbError> {
    let text = Rc::new(String::from("users: "));
    let count: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&db).await?;
    Ok(format!("{text}{count}"))
}

pub fn app() -> Router {
    Router::new().route("/", get(count))
}
