use axum::{Json, http::StatusCode};
use serde::{Deserialize, Serialize};
use tenantry_axum::{Db, Mapped};

#[derive(Serialize)]
pub(crate) struct Customer {
    id: i64,
    email: String,
    name: String,
}

#[derive(Deserialize)]
pub(crate) struct NewCustomer {
    email: String,
    name: String,
}

pub(crate) async fn list(Db(db): Db) -> Result<Json<Vec<Customer>>, Mapped> {
    let query = sqlx::query_as!(Customer, "select id, email, name from customers order by id");
    Ok(Json(query.fetch_all(&db).await?))
}

/// A duplicate email is a 409, because the handler's errors are `Mapped`.
pub(crate) async fn create(
    Db(db): Db,
    Json(new): Json<NewCustomer>,
) -> Result<(StatusCode, Json<Customer>), Mapped> {
    let query = sqlx::query_as!(
        Customer,
        "insert into customers (email, name) values ($1, $2) returning id, email, name",
        new.email,
        new.name
    );
    Ok((StatusCode::CREATED, Json(query.fetch_one(&db).await?)))
}
