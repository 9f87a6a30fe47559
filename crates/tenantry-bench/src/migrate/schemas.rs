use std::{str::FromStr, sync::Arc};

use parking_lot::Mutex;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tenantry_devdb::DevServer;
use tokio::task::JoinSet;

use super::files::{self, NEW, NEW_INDEX};
use crate::{
    failure::Failure,
    trusted::{self, trusted},
};

/// The number of schemas that are created or changed per transaction. Every table holds locks until its end.
const BATCH: usize = 50;

/// Catalogs that change with every migration, and would grow, since autovacuum is off.
const CATALOGS: [&str; 9] = [
    "pg_attrdef",
    "pg_attribute",
    "pg_class",
    "pg_constraint",
    "pg_depend",
    "pg_index",
    "pg_namespace",
    "pg_shdepend",
    "pg_type",
];

/// A dedicated server, with tenants that have all files except the new one.
pub(super) struct Schemas {
    server: DevServer,
    options: PgConnectOptions,
    tenants: Vec<String>,
}

/// The durability of a commit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Durability {
    /// The operating system.
    Nothing,
    /// The disk, as with the settings that a server has by default.
    OfADefault,
}

/// Returns the schema of a tenant.
pub(super) fn schema_of(tenant: &str) -> String {
    format!("tenant_{tenant}")
}

impl Schemas {
    pub(super) async fn start(tenants: usize, durability: Durability) -> Result<Self, Failure> {
        let mut server = DevServer::builder()
            // The default, which determines the size of the lock table.
            .setting("max_connections", "100")
            // It would run in the middle of a measurement, and differently in each.
            .setting("autovacuum", "off");
        if let Durability::OfADefault = durability {
            for (name, value) in [("fsync", "on"), ("full_page_writes", "on")] {
                server = server.setting(name, value);
            }
            server = server.setting("wal_level", "replica");
        }
        let server = server.start().await?;
        let options = PgConnectOptions::from_str(&server.create_database("migrate").await?)?;
        let tenants = (0..tenants).map(|number| format!("t{number:05}")).collect();
        let schemas = Self { server, options, tenants };
        eprintln!("creating {} tenants of 10 tables", schemas.tenants.len());
        schemas.in_batches(schemas.tenants(), files::create).await?;
        schemas.tidy().await?;
        Ok(schemas)
    }

    pub(super) async fn stop(self) {
        self.server.close().await;
    }

    /// Returns the version of the server.
    pub(super) fn version(&self) -> String {
        self.server.version().to_string()
    }

    pub(super) fn port(&self) -> u16 {
        self.server.port()
    }

    /// Returns `true` if the files are in memory, where waiting for the disk takes no time.
    pub(super) fn is_in_memory(&self) -> bool {
        self.server.data_dir().starts_with("/dev/shm")
    }

    /// Returns the connect options of all contenders.
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    pub(super) fn url(&self) -> String {
        self.server.database_url("migrate")
    }

    /// Returns the ids of all tenants.
    pub(super) fn tenants(&self) -> &[String] {
        &self.tenants
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, Failure> {
        Ok(PgConnection::connect_with(&self.options).await?)
    }

    /// Returns the number of schemas that have the new file's index.
    pub(super) async fn changed(&self) -> Result<usize, Failure> {
        let mut conn = self.connect().await?;
        let changed: i64 = sqlx::query_scalar("select count(*) from pg_class where relname = $1")
            .bind(NEW_INDEX)
            .fetch_one(&mut conn)
            .await?;
        conn.close().await?;
        Ok(usize::try_from(changed)?)
    }

    /// Returns for each tenant how many rows the new file has left.
    pub(super) async fn traces(&self) -> Result<Vec<i64>, Failure> {
        let mut conn = self.connect().await?;
        let mut traces = Vec::new();
        for batch in self.tenants.chunks(BATCH) {
            let counts = batch.iter().map(|tenant| {
                let schema = schema_of(tenant);
                format!("select count(*) from {schema}.audit where name = 'pinned'")
            });
            let sql = trusted(counts.collect::<Vec<_>>().join(" union all "));
            let counts = sqlx::query_scalar::<_, i64>(sql).persistent(false);
            traces.extend(counts.fetch_all(&mut conn).await?);
        }
        conn.close().await?;
        Ok(traces)
    }

    /// Reverts the new file by hand, wherever it was run.
    pub(super) async fn undo(&self) -> Result<(), Failure> {
        let undo = |schema: &str| {
            format!(
                "alter table {schema}.notes drop column if exists pinned; \
                 delete from {schema}.audit; \
                 delete from {schema}._sqlx_migrations where version = {NEW}; "
            )
        };
        self.in_batches(&self.tenants, undo).await?;
        // Records were edited by hand.
        let mut conn = self.connect().await?;
        trusted::run(&mut conn, "drop table if exists tenantry_migrated".to_owned()).await?;
        conn.close().await?;
        self.tidy().await
    }

    pub(super) async fn drop_tenants(&self, tenants: &[String]) -> Result<(), Failure> {
        self.in_batches(tenants, |schema| format!("drop schema {schema} cascade; ")).await?;
        self.tidy().await
    }

    /// Returns the number of tables in these tenants' schemas.
    pub(super) async fn tables(&self, tenants: &[String]) -> Result<usize, Failure> {
        let schemas: Vec<_> = tenants.iter().map(|tenant| schema_of(tenant)).collect();
        let mut conn = self.connect().await?;
        let tables: i64 =
            sqlx::query_scalar("select count(*) from pg_tables where schemaname = any ($1)")
                .bind(schemas)
                .fetch_one(&mut conn)
                .await?;
        conn.close().await?;
        Ok(usize::try_from(tables)?)
    }

    /// Does the later work of autovacuum and the checkpointer, outside the measured time.
    async fn tidy(&self) -> Result<(), Failure> {
        let mut conn = self.connect().await?;
        trusted::run(&mut conn, format!("vacuum (analyze) {}", CATALOGS.join(", "))).await?;
        trusted::run(&mut conn, "checkpoint".to_owned()).await?;
        conn.close().await?;
        Ok(())
    }

    /// Runs statements for tenants, on connections that each serve few of them.
    async fn in_batches(
        &self,
        tenants: &[String],
        sql: impl Fn(&str) -> String,
    ) -> Result<(), Failure> {
        let batch = |tenants: &[String]| -> String {
            tenants.iter().map(|tenant| sql(&schema_of(tenant))).collect()
        };
        let batches: Vec<_> = tenants.chunks(BATCH).map(batch).collect();
        let batches = Arc::new(Mutex::new(batches));
        let mut workers = JoinSet::new();
        for _ in 0..2 {
            let (batches, options) = (Arc::clone(&batches), self.options.clone());
            workers.spawn(async move {
                loop {
                    let next = batches.lock().pop();
                    let Some(batch) = next else { return Ok::<_, sqlx::Error>(()) };
                    let mut conn = PgConnection::connect_with(&options).await?;
                    trusted::run(&mut conn, batch).await?;
                    conn.close().await?;
                }
            });
        }
        while let Some(done) = workers.join_next().await {
            done??;
        }
        Ok(())
    }
}
