//! A server with the schemas of many tenants, all with the same tables.

use std::str::FromStr;

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tenantry::{FixedCatalog, TenantId, TenantManager, TenantRecord, migrate::MigrateOptions};
use tenantry_devdb::DevServer;

use super::files::Files;
use crate::{failure::Failure, trusted};

/// Schemas that are created or changed in one transaction. Every table holds locks until its end.
const BATCH: usize = 50;

/// Tenants that are migrated at a time.
pub(super) const CONCURRENCY: usize = 4;

/// A server of its own, and its tenants.
pub(super) struct Schemas {
    server: DevServer,
    url: String,
    pub(super) tenants: Vec<String>,
}

impl Schemas {
    /// Starts a server, with `fsync` on or off, and creates so many tenants of ten tables.
    pub(super) async fn create(tenants: usize, fsync: &str) -> Result<Self, Failure> {
        let server = DevServer::builder()
            .setting("autovacuum", "off")
            .setting("fsync", fsync)
            .start()
            .await?;
        let url = server.create_database("migrate").await?;
        let tenants = (0..tenants).map(|number| format!("t{number:05}")).collect();
        let schemas = Self { server, url, tenants };
        eprintln!("creating {} tenants, with fsync {fsync}", schemas.tenants.len());
        schemas.in_batches(|tenant| format!("create schema tenant_{tenant};")).await?;
        let manager = schemas.manager()?;
        let migrator = manager.migrator().tenants(Files::ten_tables()?.migrations()?);
        let report = migrator.migrate_all(MigrateOptions::default()).await?;
        manager.close().await;
        if report.is_success() { Ok(schemas) } else { Err(report.to_string().into()) }
    }

    /// Makes a manager that has no connection yet.
    pub(super) fn manager(&self) -> Result<TenantManager, Failure> {
        Ok(TenantManager::builder(&self.url).build()?)
    }

    /// Makes a manager of the first so many tenants, which connects through a port of this machine.
    pub(super) fn manager_of(&self, tenants: usize, port: u16) -> Result<TenantManager, Failure> {
        let connect = PgConnectOptions::from_str(&self.url)?.host("127.0.0.1").port(port);
        let records = self.tenants.iter().take(tenants);
        let records = records.map(|id| TenantId::parse(id).map(TenantRecord::new));
        let catalog: FixedCatalog = records.collect::<Result<_, _>>()?;
        Ok(TenantManager::builder_with(connect).catalog(catalog).build()?)
    }

    pub(super) fn port(&self) -> u16 {
        self.server.port()
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn version(&self) -> String {
        self.server.version().to_string()
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, Failure> {
        Ok(PgConnection::connect(&self.url).await?)
    }

    /// Runs statements for all tenants, in transactions that the server's lock table has room for.
    pub(super) async fn in_batches(&self, sql: impl Fn(&str) -> String) -> Result<(), Failure> {
        let mut conn = self.connect().await?;
        for batch in self.tenants.chunks(BATCH) {
            trusted::run(&mut conn, batch.iter().map(|tenant| sql(tenant)).collect()).await?;
        }
        conn.close().await?;
        Ok(())
    }

    /// Takes the change back in all schemas, and says in how many of them it was run how often.
    pub(super) async fn undo_change(&self) -> Result<Ran, Failure> {
        let mut conn = self.connect().await?;
        let mut ran = Ran::default();
        for batch in self.tenants.chunks(BATCH) {
            let counts = batch
                .iter()
                .map(|tenant| format!("select (select count(*) from tenant_{tenant}.ran)"));
            let counts = counts.collect::<Vec<_>>().join(" union all ");
            let counts: Vec<i64> = sqlx::query_scalar(trusted::trusted(counts))
                .persistent(false)
                .fetch_all(&mut conn)
                .await?;
            ran.once += counts.iter().filter(|count| **count == 1).count();
            ran.more += counts.iter().filter(|count| **count > 1).count();
            let undo = batch.iter().map(|tenant| {
                format!(
                    "alter table tenant_{tenant}.t0 drop column extra; \
                     delete from tenant_{tenant}.ran; \
                     delete from tenant_{tenant}._sqlx_migrations where version = 2;"
                )
            });
            trusted::run(&mut conn, undo.collect()).await?;
        }
        conn.close().await?;
        Ok(ran)
    }

    pub(super) async fn stop(self) {
        self.server.close().await;
    }
}

/// In how many schemas a file was run once, and in how many more often.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ran {
    pub(super) once: usize,
    pub(super) more: usize,
}
