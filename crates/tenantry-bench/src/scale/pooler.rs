//! Statements through a pooler in transaction mode: their cost, and whether they are answered rightly.

use std::{sync::Arc, time::Duration};

use sqlx::{ConnectOptions, Connection, Executor, PgConnection, SqlStr};
use tenantry::{TenantDb, TenantManager};
use tokio::{task::JoinSet, time::Instant};

use super::pgbouncer::PgBouncer;
use crate::{
    args::PoolerSizes,
    failure::Failure,
    rounds::interleave,
    stats::median,
    trusted::trusted,
    world::{ITEMS, NAME_OF_ITEM, Tenant, World},
};

/// What was measured.
pub(super) struct Measured {
    /// Version of the server.
    pub(super) server: String,
    /// Median time of a select of a tenant, of each round, in microseconds.
    pub(super) bound_us: Vec<f64>,
    /// The same for a transaction of one statement that is bound to no tenant.
    pub(super) unbound_us: Vec<f64>,
    /// Selects under load.
    pub(super) asked: usize,
    /// Those that returned another tenant's row, or another row.
    pub(super) wrong: usize,
    /// Those that failed.
    pub(super) failed: usize,
}

/// Tenants under load, clients, and sessions that they share.
const TENANTS: usize = 20;
const CLIENTS: usize = 8;
const SESSIONS: usize = 4;

/// The user of the connections to the pooler, whose own search path has no tables.
const USER: &str =
    "create role pooled superuser login; alter role pooled set search_path to pg_catalog";

/// Rows of a tenant that are asked for under load.
const ROWS: usize = 997;

/// Measured rounds.
const ROUNDS: u32 = 7;

pub(super) async fn run(sizes: &PoolerSizes) -> Result<Measured, Failure> {
    let mut world = World::start().await?;
    let measured = measure(sizes, &mut world).await;
    world.stop().await;
    measured
}

async fn measure(sizes: &PoolerSizes, world: &mut World) -> Result<Measured, Failure> {
    let tenants = world.tenants(TENANTS).await?;
    let mut admin = world.options("setup").connect().await?;
    admin.execute(USER).await?;
    admin.close().await?;
    let pooler = PgBouncer::before(&world.options("pooler"), "pooled", SESSIONS).await?;
    let manager = TenantManager::builder_with(pooler.options())
        .behind_transaction_pooler()
        .direct_url(world.url())
        .max_connections(CLIENTS)
        .build()?;
    let costs = costs(&manager, &pooler, sizes).await?;
    let (wrong, failed) = answers(&manager, &tenants, sizes.pooler_statements).await?;
    manager.close().await;
    let [bound_us, unbound_us] = costs;
    let (server, asked) = (world.version(), sizes.pooler_statements);
    Ok(Measured { server, bound_us, unbound_us, asked, wrong, failed })
}

/// Measures the two one after the other, round after round.
async fn costs(
    manager: &TenantManager,
    pooler: &PgBouncer,
    sizes: &PoolerSizes,
) -> Result<[Vec<f64>; 2], Failure> {
    let first = Tenant::first();
    let db = manager.tenant(first.id()).await?;
    let mut conn = pooler.options().connect().await?;
    let qualified = trusted(format!("select name from {}.items where id = $1", first.schema()));
    let names = ["bound", "unbound"];
    let runs = interleave("pooler", &names, ROUNDS, async |index, _| {
        let mut times = Vec::new();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(sizes.pooler_round_ms) {
            let id = i32::try_from(times.len())? % ITEMS + 1;
            let asked = Instant::now();
            let name = match index {
                0 => bound(&db, id).await?,
                _ => unbound(&mut conn, qualified.clone(), id).await?,
            };
            times.push(asked.elapsed().as_secs_f64() * 1e6);
            if name != first.id() {
                return Err(format!("{name} was answered for {}", first.id()).into());
            }
        }
        Ok(median(times))
    });
    let runs = runs.await?;
    conn.close().await?;
    let [bound, unbound] = <[Vec<f64>; 2]>::try_from(runs).map_err(|_| "there are two")?;
    Ok([bound, unbound])
}

async fn bound(db: &TenantDb, id: i32) -> sqlx::Result<String> {
    sqlx::query_scalar(NAME_OF_ITEM).bind(id).persistent(false).fetch_one(db).await
}

async fn unbound(conn: &mut PgConnection, sql: SqlStr, id: i32) -> sqlx::Result<String> {
    let mut tx = conn.begin().await?;
    let name = sqlx::query_scalar(sql).bind(id).persistent(false).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(name)
}

/// Sends selects of all tenants from all clients; returns how many were answered wrongly, and failed.
async fn answers(
    manager: &TenantManager,
    tenants: &Arc<[Tenant]>,
    statements: usize,
) -> Result<(usize, usize), Failure> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (manager, tenants) = (manager.clone(), Arc::clone(tenants));
        clients.spawn(async move {
            let (mut wrong, mut failed) = (0, 0);
            for number in (client..statements).step_by(CLIENTS) {
                let tenant = &tenants[number % tenants.len()];
                let id = i32::try_from(number % ROWS).unwrap_or_default() + 1;
                let asked = "select name, id from items where id = $1";
                let answer: sqlx::Result<(String, i32)> = match manager.tenant(tenant.id()).await {
                    Ok(db) => sqlx::query_as(asked).bind(id).fetch_one(&db).await,
                    Err(error) => Err(error.into()),
                };
                match answer {
                    Ok((name, row)) => wrong += usize::from((&*name, row) != (tenant.id(), id)),
                    Err(_) => failed += 1,
                }
            }
            (wrong, failed)
        });
    }
    let all = clients.join_all().await.into_iter();
    Ok(all.fold((0, 0), |(wrong, failed), (more, others)| (wrong + more, failed + others)))
}
