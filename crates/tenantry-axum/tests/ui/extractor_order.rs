// What reads the body has to come last.
//~ error[E0277]: the trait bound
//~ #[axum::debug_handler]

use axum::{Router, routing::post};
use tenantry_axum::Db;

async fn create(_body: String, Db(_db): Db) {}

pub fn app() -> Router {
    Router::new().route("/", post(create))
}
