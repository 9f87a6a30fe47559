//! Two tenants take turns on one session, with the same statements over the same tables.

use sqlx::{Executor, Row, postgres::PgRow, raw_sql};

use super::super::super::{
    finding::{Attacked, Finding, Stop, code_of},
    ground::Ground,
    row_tenants::{RowTenant, RowTenants},
};

/// Statements that return the owners of the rows that they see.
const READS: &[&str] = &[
    "select {column}::text from people",
    "select {column}::text from people where email is not null for update",
    "select p.{column}::text from visits v join people p on p.id = v.person_id",
    "with seen as (select * from people) select {column}::text from seen",
    "select * from owners()",
    "select first_owner()",
    "update people set email = email returning {column}::text",
    "insert into people (id, email) values ({mine}, {own}) \
     on conflict ({column}, id) do update set email = excluded.email returning {column}::text",
];

/// A view with the privileges of the session, if the server has such views.
const VIEW: &str = "select owner from visitors";

const CURSOR: &str = "declare everything cursor for select {column}::text from people";

/// Reads the rows of each tenant in turn, in every way, with statements that are kept from one to the other.
pub(in crate::proof) async fn run(ground: &Ground<'_>) -> Attacked {
    let rows = ground.rows()?;
    rows.furnish().await?;
    let mut reads: u64 = 0;
    let has_view = raw_sql("select from visitors limit 0").execute(&rows.acme.db).await.is_ok();
    let all: Vec<_> = READS.iter().copied().chain(has_view.then_some(VIEW)).collect();
    for _ in 0..ground.options.rounds {
        for sql in &all {
            // A transaction keeps no statement that was prepared for another tenant, and passes none on.
            for (tenant, other) in rows.pairs().into_iter().cycle().take(4) {
                reads += 1;
                by_handle(ground, rows, sql, tenant, other).await?;
            }
            for (tenant, other) in rows.pairs() {
                reads += 1;
                in_transaction(ground, rows, sql, tenant, other).await?;
            }
        }
        for (tenant, other) in rows.pairs() {
            reads += 1;
            by_cursor(ground, rows, tenant, other).await?;
        }
    }
    let seen = format!("{reads} answers in turn, each of the tenant's own rows");
    Ok(Finding { seen, rounds: u64::from(ground.options.rounds) })
}

/// Runs a statement that stays prepared for the next tenant.
async fn by_handle(
    ground: &Ground<'_>,
    rows: &RowTenants,
    sql: &'static str,
    tenant: &RowTenant,
    other: &RowTenant,
) -> Result<(), Stop> {
    let statement = sqlx::query(rows.fill(sql, tenant, other).finish());
    let answer = statement.fetch_all(&tenant.db).await;
    compare(ground, tenant, sql, answer)
}

async fn in_transaction(
    ground: &Ground<'_>,
    rows: &RowTenants,
    sql: &'static str,
    tenant: &RowTenant,
    other: &RowTenant,
) -> Result<(), Stop> {
    let mut tx = tenant.db.begin().await?;
    let statement = sqlx::query(rows.fill(sql, tenant, other).finish());
    let answer = statement.fetch_all(&mut *tx).await;
    tx.rollback().await?;
    compare(ground, tenant, sql, answer)
}

async fn by_cursor(
    ground: &Ground<'_>,
    rows: &RowTenants,
    tenant: &RowTenant,
    other: &RowTenant,
) -> Result<(), Stop> {
    let mut tx = tenant.db.begin().await?;
    tx.execute(raw_sql(rows.fill(CURSOR, tenant, other).finish())).await?;
    let answer = tx.fetch_all(raw_sql("fetch all from everything")).await;
    tx.rollback().await?;
    compare(ground, tenant, CURSOR, answer)
}

/// Records an answer that is not exactly one row of the tenant.
fn compare(
    ground: &Ground<'_>,
    tenant: &RowTenant,
    sql: &str,
    answer: sqlx::Result<Vec<PgRow>>,
) -> Result<(), Stop> {
    let answer = match answer {
        Ok(rows) => owners(&rows)?,
        Err(error) => code_of(error)?,
    };
    if answer != tenant.key {
        let id = tenant.db.tenant().id();
        ground.leak(format!("{id} got {answer:?} instead of {:?} with {sql:?}", tenant.key));
    }
    Ok(())
}

/// Returns the owners in the first column of an answer.
pub(super) fn owners(rows: &[PgRow]) -> Result<String, Stop> {
    let owners = rows.iter().map(|row| row.try_get::<Option<String>, _>(0));
    let owners: Vec<_> = owners.collect::<sqlx::Result<_>>()?;
    Ok(owners.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join(", "))
}
