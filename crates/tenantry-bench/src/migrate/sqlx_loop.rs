//! The usual code around sqlx's `Migrator`: a loop over the tenants' schemas.

use std::sync::Arc;

use parking_lot::Mutex;
use sqlx::{Connection, PgConnection, migrate::Migrator, postgres::PgConnectOptions};
use tokio::task::JoinSet;

use super::schemas::schema_of;
use crate::{failure::Failure, trusted};

/// Migrates one tenant after the other on one connection that stays open.
///
/// Prepared statements are kept, too: the server itself resolves their tables again when the search path has changed,
/// and dropping them would cost a statement each.
pub(super) async fn one_connection(
    server: &PgConnectOptions,
    tenants: &[String],
    migrator: &Migrator,
) -> Result<(), Failure> {
    let mut conn = PgConnection::connect_with(server).await?;
    for tenant in tenants {
        one_tenant(&mut conn, tenant, migrator).await?;
    }
    conn.close().await?;
    Ok(())
}

/// Migrates this many tenants concurrently, each on a connection that stays open.
pub(super) async fn in_parallel(
    server: &PgConnectOptions,
    tenants: &[String],
    migrator: Migrator,
    connections: usize,
) -> Result<(), Failure> {
    let migrator = Arc::new(migrator);
    let left: Vec<_> = tenants.iter().rev().cloned().collect();
    let left = Arc::new(Mutex::new(left));
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        let (server, left) = (server.clone(), Arc::clone(&left));
        let migrator = Arc::clone(&migrator);
        workers.spawn(async move {
            let mut conn = PgConnection::connect_with(&server).await?;
            loop {
                let next = left.lock().pop();
                let Some(tenant) = next else { break };
                one_tenant(&mut conn, &tenant, &migrator).await?;
            }
            conn.close().await?;
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(())
}

/// Migrates one tenant on a session that another tenant used before.
pub(super) async fn one_tenant(
    conn: &mut PgConnection,
    tenant: &str,
    migrator: &Migrator,
) -> Result<(), Failure> {
    let schema = schema_of(tenant);
    trusted::run(conn, format!("set search_path to {schema}")).await?;
    // Equivalent to `Migrator::run` with a connection, whose future the compiler cannot prove to be `Send`.
    migrator.run_direct(None, conn, false).await?;
    Ok(())
}
