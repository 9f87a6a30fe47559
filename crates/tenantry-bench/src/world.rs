use std::{str::FromStr, sync::Arc};

use sqlx::{Connection, PgConnection, SqlStr, postgres::PgConnectOptions};
use tenantry_devdb::DevServer;

use crate::{
    failure::Failure,
    trusted::{self, trusted},
};

/// Rows of every tenant's table.
pub(crate) const ITEMS: i32 = 1_000;

/// The statement that all contenders run: one row by its key.
pub(crate) const NAME_OF_ITEM: &str = "select name from items where id = $1";

/// The number of schemas that are created per transaction. Every table holds a lock until its end.
const BATCH: usize = 50;

/// The server that all contenders use, and the tenants on it.
pub(crate) struct World {
    server: DevServer,
    options: PgConnectOptions,
    tenants: Vec<Tenant>,
}

/// A tenant, with a schema `tenant_<id>` in which every row of the table `items` contains its id.
#[derive(Debug, Clone)]
pub(crate) struct Tenant(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    id: String,
    schema: String,
    set_search_path: SqlStr,
}

impl Tenant {
    fn new(number: usize) -> Self {
        let id = format!("t{number:05}");
        let schema = format!("tenant_{id}");
        let set_search_path = trusted(format!(r#"set search_path to "{schema}""#));
        Self(Arc::new(Parts { id, schema, set_search_path }))
    }

    /// Returns the first tenant.
    pub(crate) fn first() -> Self {
        Self::new(0)
    }

    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    pub(crate) fn schema(&self) -> &str {
        &self.0.schema
    }

    /// Returns the statement that switches a session to this tenant.
    pub(crate) fn set_search_path(&self) -> SqlStr {
        self.0.set_search_path.clone()
    }
}

impl World {
    /// Starts a private server with enough connection slots for all contenders at once.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let server = DevServer::builder()
            .setting("max_connections", "700")
            // It would run in the middle of a measurement, and differently in each.
            .setting("autovacuum", "off")
            .start()
            .await?;
        let url = server.create_database("bench").await?;
        Ok(Self { server, options: PgConnectOptions::from_str(&url)?, tenants: Vec::new() })
    }

    /// Returns the version of the server.
    pub(crate) fn version(&self) -> String {
        self.server.version().to_string()
    }

    pub(crate) async fn stop(self) {
        self.server.close().await;
    }

    /// Returns the URL of the tenants' database.
    pub(crate) fn url(&self) -> String {
        self.server.database_url("bench")
    }

    /// Returns the connect options of the contender with this name. All contenders connect in the same way.
    pub(crate) fn options(&self, contender: &str) -> PgConnectOptions {
        self.options.clone().application_name(contender)
    }

    /// Creates an empty database next to the tenants' one, and returns how to connect to it.
    pub(crate) async fn another_database(&self, name: &str) -> Result<PgConnectOptions, Failure> {
        let url = self.server.create_database(name).await?;
        Ok(PgConnectOptions::from_str(&url)?)
    }

    /// Returns this many tenants, and creates those that do not exist yet.
    pub(crate) async fn tenants(&mut self, count: usize) -> Result<Arc<[Tenant]>, Failure> {
        let missing: Vec<_> = (self.tenants.len()..count).map(Tenant::new).collect();
        if !missing.is_empty() {
            eprintln!("creating {} tenants", missing.len());
            let mut conn = PgConnection::connect_with(&self.options("setup")).await?;
            for batch in missing.chunks(BATCH) {
                trusted::run(&mut conn, batch.iter().map(create_tenant).collect()).await?;
            }
            conn.close().await?;
            self.tenants.extend(missing);
        }
        Ok(self.tenants[..count].into())
    }
}

fn create_tenant(tenant: &Tenant) -> String {
    let (schema, id) = (tenant.schema(), tenant.id());
    // Reading every row once also sets the hint bits that the first reader would otherwise write.
    format!(
        "create schema {schema}; \
         create table {schema}.items (id int primary key, name text not null); \
         insert into {schema}.items select n, '{id}' from generate_series(1, {ITEMS}) n; \
         analyze {schema}.items; "
    )
}
