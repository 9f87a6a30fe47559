use axum::{Json, extract::Path, http::StatusCode};
use serde::{Deserialize, Serialize};
use tenantry_axum::{Db, Mapped};

#[derive(Serialize)]
pub(crate) struct Order {
    id: i64,
    item: String,
    quantity: i32,
}

#[derive(Deserialize)]
pub(crate) struct NewOrder {
    item: String,
    quantity: i32,
}

pub(crate) async fn list(
    Db(db): Db,
    Path(customer): Path<i64>,
) -> Result<Json<Vec<Order>>, Mapped> {
    let query = sqlx::query_as!(
        Order,
        "select id, item, quantity from orders where customer_id = $1 order by id",
        customer
    );
    Ok(Json(query.fetch_all(&db).await?))
}

/// An unknown customer or a quantity of zero is a 422.
pub(crate) async fn create(
    Db(db): Db,
    Path(customer): Path<i64>,
    Json(new): Json<NewOrder>,
) -> Result<StatusCode, Mapped> {
    let query = sqlx::query!(
        "insert into orders (customer_id, item, quantity) values ($1, $2, $3)",
        customer,
        new.item,
        new.quantity
    );
    query.execute(&db).await?;
    Ok(StatusCode::CREATED)
}
