//! Tenants move from one server to another, and from one kind of isolation to another: what arrives, what is kept, and what faults leave behind.

mod announced;
mod arrives;
mod drained;
mod failures;
mod killed;
mod kinds;
mod kinds_hostile;
mod kinds_killed;
mod kinds_owned;
mod kinds_refused;
mod load;
mod logged;
mod movers;
mod reached;
mod refused;
mod replicated;
mod room;
mod servers_killed;
mod transactions;

use sqlx::PgConnection;
use tenantry::{
    CatalogColumns, ManagerBuilder, ServerOptions, TableCatalog, TenantManager,
    moves::{MoveOptions, MoveRecord, MoveStage},
};
use tenantry_devdb::DevServer;

use crate::support::{connect, create_tenant, observe, run};

/// Two servers; the tenants are on the main one, listed in the library's own table.
struct Two {
    main: DevServer,
    eu: DevServer,
}

impl Two {
    async fn with(tenants: &[&str]) -> Self {
        Self::of(DevServer::start().await.expect("a server can be started"), tenants).await
    }

    async fn of(main: DevServer, tenants: &[&str]) -> Self {
        let eu = DevServer::start().await.expect("a server can be started");
        let two = Self { main, eu };
        let manager = two.manager();
        TableCatalog::new().create_table(manager.shared()).await.expect("it can be created");
        manager.close().await;
        let mut admin = two.at_main().await;
        for tenant in tenants {
            create_tenant(&mut admin, tenant).await;
            run(&mut admin, &format!("insert into tenants (id) values ('{tenant}')")).await;
        }
        two
    }

    async fn at_main(&self) -> PgConnection {
        connect(&self.main.url()).await
    }

    async fn at_eu(&self) -> PgConnection {
        connect(&self.eu.url()).await
    }

    /// A process that is told of changes at once.
    fn manager(&self) -> TenantManager {
        built(self.builder().catalog(TableCatalog::new()))
    }

    /// A process that hears nothing of changes until it asks.
    fn stale(&self) -> TenantManager {
        let columns = CatalogColumns::new().container("container").server("server").epoch("epoch");
        let columns = columns.state("state").created_at("created_at");
        built(self.builder().catalog(TableCatalog::new().columns(columns)))
    }

    fn builder(&self) -> ManagerBuilder {
        builder(&self.main.url(), &self.eu.url())
    }
}

fn builder(main: &str, eu: &str) -> ManagerBuilder {
    TenantManager::builder(main).server("eu-1", ServerOptions::new(eu)).max_connections(6)
}

fn built(builder: ManagerBuilder) -> TenantManager {
    builder.build().expect("the configuration is sound")
}

/// Options with which another process takes over soon.
fn options() -> MoveOptions {
    MoveOptions::default().take_over_after(std::time::Duration::from_secs(1))
}

/// What a query returns, without the decoration.
async fn value(conn: &mut PgConnection, sql: &str) -> String {
    let seen = observe(conn, sql).await;
    seen.trim_start_matches("Some(\"").trim_end_matches("\")").to_owned()
}

/// The latest move.
async fn latest(manager: &TenantManager) -> MoveRecord {
    let moves = manager.mover().list().await.expect("they can be listed");
    moves.into_iter().next().expect("there is one")
}

/// The tenant is served where it was, and nothing is left of the move.
async fn is_undone(two: &Two, manager: &TenantManager, tenant: &str) {
    let last = latest(manager).await;
    assert_eq!(last.stage, MoveStage::Undone, "{last:?}");
    let (mut main, mut eu) = (two.at_main().await, two.at_eu().await);
    let recorded =
        format!("select concat_ws(' ', state, server, epoch) from tenants where id = '{tenant}'");
    assert_eq!(value(&mut main, &recorded).await, "active 1");
    let schemas = format!(
        "select count(*) from pg_namespace where nspname in ('tenant_{tenant}', '{}')",
        last.kept_as
    );
    assert_eq!(value(&mut main, &schemas).await, "1");
    assert_eq!(value(&mut eu, &schemas).await, "0");
    let name = crate::support::name_of(&manager.tenant(tenant).await.expect("it is served")).await;
    assert_eq!(name.expect("it is served"), tenant);
    for conn in [&mut main, &mut eu] {
        let left = "select count(*) from tenantry_movers";
        assert!(["0", "error 42P01"].contains(&&*value(conn, left).await));
        let retired =
            format!("select count(*) from tenantry_retired where name = 'tenant_{tenant}'");
        assert!(["0", "error 42P01"].contains(&&*value(conn, &retired).await));
    }
}
