//! Runs a seed in one schema.

use sqlx::SqlStr;

use super::{
    Seed, record,
    what::{BoxError, Repeat, What},
};
use crate::{
    catalog::Site,
    db::TenantTransaction,
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::{Lint, check_sql, without_mark},
};

/// What came of running a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    Seeded,
    Already,
}

/// Runs a seed in a transaction that is open, unless it is one that runs outside; then nothing is
/// returned.
///
/// # Cancel safety
///
/// When dropped, the transaction must not be committed.
pub(crate) async fn in_transaction(
    fleet: &Fleet,
    seed: &Seed,
    site: &Site,
    tx: &mut TenantTransaction,
) -> Result<Option<Ran>, Error> {
    if seed.runs_outside() {
        return Ok(None);
    }
    if seed.repeat == Repeat::Once {
        let noted = record::note(&mut *tx, &site.schema, &seed.name).await;
        if !noted.map_err(|error| failed(seed, site, error))? {
            return Ok(Some(Ran::Already));
        }
    }
    let result = match &seed.what {
        What::InTransaction(run) => run(tx).await,
        What::Sql { sql, lint } => run_sql(fleet, seed, site, tx, sql, lint).await,
        What::Tenant(_) | What::Shared(_) => return Ok(None),
    };
    result.map_err(|error| failed(seed, site, error))?;
    Ok(Some(Ran::Seeded))
}

async fn run_sql(
    fleet: &Fleet,
    seed: &Seed,
    site: &Site,
    tx: &mut TenantTransaction,
    sql: &SqlStr,
    lint: &Lint,
) -> Result<(), BoxError> {
    check_sql(fleet, site, &seed.name, sql, lint)?;
    sqlx::raw_sql(without_mark(sql)).execute(&mut **tx).await?;
    Ok(())
}

/// Runs a seed that runs without a transaction. That it was run is recorded afterwards.
///
/// # Cancel safety
///
/// When dropped, what was done so far stays, and is not recorded.
pub(crate) async fn outside(fleet: &Fleet, seed: &Seed, site: &Site) -> Result<Ran, Error> {
    if seed.repeat == Repeat::Once && has(fleet, seed, site).await? {
        return Ok(Ran::Already);
    }
    let result = match (&seed.what, &site.tenant) {
        (What::Tenant(run), Some(tenant)) => run(fleet.tenant(tenant).await?).await,
        (What::Shared(run), None) => run(fleet.shared().clone()).await,
        (What::Tenant(_), None) => Err("it seeds tenants, and not the shared schema".into()),
        _ => Err("it seeds the shared schema, and not tenants".into()),
    };
    result.map_err(|error| failed(seed, site, error))?;
    if seed.repeat == Repeat::Once {
        let mut tx = TenantTransaction::open(fleet.lease_for(site).await?).await?;
        let noted = record::note(&mut tx, &site.schema, &seed.name).await;
        noted.map_err(|error| failed(seed, site, error))?;
        tx.commit().await.map_err(|error| failed(seed, site, error))?;
    }
    Ok(Ran::Seeded)
}

async fn has(fleet: &Fleet, seed: &Seed, site: &Site) -> Result<bool, Error> {
    let mut lease = fleet.lease_for(site).await?;
    let has = record::has(&mut lease, &site.schema, &seed.name).await;
    has.map_err(|error| failed(seed, site, error))
}

fn failed(seed: &Seed, site: &Site, error: impl Into<BoxError>) -> Error {
    let attempted = format!("seed {:?}", seed.name);
    site.occupant.name(Error::new(ErrorKind::Seed, attempted).with_source(error))
}
