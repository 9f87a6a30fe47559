//! A tenant, the migrations, each tenant's recorded version, a saved model.

use std::sync::Arc;

use sqlx::Executor;
use tenantry::{
    drift::{DriftStatus, Reference},
    migrate::MigrateOptions,
    provision::CreateOptions,
    schema::SchemaModel,
};

use crate::migrate::Files;
use crate::support::{TestResult, World, run};

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
    let left: i64 =
        sqlx::query_scalar("select count(*) from pg_namespace where nspname like 'tenantry%'")
            .fetch_one(&mut admin)
            .await?;
    assert_eq!(left, 0);
    manager.close().await;
    Ok(())
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
