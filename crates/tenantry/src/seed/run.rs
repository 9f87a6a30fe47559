//! Runs a seed in one schema.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sqlx::{PgConnection, Row, SqlStr};

use super::{
    Seed,
    confine::{confine, release},
    record::{self, Noted},
    turn::Turn,
    what::{BoxError, Repeat, What},
};
use crate::{
    catalog::Site,
    db::{TenantDb, TenantTransaction},
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::{Failure, Lint, body_in_transaction, check_sql},
    tenant::Ident,
};

/// The result of running a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    Seeded,
    Already,
}

/// Runs a seed in an open transaction, unless it runs outside one; then nothing is returned.
///
/// For a tenant that is isolated by row, it runs as `role`, the role of the tenant's sessions, with the tenant's key.
///
/// # Cancel safety
///
/// If dropped, the transaction must not be committed.
pub(crate) async fn in_transaction(
    seed: &Seed,
    site: &Site,
    role: Option<&Ident>,
    tx: &mut TenantTransaction,
) -> Result<Option<Ran>, Error> {
    if seed.runs_outside() {
        return Ok(None);
    }
    check_schema(tx, seed, site).await?;
    if seed.repeat == Repeat::Once {
        let noted = record::note(&mut *tx, site, &seed.name).await;
        match noted.map_err(|error| failed(seed, site, error))? {
            Noted::First => {}
            Noted::Already => return Ok(Some(Ran::Already)),
            Noted::Busy => return Err(busy(seed, site)),
        }
    }
    confine(tx, site, role).await.map_err(|error| failed(seed, site, error))?;
    let result = match &seed.what {
        What::InTransaction(run) => caught(run(tx)).await,
        What::Sql { sql, lint } => run_sql(seed, site, tx, sql, lint).await,
        What::Tenant(_) | What::Shared(_) => return Ok(None),
    };
    result.map_err(|error| failed(seed, site, error))?;
    release(tx, site).await.map_err(|error| failed(seed, site, error))?;
    Ok(Some(Ran::Seeded))
}

async fn run_sql(
    seed: &Seed,
    site: &Site,
    tx: &mut TenantTransaction,
    sql: &SqlStr,
    lint: &Lint,
) -> Result<(), BoxError> {
    check_sql(site, &seed.name, sql, lint)?;
    let run = sqlx::raw_sql(body_in_transaction(sql)).execute(&mut **tx).await;
    run.map(drop).map_err(|error| Failure::in_text(error, sql.as_str()).into())
}

/// Runs a seed that runs outside a transaction, on this database of the tenant or on one that is looked up. It is
/// recorded afterwards.
///
/// # Cancel safety
///
/// If dropped, the changes so far stay and are not recorded.
pub(crate) async fn outside(
    fleet: &Fleet,
    seed: &Seed,
    site: &Site,
    db: Option<&TenantDb>,
) -> Result<Ran, Error> {
    if has(fleet, seed, site).await? && seed.repeat == Repeat::Once {
        return Ok(Ran::Already);
    }
    let result = match (&seed.what, &site.tenant) {
        (What::Tenant(run), Some(tenant)) => {
            let db = match db {
                Some(db) => db.clone(),
                None => fleet.tenant(tenant).await?,
            };
            caught(run(db)).await
        }
        (What::Shared(run), None) => caught(run(fleet.shared().clone())).await,
        (What::Tenant(_), None) => Err("it seeds tenants, not the shared schema".into()),
        _ => Err("it seeds the shared schema, not tenants".into()),
    };
    result.map_err(|error| failed(seed, site, error))?;
    match seed.repeat {
        Repeat::Once => {
            let turn = Turn::new();
            loop {
                let noted = note(fleet, seed, site).await;
                if !turn.wait_after(&noted).await {
                    return noted;
                }
            }
        }
        Repeat::EveryTime => Ok(Ran::Seeded),
    }
}

/// Records that a seed was run.
async fn note(fleet: &Fleet, seed: &Seed, site: &Site) -> Result<Ran, Error> {
    let mut tx = TenantTransaction::open(fleet.lease_for(site).await?).await?;
    let noted = record::note(&mut tx, site, &seed.name).await;
    let ran = match noted.map_err(|error| failed(seed, site, error))? {
        Noted::First => Ran::Seeded,
        // Another session seeded it concurrently, and has finished first.
        Noted::Already => Ran::Already,
        Noted::Busy => return Err(busy(seed, site)),
    };
    tx.commit().await.map_err(|error| failed(seed, site, error))?;
    Ok(ran)
}

/// Checks that names are resolved in the schema: if the shared schema follows in the search path, they would be
/// resolved there after the schema was dropped.
async fn check_schema(conn: &mut PgConnection, seed: &Seed, site: &Site) -> Result<(), Error> {
    let current = sqlx::raw_sql("select pg_catalog.current_schema()::pg_catalog.text");
    let row = current.fetch_one(conn).await.map_err(|error| failed(seed, site, error))?;
    let schema: Option<String> = row.try_get(0).map_err(|error| failed(seed, site, error))?;
    match schema.as_deref() == Some(site.schema.as_str()) {
        true => Ok(()),
        false => Err(failed(seed, site, "the schema does not exist")),
    }
}

/// Awaits a seed, and converts a panic to an error.
pub(crate) async fn caught(
    seed: impl Future<Output = Result<(), BoxError>>,
) -> Result<(), BoxError> {
    let outcome = AssertUnwindSafe(seed).catch_unwind().await;
    outcome.unwrap_or_else(|_| Err("it panicked".into()))
}

async fn has(fleet: &Fleet, seed: &Seed, site: &Site) -> Result<bool, Error> {
    let mut lease = fleet.lease_for(site).await?;
    check_schema(&mut lease, seed, site).await?;
    let ensured = record::ensure_table(&mut lease, site).await;
    ensured.map_err(|error| failed(seed, site, error))?;
    let has = record::has(&mut lease, site, &seed.name).await;
    has.map_err(|error| failed(seed, site, error))
}

fn busy(seed: &Seed, site: &Site) -> Error {
    let attempted = format!("seed {:?}: another session is seeding the schema", seed.name);
    site.occupant.name(Error::new(ErrorKind::Busy, attempted))
}

fn failed(seed: &Seed, site: &Site, error: impl Into<BoxError>) -> Error {
    let attempted = format!("seed {:?}", seed.name);
    let error = error.into();
    let class = error.downcast_ref().and_then(Failure::class);
    site.occupant.name(Error::new(ErrorKind::Seed, attempted).with_class(class).with_source(error))
}
