use std::str::FromStr;

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tenantry::TenantManager;
use tenantry_devdb::DevServer;

use crate::{failure::Failure, trusted};

/// The catalogs that clones write to. They would grow, since autovacuum is off.
const CATALOGS: [&str; 15] = [
    "pg_attrdef",
    "pg_attribute",
    "pg_class",
    "pg_constraint",
    "pg_depend",
    "pg_description",
    "pg_enum",
    "pg_index",
    "pg_namespace",
    "pg_proc",
    "pg_rewrite",
    "pg_sequence",
    "pg_shdepend",
    "pg_trigger",
    "pg_type",
];

/// A private server, with a database for each scenario.
///
/// It writes as much WAL as a server with default settings; only `fsync` is off.
pub(super) struct Server(DevServer);

impl Server {
    pub(super) async fn start() -> Result<Self, Failure> {
        let server = DevServer::builder()
            .setting("max_connections", "100")
            // It would run in the middle of a measurement, and differently in each.
            .setting("autovacuum", "off")
            // At `minimal`, rows of a table are not logged in the transaction that creates it, which would favor
            // contenders that create and fill the tables in the same transaction.
            .setting("wal_level", "replica")
            .setting("full_page_writes", "on")
            .start()
            .await?;
        Ok(Self(server))
    }

    pub(super) fn version(&self) -> String {
        self.0.version().to_string()
    }

    pub(super) async fn stop(self) {
        self.0.close().await;
    }

    /// Creates an empty database.
    pub(super) async fn database(&self, name: &str) -> Result<Database, Failure> {
        let url = self.0.create_database(name).await?;
        Ok(Database { options: PgConnectOptions::from_str(&url)?, url })
    }
}

pub(super) struct Database {
    options: PgConnectOptions,
    url: String,
}

impl Database {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, Failure> {
        Ok(PgConnection::connect_with(&self.options).await?)
    }

    /// Builds a manager with default settings, without any connection yet.
    pub(super) fn manager(&self) -> Result<TenantManager, Failure> {
        Ok(TenantManager::builder_with(self.options.clone()).build()?)
    }

    /// Runs a string of statements on a new connection.
    pub(super) async fn run(&self, sql: String) -> Result<(), Failure> {
        let mut conn = self.connect().await?;
        trusted::run(&mut conn, sql).await?;
        conn.close().await?;
        Ok(())
    }

    /// Reads one number.
    pub(super) async fn number(&self, sql: String) -> Result<u64, Failure> {
        let mut conn = self.connect().await?;
        let number: i64 = sqlx::query_scalar(trusted::trusted(sql)).fetch_one(&mut conn).await?;
        conn.close().await?;
        Ok(u64::try_from(number)?)
    }

    /// Counts the relations, constraints, defaults, comments, functions and types of a schema.
    pub(super) async fn objects(&self, schema: &str) -> Result<u64, Failure> {
        self.number(format!(
            "with relations as (select oid from pg_class where relnamespace = '{schema}'::regnamespace) \
             select (select count(*) from relations) \
               + (select count(*) from pg_constraint where connamespace = '{schema}'::regnamespace) \
               + (select count(*) from pg_attrdef where adrelid in (select oid from relations)) \
               + (select count(*) from pg_description where objoid in (select oid from relations)) \
               + (select count(*) from pg_proc where pronamespace = '{schema}'::regnamespace) \
               + (select count(*) from pg_type where typnamespace = '{schema}'::regnamespace)"
        ))
        .await
    }

    /// Drops schemas, and does the later work of autovacuum and the checkpointer.
    pub(super) async fn drop_schemas(&self, schemas: &[String]) -> Result<(), Failure> {
        let mut conn = self.connect().await?;
        // Every object holds a lock until the end of its transaction.
        for some in schemas.chunks(20) {
            trusted::run(&mut conn, format!("drop schema {} cascade", some.join(", "))).await?;
        }
        trusted::run(&mut conn, format!("vacuum {}", CATALOGS.join(", "))).await?;
        trusted::run(&mut conn, "checkpoint".to_owned()).await?;
        conn.close().await?;
        Ok(())
    }
}
