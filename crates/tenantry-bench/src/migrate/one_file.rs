//! One new file in the schemas of all tenants.

use std::time::Instant;

use super::{CONCURRENCY, checked, files::Files, manager, options, schemas::Schemas, sqlx_loop};
use crate::{
    times::{self, Times},
    {failure::Failure, rounds::Round},
};

/// Tenants that are migrated to warm up.
const FEW: usize = 50;

const CONTENDERS: [&str; 4] = ["tenantry", "sqlx", "sqlx_no_lock", "sqlx_no_lock_4"];

/// The time of each contender, and the figure.
#[derive(Debug)]
pub(super) struct OneFile {
    pub(super) times: Vec<Times>,
    pub(super) speedup: f64,
}

/// Has each contender apply the file to all tenants. It is reverted after each.
pub(super) async fn run(
    scenario: &str,
    schemas: &Schemas,
    rounds: u32,
) -> Result<OneFile, Failure> {
    let times = times::run(scenario, &CONTENDERS, rounds, async |contender, round| {
        let tenants = match round {
            Round::WarmUp => &schemas.tenants()[..schemas.tenants().len().min(FEW)],
            Round::Measured(_) => schemas.tenants(),
        };
        let (server, mut migrator) = (schemas.options(), Files::WithChange.migrator());
        migrator.set_locking(CONTENDERS[contender] == "sqlx");
        let began = Instant::now();
        match CONTENDERS[contender] {
            "tenantry" => by_tenantry(schemas, tenants, round).await?,
            "sqlx_no_lock_4" => {
                sqlx_loop::in_parallel(server, tenants, migrator, CONCURRENCY).await?;
            }
            _ => sqlx_loop::one_connection(server, tenants, &migrator).await?,
        }
        let took = began.elapsed();
        let changed = schemas.changed().await?;
        if changed != tenants.len() {
            return Err(format!("{changed} of {} tenants were changed", tenants.len()).into());
        }
        schemas.undo().await?;
        Ok(took)
    });
    let times = times.await?;
    let speedup = times::ratio(&times, "sqlx", "tenantry");
    Ok(OneFile { times, speedup })
}

async fn by_tenantry(schemas: &Schemas, tenants: &[String], round: Round) -> Result<(), Failure> {
    let manager = manager(schemas)?;
    let migrator = manager.migrator().tenants(Files::WithChange.migrations()?);
    let report = match round {
        Round::WarmUp => migrator.migrate(tenants, options()).await?,
        Round::Measured(_) => migrator.migrate_all(options()).await?,
    };
    manager.close().await;
    checked(report).map(drop)
}
