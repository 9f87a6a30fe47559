//! A tenant that leaves the tables of all tenants, and gets into them again, while it is written to.

use tenantry::{
    Isolation, IsolationKind, Rows, TableCatalog, TenantManager,
    migrate::{MigrateOptions, Migrations},
    moves::{Destination, MoveMethod, MoveOptions, Mover},
    provision::CreateOptions,
};
use tenantry_devdb::DevServer;
use tokio::time::{Duration, sleep};

use super::{
    moves::{Move, PATIENCE, move_once, wait_for_the_name},
    tenant::{self, TENANT},
};
use crate::{args::MoveSizes, failure::Failure, load::Tally};

/// The schema of the tables of all tenants, and the setting with the key of the session's tenant.
const SHARED: &str = "all_tenants";
const KEY: &str = "nullif(current_setting('tenantry.tenant', true), '')";

/// What was measured: moves with a log of changes, and moves that copy all rows while requests wait.
pub(super) struct Done {
    pub(super) server: String,
    pub(super) logged: Vec<Move>,
    pub(super) under_fence: Vec<Move>,
}

pub(super) async fn run(sizes: &MoveSizes) -> Result<Done, Failure> {
    let server = DevServer::builder().setting("autovacuum", "off").start().await?;
    let done = measure(sizes, &server).await;
    server.close().await;
    done
}

fn manager(url: &str) -> Result<TenantManager, Failure> {
    let manager = TenantManager::builder(url)
        .isolation(Isolation::rows(Rows::new().schema(SHARED)?))
        .or_isolation(Isolation::schema("tenant_{id}"))
        .catalog(TableCatalog::new())
        .acquire_timeout(PATIENCE);
    Ok(manager.build()?)
}

async fn measure(sizes: &MoveSizes, server: &DevServer) -> Result<Done, Failure> {
    let url = server.url();
    let (service, operator) = (manager(&url)?, manager(&url)?);
    TableCatalog::new().create_table(service.shared()).await?;
    sqlx::raw_sql("create schema all_tenants").execute(service.shared()).await?;
    let tables: &'static str = tenant::shared_tables(KEY).leak();
    let migrations = Migrations::from_files([("0001_things.sql", tables)])?;
    let migrated = operator.migrator().tenants(migrations.clone());
    let migrated = migrated.migrate_all(MigrateOptions::default()).await?;
    if !migrated.is_success() {
        return Err(migrated.to_string().into());
    }
    let provisioner = operator.provisioner().tenants(migrations.clone());
    provisioner.create(TENANT, CreateOptions::default()).await?;
    let rows = sizes.moved_rows / 5;
    eprintln!("rows: filling {} tables with {rows} rows each", tenant::TABLES);
    let as_tenant = format!("set tenantry.tenant = '{TENANT}'; ");
    tenant::fill(&url, SHARED, &as_tenant, rows).await?;
    let (db, mover) = (service.tenant(TENANT).await?, operator.mover());
    let options = MoveOptions::default().tenants(migrations);
    let (mut total, mut logged, mut under_fence) = (Tally::new(), Vec::new(), Vec::new());
    for number in 0..sizes.row_moves {
        // There and back by one way, and then by the other one.
        let (method, moves) = match number % 4 < 2 {
            true => (MoveMethod::ChangeLog, &mut logged),
            false => (MoveMethod::UnderFence, &mut under_fence),
        };
        let (to, kind) = match number % 2 {
            0 => ("schema", IsolationKind::Schema),
            _ => ("row", IsolationKind::Row),
        };
        eprintln!("rows: {} of {}, to {to} by {method}", number + 1, sizes.row_moves);
        let (to, options) = ((to, Destination::isolation(kind)), options.clone().method(method));
        wait_for_the_name(&mover, &to.1, &options.clone().max_pause(PATIENCE)).await?;
        moves.push(move_once(&mover, &db, to, options, &mut total).await?);
        sweep(&mover).await?;
    }
    operator.close().await;
    service.close().await;
    Ok(Done { server: server.version().to_string(), logged, under_fence })
}

/// Removes what was left, as soon as no session can have its key any more.
async fn sweep(mover: &Mover) -> Result<(), Failure> {
    for _ in 0..120 {
        if mover.sweep().await?.iter().all(|swept| swept.error.is_none()) {
            return Ok(());
        }
        sleep(Duration::from_millis(500)).await;
    }
    Err("the rows that the tenant has left cannot be removed".into())
}
