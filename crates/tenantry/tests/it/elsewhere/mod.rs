//! Creating, changing and dropping tenants outside the manager's database: in databases of their own, and on further
//! servers. Nothing of another tenant or application is touched, and nothing is left that the next attempt does not
//! find.

mod again;
mod databases;
mod kills;
mod policies;
mod races;
mod rights;
mod servers;
mod spares;

use std::sync::Arc;

use sqlx::PgConnection;
use tenantry::{
    Isolation, ManagerBuilder, PoolOptions, TableCatalog, TenantManager,
    provision::{CreateOptions, Provisioner},
    seed::Seed,
};
use tenantry_devdb::DevServer;

use crate::{
    migrate::Files,
    support::{connect, observe, private_server},
};

fn options() -> CreateOptions {
    CreateOptions::default()
}

/// A seed in the transaction that fills the container.
fn inside() -> Seed {
    Seed::sql("inside", "insert into notes (id, text) values (1, 'inside')")
}

/// A server, and the connection of its superuser.
struct Host {
    server: Arc<DevServer>,
    admin: PgConnection,
}

impl Host {
    async fn new() -> Self {
        let server = Arc::new(private_server(&[]).await);
        let admin = connect(&server.url()).await;
        Self { server, admin }
    }

    /// Asks for one text.
    async fn ask(&mut self, sql: &str) -> String {
        observe(&mut self.admin, sql).await
    }

    /// The databases that are neither PostgreSQL's nor a template's.
    async fn databases(&mut self) -> String {
        let sql = "select coalesce(string_agg(datname, ' ' order by datname), '') from pg_database \
                   where datname not in ('postgres', 'template0', 'template1')";
        plain(self.ask(sql).await)
    }

    /// The schemas that are not PostgreSQL's.
    async fn schemas(&mut self) -> String {
        let sql = "select coalesce(string_agg(nspname, ' ' order by nspname), '') from pg_namespace \
                   where nspname !~ '^(pg_|information_schema$|public$)'";
        plain(self.ask(sql).await)
    }

    /// The tenants in the catalog, with their states and whether they have a step.
    async fn tenants(&mut self) -> String {
        let sql = "select coalesce(string_agg(concat_ws(' ', id, state, left(step, 17)), ', ' order by id), '') from tenants";
        plain(self.ask(sql).await)
    }
}

/// Returns an observed text without what is around it.
fn plain(observed: String) -> String {
    match observed.strip_prefix("Some(\"").and_then(|text| text.strip_suffix("\")")) {
        Some(text) => text.replace("\\\"", "\""),
        None => observed,
    }
}

/// A manager of databases, with its catalog on this server.
fn of_databases(host: &Host) -> ManagerBuilder {
    TenantManager::builder(host.server.url())
        .isolation(Isolation::database("db_{id}"))
        .catalog(TableCatalog::new())
        .max_connections(4)
}

/// A manager with its catalog on one server, and another one called `eu-1`.
fn of_servers(main: &Host, eu: &Host) -> ManagerBuilder {
    TenantManager::builder(main.server.url())
        .catalog(TableCatalog::new())
        .pool_options(PoolOptions::default().max_connections(4))
        .server("eu-1", eu.server.url())
}

/// Builds a manager and creates the table of tenants.
async fn built(builder: ManagerBuilder) -> TenantManager {
    let manager = builder.build().expect("the configuration is sound");
    TableCatalog::new().create_table(manager.shared()).await.expect("the server is running");
    manager
}

fn provisioner(manager: &TenantManager, files: &Files) -> Provisioner {
    manager.provisioner().tenants(files.read()).seed(inside())
}

/// Creates a table with the notes of all tenants, on which the role `app` works.
fn notes_of_all() -> String {
    let key = "nullif(current_setting('tenantry.tenant', true), '')";
    format!(
        "create role app; grant usage on schema public to app; \
         create table notes (tenant_id text not null default {key}, id int, text text, author text, \
           primary key (tenant_id, id)); \
         alter table notes enable row level security; alter table notes force row level security; \
         create policy p on notes using (tenant_id = (select {key})); \
         grant select, insert, update, delete on notes to app"
    )
}
