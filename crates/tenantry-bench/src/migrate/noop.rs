//! A run without pending migrations, which is what most deploys are.

use std::time::Instant;

use serde::Serialize;
use sqlx::postgres::PgSslMode;
use tenantry::TenantManager;

use super::{
    checked, counter::Counter, files::Files, manager, options, schemas::Schemas, sqlx_loop,
};
use crate::{
    failure::Failure,
    times::{self, Times},
};

/// The number of statements that a server executed for one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Statements {
    pub(crate) tenants: usize,
    pub(crate) statements: u64,
}

impl Statements {
    pub(super) fn per_1000(&self) -> f64 {
        self.statements as f64 * 1_000.0 / self.tenants as f64
    }
}

/// Each round has a new manager without connections or cache entries.
pub(super) async fn run(schemas: &Schemas, rounds: u32) -> Result<Vec<Times>, Failure> {
    times::run("noop", &["tenantry", "sqlx"], rounds, async |contender, _| {
        if contender == 1 {
            let began = Instant::now();
            let migrator = Files::Old.migrator();
            sqlx_loop::one_connection(schemas.options(), schemas.tenants(), &migrator).await?;
            return Ok(began.elapsed());
        }
        let manager = manager(schemas)?;
        let migrator = manager.migrator().tenants(Files::Old.migrations()?);
        let began = Instant::now();
        let report = checked(migrator.migrate_all(options()).await?)?;
        let took = began.elapsed();
        manager.close().await;
        if report.up_to_date == schemas.tenants().len() {
            Ok(took)
        } else {
            Err(something_was_done())
        }
    })
    .await
}

/// Counts the statements of a run over some tenants, over more, and over all.
pub(super) async fn count(schemas: &Schemas) -> Result<Vec<Statements>, Failure> {
    let all = schemas.tenants().len();
    let mut counts = Vec::new();
    for tenants in [all / 4, all / 2, all] {
        eprintln!("noop: counting the statements for {tenants} tenants");
        counts.push(count_for(schemas, tenants).await?);
    }
    Ok(counts)
}

async fn count_for(schemas: &Schemas, tenants: usize) -> Result<Statements, Failure> {
    let counter = Counter::before(schemas.port()).await?;
    let server = schemas.options().clone().host("127.0.0.1").port(counter.port());
    let manager = TenantManager::builder_with(server.ssl_mode(PgSslMode::Disable)).build()?;
    let migrator = manager.migrator().tenants(Files::Old.migrations()?);
    let report = if tenants == schemas.tenants().len() {
        migrator.migrate_all(options()).await?
    } else {
        migrator.migrate(&schemas.tenants()[..tenants], options()).await?
    };
    let statements = counter.statements();
    manager.close().await;
    if checked(report)?.up_to_date != tenants {
        return Err(something_was_done());
    }
    Ok(Statements { tenants, statements })
}

fn something_was_done() -> Failure {
    "there was nothing to do, and something was done".into()
}
