//! A run with nothing to do.

use std::time::Instant;

use serde::Serialize;
use tenantry::migrate::MigrateOptions;

use super::{counter::Counter, files::Files, schemas::Schemas};
use crate::failure::Failure;

/// What the server has run for a run with nothing to do.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Statements {
    tenants: usize,
    statements: u64,
}

impl Statements {
    pub(super) fn per_1000(&self) -> f64 {
        self.statements as f64 * 1_000.0 / self.tenants as f64
    }
}

/// Migrates all tenants when there is nothing to do, each time with a manager that has no connection
/// yet, and returns the milliseconds.
pub(super) async fn run(schemas: &Schemas, rounds: u32) -> Result<Vec<f64>, Failure> {
    let files = Files::ten_tables()?;
    let mut times = Vec::new();
    for round in 0..rounds {
        eprintln!("noop: round {} of {rounds}", round + 1);
        let manager = schemas.manager()?;
        let migrator = manager.migrator().tenants(files.migrations()?);
        let began = Instant::now();
        let report = migrator.migrate_all(MigrateOptions::default()).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        if report.up_to_date != schemas.tenants.len() {
            return Err(report.to_string().into());
        }
        manager.close().await;
    }
    Ok(times)
}

/// Counts the statements of such a run over the first so many tenants, those for opening connections and
/// binding them included.
pub(super) async fn statements(schemas: &Schemas, tenants: usize) -> Result<Statements, Failure> {
    eprintln!("noop: counting the statements for {tenants} tenants");
    let files = Files::ten_tables()?;
    let counter = Counter::before(schemas.port()).await?;
    let manager = schemas.manager_of(tenants, counter.port)?;
    let migrator = manager.migrator().tenants(files.migrations()?);
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    if report.up_to_date != tenants {
        return Err(report.to_string().into());
    }
    manager.close().await;
    Ok(Statements { tenants, statements: counter.commands() })
}
