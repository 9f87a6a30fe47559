//! A tenant reaches for the rows of another one.

use futures_util::TryStreamExt;
use sqlx::{Executor, SqlStr, postgres::PgRow, raw_sql};

use super::{
    super::super::{
        finding::{Attacked, Finding, Stop, code_of},
        ground::Ground,
        row_tenants::{RowTenant, RowTenants},
    },
    turns::owners,
};

/// One statement of the attacker.
#[derive(Debug, Clone, Copy)]
pub(in crate::proof) struct Attempt {
    pub(in crate::proof) sql: &'static str,
    then: Then,
}

/// What has to become of it, besides that the victim's rows stay the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The rows that it returns are the attacker's own, if there are any.
    OwnRows,
    /// The server refuses it.
    Refused,
}

const fn own(sql: &'static str) -> Attempt {
    Attempt { sql, then: Then::OwnRows }
}

const fn refused(sql: &'static str) -> Attempt {
    Attempt { sql, then: Then::Refused }
}

pub(in crate::proof) const ATTEMPTS: &[Attempt] = &[
    own("select {column}::text from people where {column} = {key}"),
    own("select {column}::text from people where id = {row}"),
    own("select {column}::text from people for update"),
    own("select p.{column}::text from people p left join visits v on v.person_id <> p.id"),
    own("select {column}::text from people where reveal({column}::text, {own})"),
    own("select max({column}::text) from people group by {column}"),
    own("update people set email = 'taken' where id = {row} returning {column}::text"),
    own("update people set email = 'taken' where {column} = {key} returning {column}::text"),
    own("delete from people where id = {row} returning {column}::text"),
    own("with gone as (delete from visits where person_id = {row} returning {column}) \
         select {column}::text from gone"),
    refused("insert into people ({column}, email) values ({key}, 'planted')"),
    refused("update people set {column} = {key}"),
    refused("insert into visits ({column}, person_id) values ({key}, {row})"),
    refused(
        "insert into people ({column}, id, email) values ({key}, {row}, 'taken') \
         on conflict ({column}, id) do update set email = excluded.email",
    ),
    refused(
        "insert into people ({column}, id, email) values ({key}, {row}, {key}) on conflict do nothing",
    ),
    REFERENCE,
];

/// Both tenant columns are part of the key, so a row cannot refer to another tenant's: with another one than the
/// policies.
pub(in crate::proof) const REFERENCE: Attempt =
    refused("insert into visits (person_id) values ({row})");

/// Policies do not restrict it: only that it is not granted.
const TRUNCATE: Attempt = refused("truncate visits, people");

/// How a statement is sent.
#[derive(Debug, Clone, Copy)]
pub(in crate::proof) enum Way {
    Prepared,
    Text,
    Lease,
    Transaction,
}

pub(in crate::proof) const WAYS: [Way; 4] =
    [Way::Prepared, Way::Text, Way::Lease, Way::Transaction];

/// Lets each tenant make every attempt on the other, in every way.
pub(in crate::proof) async fn run(ground: &Ground<'_>) -> Attacked {
    let rows = ground.rows()?;
    let mut tried: u64 = 0;
    let truncate = rows.are_not_owner.then_some(TRUNCATE);
    for _ in 0..ground.options.plantings() {
        for attempt in ATTEMPTS.iter().copied().chain(truncate) {
            for way in WAYS {
                for (attacker, victim) in rows.pairs() {
                    tried += 1;
                    attack(ground, rows, attempt, way, attacker, victim).await?;
                }
            }
        }
        for (attacker, victim) in rows.pairs() {
            tried += 2;
            copy(ground, rows, attacker, victim).await?;
        }
    }
    let seen = format!(
        "{tried} attempts at rows of the other tenant: none returned, changed or added one of them"
    );
    Ok(Finding { seen, rounds: tried })
}

async fn attack(
    ground: &Ground<'_>,
    rows: &RowTenants,
    attempt: Attempt,
    way: Way,
    attacker: &RowTenant,
    victim: &RowTenant,
) -> Result<(), Stop> {
    rows.furnish().await?;
    let before = rows.standing(victim).await?;
    let sql = rows.fill(attempt.sql, attacker, victim).finish();
    let answer = send(&attacker.db, sql, way).await?;
    let (id, sql) = (attacker.db.tenant().id(), attempt.sql);
    let leak = |what: String| ground.leak(format!("{id} {what} with {sql:?} ({way:?})"));
    match (answer, attempt.then) {
        (Ok(found), Then::OwnRows) => {
            let others = owners(&found)?;
            if others.split(", ").any(|owner| !owner.is_empty() && owner != attacker.key) {
                leak(format!("read rows of {others}"));
            }
        }
        (Ok(_), Then::Refused) => leak("was not refused".into()),
        (Err(error), then) => {
            let code = code_of(error)?;
            match (code.get(..11).unwrap_or_default(), then) {
                ("error 42501" | "error 23503", Then::Refused) => {}
                ("error P0001" | "error 23503", Then::OwnRows) => leak(format!("met {code:?}")),
                _ => return Err(Stop::new(format!("{sql:?} failed: {code}"))),
            }
        }
    }
    let after = rows.standing(victim).await?;
    if after != before {
        leak(format!("made the victim's rows {after:?} instead of {before:?}"));
    }
    Ok(())
}

async fn send(
    db: &crate::db::TenantDb,
    sql: SqlStr,
    way: Way,
) -> Result<sqlx::Result<Vec<PgRow>>, Stop> {
    Ok(match way {
        Way::Prepared => sqlx::query(sql).fetch_all(db).await,
        Way::Text => raw_sql(sql).fetch_all(db).await,
        Way::Lease => db.acquire().await?.fetch_all(sqlx::query(sql)).await,
        Way::Transaction => {
            let mut tx = db.begin().await?;
            let answer = tx.fetch_all(sqlx::query(sql)).await;
            match answer.is_ok() {
                true => tx.commit().await?,
                false => tx.rollback().await?,
            }
            answer
        }
    })
}

/// `copy to` has to be filtered, and `copy from` refused.
async fn copy(
    ground: &Ground<'_>,
    rows: &RowTenants,
    attacker: &RowTenant,
    victim: &RowTenant,
) -> Result<(), Stop> {
    rows.furnish().await?;
    let before = rows.standing(victim).await?;
    let id = attacker.db.tenant().id();
    let mut lease = attacker.db.acquire().await?;
    let out = rows.fill("copy people ({column}) to stdout", attacker, victim).finish();
    let parts: Vec<_> = lease.copy_out_raw(out.as_str()).await?.try_collect().await?;
    let copied = String::from_utf8_lossy(&parts.concat()).into_owned();
    if copied.lines().any(|owner| owner != attacker.key) {
        ground.leak(format!("{id} copied rows of {:?}", copied.lines().collect::<Vec<_>>()));
    }
    let into = rows.fill("copy people ({column}, email) from stdin", attacker, victim).finish();
    if let Ok(mut copy) = lease.copy_in_raw(into.as_str()).await {
        copy.send(format!("{}\tplanted\n", victim.key).into_bytes()).await?;
        if copy.finish().await.is_ok() {
            ground.leak(format!("{id} copied a row of {} into the table", victim.key));
        }
    }
    drop(lease);
    let after = rows.standing(victim).await?;
    if after != before {
        ground.leak(format!("{id} made the victim's rows {after:?} by copy"));
    }
    Ok(())
}
