//! Invoices: transactions, and functions that take any executor.

use axum::{Extension as State, Json, extract::Path, http::StatusCode};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgExecutor, Postgres, Transaction};

use crate::{error::AppError, state::AppState};

#[derive(Serialize, FromRow)]
pub(crate) struct Invoice {
    id: i64,
    currency: String,
    cents: i64,
    paid: bool,
}

#[derive(Deserialize)]
pub(crate) struct Line {
    description: String,
    cents: i64,
}

pub(crate) async fn list(
    State(state): State<AppState>,
    Path(customer): Path<i64>,
) -> Result<Json<Vec<Invoice>>, AppError> {
    Ok(Json(of_customer(&state.db, customer).await?))
}

pub(crate) async fn create(
    State(state): State<AppState>,
    Path(customer): Path<i64>,
    Json(lines): Json<Vec<Line>>,
) -> Result<StatusCode, AppError> {
    let mut tx = state.db.begin().await?;
    let invoice = "insert into invoices (customer_id, currency) values ($1, $2) returning id";
    let invoice: i64 = sqlx::query_scalar(invoice)
        .bind(customer)
        .bind(state.settings.currency)
        .fetch_one(&mut *tx)
        .await?;
    for line in lines {
        sqlx::query("insert into invoice_lines values ($1, $2, $3)")
            .bind(invoice)
            .bind(line.description)
            .bind(line.cents)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(StatusCode::CREATED)
}

pub(crate) async fn pay(
    State(state): State<AppState>,
    Path(invoice): Path<i64>,
) -> Result<StatusCode, AppError> {
    let paid = state.db.transaction(async |tx| mark_paid(tx, invoice).await).await?;
    if paid { Ok(StatusCode::NO_CONTENT) } else { Err(AppError::NotFound) }
}

async fn mark_paid(tx: &mut Transaction<'_, Postgres>, invoice: i64) -> sqlx::Result<bool> {
    let paid = sqlx::query("update invoices set paid = true where id = $1 and not paid");
    Ok(paid.bind(invoice).execute(&mut **tx).await?.rows_affected() == 1)
}

async fn of_customer(db: impl PgExecutor<'_>, customer: i64) -> sqlx::Result<Vec<Invoice>> {
    let invoices = sqlx::query_as(
        "select id, currency, coalesce(sum(cents), 0)::bigint as cents, paid
         from invoices left join invoice_lines on invoice_id = id
         where customer_id = $1 group by id order by id",
    );
    invoices.bind(customer).fetch_all(db).await
}
