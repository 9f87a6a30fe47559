//! A manager behind a pooler in transaction mode: each lease is a transaction, bound for itself.

mod answers;
mod faults;
mod hostile;
mod kinds;
mod limits;
mod residue;

use sqlx::PgConnection;
use tenantry::{ManagerBuilder, TenantManager};
use tenantry_devdb::DevServer;

use crate::{
    faults::PgBouncer,
    support::{connect, pool_options, private_server, run},
};

const TENANTS: [&str; 6] = ["acme", "globex", "initech", "hooli", "umbrella", "wonka"];

/// A server with tenants, behind a pooler with fewer sessions than the manager has connections.
struct Scene {
    server: DevServer,
    pooler: PgBouncer,
}

impl Scene {
    /// `None` where there is no pooler to start.
    async fn new(mode: &str, sessions: &str) -> Option<Self> {
        let server = private_server(&TENANTS).await;
        let user = "create role app superuser login; alter role app set search_path to pg_catalog";
        run(&mut connect(&server.url()).await, user).await;
        let settings = settings(mode, sessions);
        let pooler = PgBouncer::before(server.port(), &settings).await?;
        Some(Self { server, pooler })
    }

    fn builder(&self) -> ManagerBuilder {
        behind(&self.url(), &self.server.url())
    }

    fn manager(&self) -> TenantManager {
        self.builder().build().expect("the configuration is sound")
    }

    /// The URL of the pooler.
    fn url(&self) -> String {
        self.pooler.url().replace("//postgres@", "//app@")
    }

    /// A connection to the server itself.
    async fn admin(&self) -> PgConnection {
        connect(&self.server.url()).await
    }
}

fn settings<'a>(mode: &'a str, sessions: &'a str) -> [(&'a str, &'a str); 3] {
    [("pool_mode", mode), ("default_pool_size", sessions), ("server_round_robin", "1")]
}

fn behind(pooler: &str, direct: &str) -> ManagerBuilder {
    TenantManager::builder(pooler)
        .behind_transaction_pooler()
        .direct_url(direct)
        .pool_options(pool_options(|options| options.max_connections = 8))
}
