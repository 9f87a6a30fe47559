//! A tenant, the migrations, each tenant's recorded version, a saved model.

use std::sync::Arc;

use sqlx::{Executor, PgConnection};
use tenantry::{
    drift::{DriftStatus, Reference},
    migrate::MigrateOptions,
    provision::CreateOptions,
    schema::SchemaModel,
};

use crate::migrate::Files;
use crate::support::{TestResult, World, eventually, run};

fn files() -> Files {
    Files::new(&[
        ("1_users.sql", "create table users (id bigint primary key, email text not null)"),
        (
            "2_orders.sql",
            "create table orders (id bigint primary key, user_id bigint references users)",
        ),
        ("3_index.sql", "create index orders_user on orders (user_id)"),
    ])
}

async fn fleet(world: &World) -> tenantry::TenantManager {
    let manager = world.manager();
    let provisioner = manager.provisioner().tenants(files().read());
    for tenant in ["a1", "a2", "a3"] {
        provisioner.create(tenant, CreateOptions::default()).await.expect("it can be made");
    }
    manager
}

#[tokio::test]
async fn migrations_are_applied_in_a_scratch_schema_that_is_removed() -> TestResult {
    let world = World::new().await;
    let manager = fleet(&world).await;
    let mut admin = world.admin().await;
    admin.execute("drop index tenant_a2.orders_user").await?;
    let report = manager.drift().against(Reference::Migrations(files().read())).run().await?;
    assert_eq!((report.no_drift, report.with_drift), (2, 1), "{report}");
    assert_eq!(report.clusters[0].findings[0].to_string(), "index orders_user is missing");
    assert_eq!(scratch_schemas(&mut admin).await, 0);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_scratch_schema_that_was_left_behind_is_removed_by_the_next_comparison() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let mut admin = world.admin().await;
    run(&mut admin, "create schema tenant_a1; create table tenant_a1.t (a int)").await;
    run(&mut admin, "select pg_advisory_lock(14)").await;
    let files = Files::new(&[
        ("1_t.sql", "create table t (a int)"),
        ("2_wait.sql", "select pg_advisory_xact_lock(14)"),
    ]);
    let comparison = manager.drift().against(Reference::Migrations(files.read()));
    let mut other = world.admin().await;
    let waits = eventually("the second migration waits", async || {
        let waiting = sqlx::query_scalar(
            "select exists (select from pg_locks where locktype = 'advisory' and not granted \
             and database = (select oid from pg_database where datname = current_database()))",
        );
        waiting.fetch_one(&mut other).await.expect("the server runs")
    });
    tokio::select! {
        report = comparison.run() => panic!("nothing kept it from ending: {report:?}"),
        () = waits => {}
    }
    assert_eq!(scratch_schemas(&mut admin).await, 1);
    run(&mut admin, "select pg_advisory_unlock(14)").await;
    // The server may take a moment to notice that nobody is there any more.
    eventually("it is removed", async || {
        let report = comparison.run().await.expect("it is compared");
        assert_eq!((report.total, report.error), (1, 0), "{report}");
        scratch_schemas(&mut admin).await == 0
    })
    .await;
    manager.close().await;
    Ok(())
}

async fn scratch_schemas(admin: &mut PgConnection) -> i64 {
    let count = "select count(*) from pg_namespace where nspname like 'tenantry%'";
    sqlx::query_scalar(count).fetch_one(admin).await.expect("the server runs")
}

#[tokio::test]
async fn a_tenant_that_is_behind_is_told_from_one_that_was_tampered_with() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let mut admin = world.admin().await;
    for (tenant, version) in [("b1", 2), ("b2", 2), ("b3", 3)] {
        let name = format!("create schema tenant_{tenant}");
        run(&mut admin, &name).await;
        let options = MigrateOptions::default().to(version);
        let migrator = manager.migrator().tenants(files().read());
        let report = migrator.migrate([tenant], options).await?;
        assert!(report.is_success(), "{report}");
    }
    admin.execute("alter table tenant_b2.users alter column email drop not null").await?;
    let report = manager.drift().against(Reference::Recorded(files().read())).run().await?;
    let status: Vec<_> = report.details.iter().map(|tenant| tenant.status).collect();
    assert_eq!(status, [DriftStatus::Behind, DriftStatus::Drifted, DriftStatus::Same], "{report}");
    assert_eq!(
        report.details[1].findings[0].to_string(),
        "column users.email: not null is the default, expected yes"
    );
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_model_that_was_saved_is_a_reference() -> TestResult {
    let world = World::new().await;
    let manager = fleet(&world).await;
    let saved = serde_json::to_string_pretty(&manager.drift().introspect("a1").await?)?;
    let model: SchemaModel = serde_json::from_str(&saved)?;
    let reference = Reference::Model(Arc::new(model));
    assert!(manager.drift().against(reference.clone()).run().await?.is_clean());
    let mut admin = world.admin().await;
    admin.execute("alter table tenant_a3.users add column name text").await?;
    let report = manager.drift().against(reference).run().await?;
    assert_eq!(report.clusters[0].findings[0].to_string(), "column users.name is not expected");
    assert_eq!((report.no_drift, report.with_drift), (2, 1));
    manager.close().await;
    Ok(())
}
