//! Tenants that are isolated by row, and by database.

use sqlx::Row;
use tenantry::{FixedCatalog, Isolation, Rows, TenantId, TenantRecord};
use tokio::task::JoinSet;

use super::{Scene, TENANTS, behind};
use crate::support::{TestResult, connect, name_of, run};

fn records() -> FixedCatalog {
    FixedCatalog::new(
        TENANTS.map(|id| TenantRecord::new(TenantId::parse(id).expect("the id is valid"))),
    )
}

/// Creates a table of all tenants, with a row of each, and a role that works on it.
const ROWS: &str = "create role worker; create schema app; grant usage on schema app to worker; \
    create table app.users (tenant_id text not null default nullif(current_setting('tenantry.tenant', true), ''), \
      id int, name text not null); \
    alter table app.users enable row level security; alter table app.users force row level security; \
    create policy tenantry_all on app.users as permissive for all using (true) with check (true); \
    create policy tenantry_tenant on app.users as restrictive for all \
      using (tenant_id = (select nullif(current_setting('tenantry.tenant', true), ''))) \
      with check (tenant_id = nullif(current_setting('tenantry.tenant', true), '')); \
    grant select, insert, update, delete on app.users to worker; ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_the_tenants_own() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let mut admin = scene.admin().await;
    run(&mut admin, ROWS).await;
    for tenant in TENANTS {
        run(&mut admin, &format!("insert into app.users values ('{tenant}', 1, '{tenant}')")).await;
    }
    let manager = behind(&scene.url(), &scene.server.url())
        .isolation(Isolation::rows(Rows::new().schema("app")?.role("worker")?))
        .catalog(records())
        .build()?;
    let mut tasks = JoinSet::new();
    for worker in 0..8 {
        let manager = manager.clone();
        tasks.spawn(async move {
            for request in 0..200 {
                let tenant = TENANTS[(worker + request) % TENANTS.len()];
                let db = manager.tenant(tenant).await.expect("it is in the catalog");
                let rows =
                    sqlx::query("select name, current_user::text from users where $1::int > 0")
                        .bind(1);
                let rows = rows.fetch_all(&db).await.expect("the server is running");
                assert_eq!(rows.len(), 1);
                assert_eq!((rows[0].get(0), rows[0].get(1)), (tenant, "worker"));
                let changed = sqlx::query("update users set name = name").execute(&db).await;
                assert_eq!(changed.expect("the server is running").rows_affected(), 1);
            }
        });
    }
    tasks.join_all().await;
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_are_the_tenants_own() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    for tenant in TENANTS {
        let url = scene.server.create_database(&format!("db_{tenant}")).await?;
        let table = format!(
            "create table users (id int primary key, name text not null); insert into users values (1, '{tenant}')"
        );
        run(&mut connect(&url).await, &table).await;
    }
    let manager = behind(&scene.url(), &scene.server.url())
        .isolation(Isolation::database("db_{id}"))
        .catalog(records())
        .build()?;
    for _ in 0..4 {
        for tenant in TENANTS {
            let db = manager.tenant(tenant).await?;
            assert_eq!(name_of(&db).await?, tenant);
            let mut tx = db.begin().await?;
            assert_eq!(name_of(&mut *tx).await?, tenant);
            tx.commit().await?;
        }
    }
    manager.close().await;
    Ok(())
}
