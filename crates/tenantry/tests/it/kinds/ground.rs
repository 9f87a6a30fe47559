use std::time::Duration;

use sqlx::PgConnection;
use tenantry::{
    FixedCatalog, Isolation, IsolationKind, Rows, ServerOptions, TenantId, TenantManager,
    TenantRecord,
};
use tenantry_devdb::DevServer;

use crate::support::{connect, pool_options, run};

/// The connections that the manager may have to each server.
pub(super) const BUDGETS: [i64; 2] = [4, 3];

/// The tenants of one server, with the kind of each.
type Tenants = [(&'static str, IsolationKind)];

const AT_MAIN: &Tenants = &[
    ("row1", IsolationKind::Row),
    ("row2", IsolationKind::Row),
    ("row3", IsolationKind::Row),
    ("schema1", IsolationKind::Schema),
    ("schema2", IsolationKind::Schema),
    ("database1", IsolationKind::Database),
    ("database2", IsolationKind::Database),
];

const AT_EU: &Tenants = &[
    ("row4", IsolationKind::Row),
    ("row5", IsolationKind::Row),
    ("schema3", IsolationKind::Schema),
    ("database3", IsolationKind::Database),
    ("database4", IsolationKind::Database),
];

/// Two servers with tenants of every kind, each of which has a table `users`.
pub(super) struct Ground {
    pub(super) servers: [DevServer; 2],
}

impl Ground {
    pub(super) async fn new() -> Self {
        let (main, eu) = tokio::join!(server(AT_MAIN), server(AT_EU));
        Self { servers: [main, eu] }
    }

    pub(super) fn tenants() -> impl Iterator<Item = &'static str> {
        AT_MAIN.iter().chain(AT_EU).map(|(id, _)| *id)
    }

    pub(super) fn manager(&self) -> TenantManager {
        let [main, eu] = &self.servers;
        let rows = Rows::new().role("kinds_app").expect("the name is an identifier");
        let options = |budget: i64| {
            pool_options(|options| {
                options.max_connections = usize::try_from(budget).expect("it is positive");
                options.connect_timeout = Duration::from_secs(1);
                options.acquire_timeout = Duration::from_secs(3);
                options.statement_timeout = Some(Duration::from_secs(3));
            })
        };
        let eu = ServerOptions::new(eu.url()).pool_options(options(BUDGETS[1]));
        TenantManager::builder(main.url())
            .isolation(Isolation::rows(rows))
            .or_isolation(Isolation::database("db_{id}"))
            .server("eu-1", eu)
            .pool_options(options(BUDGETS[0]))
            .catalog(FixedCatalog::new(records()))
            .build()
            .expect("the configuration is sound")
    }

    /// The names that a tenant has, as a superuser sees them.
    pub(super) async fn names_of(&self, tenant: &str) -> Vec<String> {
        let server = &self.servers[usize::from(AT_EU.iter().any(|(id, _)| *id == tenant))];
        let (url, table) = match tenant.trim_end_matches(char::is_numeric) {
            "row" => {
                (server.url(), format!("(select name from users where tenant_id = '{tenant}')"))
            }
            "schema" => (server.url(), format!("tenant_{tenant}.users")),
            _ => (server.database_url(&format!("db_{tenant}")), "users".to_owned()),
        };
        names(&mut connect(&url).await, &table).await
    }
}

#[expect(clippy::disallowed_methods, reason = "the text is the test's own")]
async fn names(conn: &mut PgConnection, table: &str) -> Vec<String> {
    let sql = format!("select name from {table} as users");
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
    query.fetch_all(conn).await.expect("the server is running")
}

fn records() -> Vec<TenantRecord> {
    let record = |id, kind| {
        let record = TenantRecord::new(TenantId::parse(id).expect("the id is valid"));
        record.isolation(kind)
    };
    let at_main = AT_MAIN.iter().map(|&(id, kind)| record(id, kind));
    let at_eu = AT_EU.iter().map(|&(id, kind)| record(id, kind).server("eu-1"));
    at_main.chain(at_eu).collect()
}

async fn server(tenants: &Tenants) -> DevServer {
    let server = DevServer::start().await.expect("a server can be started");
    let mut admin = connect(&server.url()).await;
    let setting = "nullif(current_setting('tenantry.tenant', true), '')";
    run(
        &mut admin,
        &format!(
            "create role kinds_app; grant usage on schema public to kinds_app;
             create table users (name text not null, tenant_id text not null default {setting});
             create index on users (tenant_id);
             alter table users enable row level security;
             alter table users force row level security;
             create policy tenants on users using (tenant_id = (select {setting}))
               with check (tenant_id = {setting});
             grant select, insert, update, delete on users to kinds_app"
        ),
    )
    .await;
    for (id, kind) in tenants {
        match kind {
            IsolationKind::Schema => {
                let sql = format!(
                    "create schema tenant_{id}; create table tenant_{id}.users (name text not null)"
                );
                run(&mut admin, &sql).await;
            }
            IsolationKind::Database => {
                let url = server.create_database(&format!("db_{id}")).await;
                let url = url.expect("the server is running");
                run(&mut connect(&url).await, "create table users (name text not null)").await;
            }
            _ => {}
        }
    }
    server
}
